"""Events that commit together with what they tell of, for services on Postgres. Needs psycopg.

A service calls `harkara_emit` (SQL) in its own transaction: the event's row commits or rolls back with the
order it tells of. A `Relay` emits what was committed. `install` or `schema_sql` makes the table and the
functions.

**No event is lost, and none is stored twice.** The row goes only after Emit answered OK. Whatever dies
before, the row is emitted again, with the `event_id` that the SQL function made: docs/guarantees.md, G3.

**Order.** Numbers that a sequence gives are not in the order of commit: a row with a smaller number may
become visible after one with a larger number was sent. A relay that remembered "sent up to number n" would
never see it. This one remembers nothing: every row that is there is to be sent, lowest number first, and is
gone once it is answered. So nothing is passed over, and no transaction is waited for: one that stays open
for an hour delays its own events, and nobody else's.

The order within a user is then the one that anybody can rely on. Where a transaction began its
`harkara_emit` after another one had committed, its row has the larger number, and whoever sees it sees the
other too: it goes later. Two transactions that run at the same time have no order that one of them could
know; theirs is that of commit where the relay comes in between, else that of their calls. One relay works
at a time, under an advisory lock (others wait to take over), and an `Emitter` keeps the order of what it is
given, over every retry.

**A poisoned event stops nobody.** One that is refused (`INVALID_ARGUMENT`, say) is parked with the reason,
in the same row, and what follows it goes on. Where not the event but the relay's token is refused, nothing
is parked: all wait.
"""

from harkara_client.outbox.relay import Relay
from harkara_client.outbox.schema import install, schema_sql

__all__ = ["Relay", "install", "schema_sql"]

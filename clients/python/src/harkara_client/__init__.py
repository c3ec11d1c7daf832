"""The Python client: emits events, listens to them, and commits them with what they tell of.

`Emitter` and `SyncEmitter` are for services, `Listener` for whoever acts for one user, `outbox` (which needs
psycopg) for services whose event and row must commit together. `events` has a class for each type of event.

It knows the contracts in `protos` and docs/protocol.md, and nothing of the services behind them. It runs
without the catalogue: a deployment may have more types than this release knows, and the event-service checks
each event anyhow. What it needs of the catalogue (the classes in `events`, what to do after a close) is
generated from it, or compared with it by a test.
"""

from harkara_client.backoff import Backoff
from harkara_client.emitter import Emitter
from harkara_client.errors import (
    CredentialRefusedError,
    EmitError,
    EmitterClosedError,
    GapError,
    HarkaraClientError,
    NotAnsweredError,
    RefusedError,
    StoppedError,
    SubscriptionRefusedError,
)
from harkara_client.event_data import EventData
from harkara_client.event_draft import Draft, Emitted, Level
from harkara_client.listener import Listener
from harkara_client.received import Event, Gap, Position
from harkara_client.sync_emitter import SyncEmitter
from harkara_client.tokens import Token

__all__ = [
    "Backoff",
    "CredentialRefusedError",
    "Draft",
    "EmitError",
    "Emitted",
    "Emitter",
    "EmitterClosedError",
    "Event",
    "EventData",
    "Gap",
    "GapError",
    "HarkaraClientError",
    "Level",
    "Listener",
    "NotAnsweredError",
    "Position",
    "RefusedError",
    "StoppedError",
    "SubscriptionRefusedError",
    "SyncEmitter",
    "Token",
]

"""Each question reads what it answers, however much is stored: its plan, on a log over several weeks."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg

from harkara_query_service.adapters import postgres_history as questions
from harkara_schema.partitions import event_id_floor, to_ms
from tests.integration.query.conftest import LogPen

NOW = datetime.now(UTC)
USERS = 20
EVENTS = 20_000
PER_USER = EVENTS // USERS

_FILL = """
INSERT INTO event_log
    (event_id, user_id, seq, event_type, event_level, "timestamp", source, data, created_at)
SELECT (%s::text[])[1 + g * 3 / 20000] || lpad(g::text, 16, '0'), 'user_' || g %% 20, g / 20 + 1,
       CASE WHEN g %% 100 = 0 THEN 'payment_failed' ELSE 'order_created' END,
       CASE WHEN g %% 100 = 0 THEN 'critical' ELSE 'high' END,
       now(), 'orders', '{"filler": "' || repeat('x', 100) || '"}',
       now() - interval '14 days' * (20000 - g) / 20000
FROM generate_series(0, 19999) AS g
"""


class Plan:
    """What a statement did.

    Attributes:
        nodes: The nodes of its plan.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self.nodes = list(self._walk(root))

    def _walk(self, node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for child in node.get("Plans", ()):
            yield from self._walk(child)

    @property
    def scans(self) -> list[dict[str, Any]]:
        """The nodes that read tables, and were not skipped."""
        return [node for node in self.nodes if "Relation Name" in node and node["Actual Loops"]]

    @property
    def rows_read(self) -> int:
        """Whether they were of use or not."""
        return sum(
            round((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
            for node in self.scans
        )


@pytest.fixture
def filled(log: LogPen) -> LogPen:
    """A log of 20 users with 1,000 events each, over three partitions of several."""
    weeks = [NOW - timedelta(days=7), NOW, NOW + timedelta(days=7)]
    log.connection.execute(_FILL, [[event_id_floor(to_ms(week))[:-16] for week in weeks]])
    log.connection.execute("ANALYZE event_log")
    return log


def plan(log: LogPen, question: questions.Question, **values: object) -> Plan:
    """Run a question as a prepared statement that knows no values: the worst that psycopg can get."""
    compiled = str(question.compile(dialect=PGDialectAsync_psycopg()))  # type: ignore[no-untyped-call]
    names = list(values)
    statement = compiled % {name: f"${number}" for number, name in enumerate(names, 1)}
    given = ", ".join(f"'{values[name]}'" for name in names)
    log.connection.execute("SET plan_cache_mode = force_generic_plan")
    log.connection.execute(f"PREPARE asked AS {statement}".encode())
    row = log.connection.execute(
        f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked ({given})".encode()
    ).fetchone()
    assert row is not None
    explained: Any = row[0] if isinstance(row[0], list) else json.loads(str(row[0]))
    return Plan(explained[0]["Plan"])


@pytest.mark.parametrize("before_seq", [2**63 - 1, PER_USER // 2, 60])
def test_a_page_costs_its_rows_at_any_depth(filled: LogPen, before_seq: int) -> None:
    page = plan(filled, questions.PAGE, user_id="user_7", before_seq=before_seq, limit=50, skip=0)
    assert {node["Index Name"].endswith("user_id_seq_idx") for node in page.scans} == {True}
    assert "Sort" not in {node["Node Type"] for node in page.nodes}
    # The merge of the partitions looks at one row of each beyond the page.
    assert page.rows_read <= 50 + len(page.scans)


def test_what_is_skipped_is_read(filled: LogPen) -> None:
    page = plan(filled, questions.PAGE, user_id="user_7", before_seq=2**63 - 1, limit=50, skip=500)
    assert 550 <= page.rows_read <= 550 + len(page.scans)


def test_a_look_up_by_id_touches_one_partition(filled: LogPen) -> None:
    row = filled.connection.execute("SELECT event_id FROM event_log LIMIT 1").fetchone()
    assert row is not None
    found = plan(filled, questions.FIND, event_id=row[0])
    assert [node["Node Type"] for node in found.scans] == ["Index Scan"]
    assert found.rows_read == 1


def test_a_delivery_touches_one_partition_and_the_users_devices(filled: LogPen) -> None:
    row = filled.connection.execute("SELECT event_id FROM event_log LIMIT 1").fetchone()
    assert row is not None
    found = plan(filled, questions.DELIVERY, event_id=row[0])
    tables = sorted(node["Relation Name"].partition("_w")[0] for node in found.scans)
    assert [name for name in tables if name.startswith("event_log")] == tables[1:2]
    assert set(tables) <= {"device_cursor", "log_epoch", tables[1]}


def test_critical_events_are_read_from_the_index_that_holds_nothing_else(filled: LogPen) -> None:
    since = (NOW - timedelta(hours=168)).isoformat()
    critical = plan(filled, questions.CRITICAL, since=since, limit=100)
    used = {node["Index Name"] for node in critical.nodes if "Index Name" in node}
    assert {name.endswith("created_at_idx") for name in used} == {True}
    # The 100 of the week are counted, and the newest of them read.
    assert critical.rows_read <= 2 * 100 + 2 * len(critical.scans)

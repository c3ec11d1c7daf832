"""Which events `tail` shows."""

import pytest

from harkara_cli.event_filter import EventFilter
from harkara_cli.event_lines import Event


def passes(wanted: EventFilter, kind: str = "order_ready", level: str = "high", frame: str = "") -> bool:
    return wanted.passes(Event(event_type=kind, event_level=level), frame, "a line of Anna's")


@pytest.mark.parametrize(
    ("types", "asked"),
    [
        (["*"], ["*"]),
        (["order_ready", "eta_updated"], ["order_ready", "eta_updated"]),
        (["payment_*"], ["*"]),
        (["order_ready", "payment_*"], ["order_ready", "*"]),
    ],
)
def test_the_server_is_asked_for_names_and_for_all_where_there_is_a_glob(
    types: list[str], asked: list[str]
) -> None:
    assert EventFilter(types).subscription == asked


def test_a_glob_is_matched_here() -> None:
    wanted = EventFilter(["payment_*", "order_ready"])
    assert passes(wanted, "payment_failed")
    assert passes(wanted, "order_ready")
    assert not passes(wanted, "order_created")


def test_a_level_is_the_least_that_is_shown() -> None:
    wanted = EventFilter(least_level="high")
    assert [level for level in ("low", "medium", "high", "critical") if passes(wanted, level=level)] == [
        "high",
        "critical",
    ]


def test_a_level_that_is_not_known_hides_nothing() -> None:
    assert passes(EventFilter(least_level="critical"), level="apocalyptic")


def test_a_text_is_looked_for_in_the_line_and_in_the_json_in_upper_or_lower_case() -> None:
    assert passes(EventFilter(text="ANNA"))
    assert passes(EventFilter(text='"order_id":"ORD_1"'), frame='{"data":{"order_id":"ord_1"}}')
    assert not passes(EventFilter(text="bert"), frame="{}")

"""What the server says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_catalogue.codes import ERROR_CODES
from harkara_edge.domain import replies


def test_a_time_is_shown_in_utc_to_the_millisecond() -> None:
    assert replies.iso_time(1_769_509_800.0) == "2026-01-27T10:30:00.000Z"
    assert replies.iso_time(1_769_509_800.9999) == "2026-01-27T10:30:00.999Z"


@given(st.floats(0, 1e18))
def test_no_end_of_a_token_is_too_late_to_show(wall: float) -> None:
    assert replies.iso_time(wall).endswith("Z")


def test_recovered_is_told_only_where_a_resume_was_asked() -> None:
    def answer(*, recovered: bool | None) -> dict[str, object]:
        text = replies.authenticated(
            user_id="u",
            user_role="customer",
            connection_id="conn_1",
            epoch="e",
            seq=0,
            heartbeat_interval=30,
            expires_at=0.0,
            recovered=recovered,
        )
        message: dict[str, object] = json.loads(text)
        return message

    assert answer(recovered=None) == {
        "type": "authenticated",
        "user_id": "u",
        "user_role": "customer",
        "connection_id": "conn_1",
        "epoch": "e",
        "seq": 0,
        "heartbeat_interval": 30,
        "expires_at": "1970-01-01T00:00:00.000Z",
    }
    assert answer(recovered=False)["recovered"] is False
    assert answer(recovered=True)["recovered"] is True


def test_an_empty_subscription_is_told_as_an_empty_list() -> None:
    assert json.loads(replies.subscription_updated(())) == {
        "type": "subscription_updated",
        "subscribed_events": [],
    }


@pytest.mark.parametrize("code", [error.code for error in ERROR_CODES.values() if error.on_websocket])
def test_an_error_carries_its_code_and_the_catalogues_words(code: str) -> None:
    assert json.loads(replies.error(code)) == {
        "type": "error",
        "code": code,
        "message": ERROR_CODES[code].meaning,
    }


def test_an_error_names_the_events_at_fault() -> None:
    assert json.loads(replies.error("unknown_event_type", ["x"]))["events"] == ["x"]

"""The table of errors and closes."""

from __future__ import annotations

import grpc
import pytest

from harkara_catalogue import CLOSE_CODES, ERROR_CODES, GRPC_STATUS_NUMBERS, ClientAction

STOP = ClientAction.STOP
BACK_OFF = ClientAction.BACK_OFF


def test_these_are_the_closes_and_what_a_client_does_then() -> None:
    assert {code: (close.error_code, close.client) for code, close in CLOSE_CODES.items()} == {
        1000: (None, STOP),
        1002: (None, STOP),
        1003: (None, STOP),
        1007: (None, STOP),
        1009: (None, STOP),
        1011: ("internal_error", BACK_OFF),
        1012: ("server_restarting", ClientAction.RECONNECT_SPREAD),
        1013: ("try_again_later", BACK_OFF),
        4400: ("bad_message", STOP),
        4401: ("unauthenticated", ClientAction.NEW_TOKEN),
        4402: ("token_expired", ClientAction.NEW_TOKEN),
        4403: ("forbidden", STOP),
        4408: ("timeout", ClientAction.RECONNECT),
        4429: ("rate_limited", BACK_OFF),
    }


def test_these_errors_are_told_while_the_connection_stays() -> None:
    assert {code for code, error in ERROR_CODES.items() if error.stays_open} == {
        "bad_message",
        "unknown_event_type",
        "too_many_subscriptions",
        "rate_limited",
        "try_again_later",
    }


def test_an_error_and_its_close_name_each_other() -> None:
    from_closes = {
        close.error_code: code for code, close in CLOSE_CODES.items() if close.error_code is not None
    }
    from_errors = {
        code: error.close_code for code, error in ERROR_CODES.items() if error.close_code is not None
    }
    assert from_closes == from_errors


def test_an_error_stands_in_the_table_under_its_own_code() -> None:
    assert all(error.code == code for code, error in ERROR_CODES.items())


def test_every_error_can_be_told_somewhere() -> None:
    assert all(error.on_websocket or error.grpc_status or error.http_status for error in ERROR_CODES.values())


@pytest.mark.parametrize(
    ("code", "grpc_status", "http_status"),
    [
        ("invalid_argument", "INVALID_ARGUMENT", 422),
        ("unknown_event_type", "INVALID_ARGUMENT", 422),
        ("unauthenticated", "UNAUTHENTICATED", 401),
        ("forbidden", "PERMISSION_DENIED", 403),
        ("not_found", "NOT_FOUND", 404),
        ("already_exists", "ALREADY_EXISTS", None),
        ("unimplemented", "UNIMPLEMENTED", None),
        ("rate_limited", "RESOURCE_EXHAUSTED", 429),
        ("overloaded", "RESOURCE_EXHAUSTED", 503),
        ("try_again_later", "UNAVAILABLE", 503),
        ("internal_error", "INTERNAL", 500),
    ],
)
def test_an_error_has_its_status_on_each_way_out(
    code: str, grpc_status: str | None, http_status: int | None
) -> None:
    assert ERROR_CODES[code].grpc_status == grpc_status
    assert ERROR_CODES[code].http_status == http_status


def test_grpc_statuses_have_the_numbers_that_grpc_gives_them() -> None:
    assert {status.name: status.value[0] for status in grpc.StatusCode} == GRPC_STATUS_NUMBERS
    assert {error.grpc_status for error in ERROR_CODES.values()} - {None} <= GRPC_STATUS_NUMBERS.keys()

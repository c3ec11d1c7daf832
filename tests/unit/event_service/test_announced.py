"""What fan-out needs of an event: the same whether it was committed here or heard of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harkara_event_service.domain import event as event_module
from harkara_event_service.domain.event import Announced, NumberedEvent, announced, client_text
from tests.support.events import make_event

NOW = datetime(2026, 1, 27, 10, 30, tzinfo=UTC)


def test_a_stored_event_is_announced_with_what_fan_out_asks_for() -> None:
    event = make_event("ada", event_type="eta_updated", level="low", collapse_key="eta", expires_at=NOW)

    told = announced(NumberedEvent(event, 7))

    assert (told.user_id, told.seq, told.event_type) == ("ada", 7, "eta_updated")
    assert (told.collapse_key, told.expires_at) == ("eta", NOW)
    assert told.text == client_text(NumberedEvent(event, 7))


def test_the_text_is_made_once_and_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def make(numbered: NumberedEvent) -> bytes:
        made.append(numbered.seq)
        return client_text(numbered)

    monkeypatch.setattr(event_module, "client_text", make)
    told = announced(NumberedEvent(make_event(), 7))
    assert told.text_bytes > 0
    assert made == []

    assert told.text is told.text
    assert made == [7]


def test_an_event_heard_of_keeps_the_text_it_came_with() -> None:
    told = Announced("ada", 7, "order_created", made=b'{"heard":1}')

    assert (told.text, told.text_bytes) == (b'{"heard":1}', 11)


def test_an_event_without_text_and_origin_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="must come with its text"):
        _ = Announced("ada", 7, "order_created").text


@pytest.mark.parametrize("data", ["{}", '{"a":"' + "x" * 5_000 + '"}', '{"a":"' + "\u00e9" * 5_000 + '"}'])
def test_the_size_is_about_right_before_the_text_is_made(data: str) -> None:
    told = announced(NumberedEvent(make_event(data=data), 7))

    assert abs(told.text_bytes - len(told.text)) < 256


@pytest.mark.parametrize(
    ("expires_at", "expired"), [(None, False), (NOW + timedelta(microseconds=1), False), (NOW, True)]
)
def test_an_event_expires_at_its_moment(expires_at: datetime | None, expired: bool) -> None:
    assert Announced("ada", 7, "order_created", expires_at=expires_at).has_expired(NOW) is expired

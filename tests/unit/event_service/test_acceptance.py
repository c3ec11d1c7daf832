"""What an emitter may say: the defaults, and every fault by the name of its field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_catalogue.event_types import Catalogue
from harkara_event_service.domain.acceptance import (
    EVENT_ID,
    MAX_AHEAD,
    USER_ID,
    Draft,
    Emitter,
    Fault,
    FaultCode,
    accept,
    moment_of,
    ttl_of,
)
from harkara_event_service.domain.event import Event
from harkara_schema.partitions import event_id_floor, to_ms
from tests.support.events import JSON_OBJECTS, fresh_event_id

NOW = datetime(2026, 1, 27, 10, 30, 0, 123_456, tzinfo=UTC)
FRESH_ID = "evt_01KG0000000000000000000001"
OWN_ID = event_id_floor(to_ms(NOW))
CATALOGUE = Catalogue.reference()
EMITTER = Emitter("orders_service", frozenset({"order_created", "location_updated"}))
DRAFT = Draft(user_id="user_123", event_type="order_created", data='{"order_id":"o1"}')


def judged(draft: Draft) -> Event | Fault:
    return accept(CATALOGUE, EMITTER, draft, now=NOW, fresh_id=FRESH_ID)


def changed(**fields: object) -> Draft:
    return msgspec.structs.replace(DRAFT, **fields)


def accepted(**fields: object) -> Event:
    event = judged(changed(**fields))
    assert isinstance(event, Event), event
    return event


def fault_of(**fields: object) -> tuple[str, str]:
    fault = judged(changed(**fields))
    assert isinstance(fault, Fault)
    assert fault.message
    return fault.code.value, fault.field


def test_what_is_left_out_has_a_default() -> None:
    assert accepted() == Event(
        event_id=FRESH_ID,
        user_id="user_123",
        event_type="order_created",
        level="high",
        timestamp=NOW,
        source="orders_service",
        data='{"order_id":"o1"}',
        accept_time=NOW,
        collapse_key=None,
        level_given=False,
        timestamp_given=False,
    )


def test_what_is_given_is_kept() -> None:
    moment = datetime(2020, 2, 29, 1, 2, 3, 4, tzinfo=UTC)

    event = accepted(
        event_type="location_updated",
        level="low",
        source="orders_service",
        event_id=OWN_ID,
        timestamp=moment,
        collapse_key="courier/7",
        data="{}",
    )

    assert event == Event(
        event_id=OWN_ID,
        user_id="user_123",
        event_type="location_updated",
        level="low",
        timestamp=moment,
        source="orders_service",
        data="{}",
        accept_time=NOW,
        collapse_key="courier/7",
        level_given=True,
        timestamp_given=True,
    )


@pytest.mark.parametrize("name", CATALOGUE.types)
def test_the_level_left_out_is_the_types(name: str) -> None:
    everything = Emitter("any", frozenset(CATALOGUE.types))

    event = accept(CATALOGUE, everything, changed(event_type=name, data="{}"), now=NOW, fresh_id=FRESH_ID)

    assert isinstance(event, Event)
    assert event.level == CATALOGUE.types[name].default_level


@pytest.mark.parametrize("user_id", ["", "user 1", "user.1", "ü", "user\n", "a" * 65, "user\0"])
def test_a_user_id_of_another_form_is_refused(user_id: str) -> None:
    assert fault_of(user_id=user_id) == ("INVALID_ARGUMENT", "user_id")


@pytest.mark.parametrize("user_id", ["a", "A-Z_09", "a" * 64])
def test_a_user_id_needs_only_the_form(user_id: str) -> None:
    assert accepted(user_id=user_id).user_id == user_id


@pytest.mark.parametrize("event_type", ["", "no_such_type", "ORDER_CREATED", "order_created ", "*"])
def test_a_type_that_is_not_in_the_catalogue_is_refused(event_type: str) -> None:
    assert fault_of(event_type=event_type) == ("INVALID_ARGUMENT", "event_type")


def test_a_type_that_was_not_granted_is_denied() -> None:
    assert fault_of(event_type="payment_failed") == ("PERMISSION_DENIED", "event_type")


@pytest.mark.parametrize("source", ["payment_service", "ORDERS_SERVICE", "orders_service "])
def test_anothers_source_is_denied(source: str) -> None:
    assert fault_of(source=source) == ("PERMISSION_DENIED", "source")


def test_an_unknown_level_is_refused() -> None:
    assert fault_of(level=None) == ("INVALID_ARGUMENT", "event_level")


@pytest.mark.parametrize(
    "event_id",
    [
        "evt_",
        "evt_01KG000000000000000000000",
        "evt_01KG00000000000000000000000",
        "evt_01kg0000000000000000000000",
        "EVT_01KG0000000000000000000000",
        "evt_81KG0000000000000000000000",
        "evt_01KG000000000000000000000U",
        "evt_01KG0000000000000000000000\n",
        " evt_01KG0000000000000000000000",
        "01KG0000000000000000000000",
        "evt_7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
    ],
)
def test_an_event_id_that_is_no_ulid_or_of_the_far_future_is_refused(event_id: str) -> None:
    assert fault_of(event_id=event_id) == ("INVALID_ARGUMENT", "event_id")


def test_an_event_id_may_be_an_hour_ahead_and_no_more() -> None:
    ahead = to_ms(NOW + MAX_AHEAD)

    assert accepted(event_id=event_id_floor(ahead)).event_id == event_id_floor(ahead)
    assert fault_of(event_id=event_id_floor(ahead + 1)) == ("INVALID_ARGUMENT", "event_id")


def test_how_old_an_event_id_may_be_is_not_judged_here() -> None:
    assert accepted(event_id=event_id_floor(0)).event_id == event_id_floor(0)


def test_a_timestamp_that_no_calendar_has_is_refused() -> None:
    assert fault_of(timestamp_is_sound=False) == ("INVALID_ARGUMENT", "timestamp")


@pytest.mark.parametrize("key", [" ", "two words", "tab\t", "ü", "x" * 65, "line\n", "\x7f"])
def test_a_collapse_key_of_another_form_is_refused(key: str) -> None:
    fault = fault_of(event_type="location_updated", collapse_key=key, data="{}")

    assert fault == ("INVALID_ARGUMENT", "collapse_key")


@pytest.mark.parametrize(
    ("event_type", "level"),
    [("order_created", ""), ("order_created", "medium"), ("location_updated", "high")],
)
def test_a_collapse_key_is_only_for_events_of_level_low(event_type: str, level: str) -> None:
    fault = fault_of(event_type=event_type, level=level, collapse_key="key", data="{}")

    assert fault == ("INVALID_ARGUMENT", "collapse_key")


@pytest.mark.parametrize(("event_type", "level"), [("order_created", "low"), ("location_updated", "")])
def test_a_collapse_key_is_kept_on_events_of_level_low(event_type: str, level: str) -> None:
    event = accepted(event_type=event_type, level=level, collapse_key="~" * 64, data="{}")

    assert event.collapse_key == "~" * 64


def test_an_event_expires_its_ttl_after_it_was_accepted() -> None:
    assert accepted(ttl=timedelta(seconds=90)).expires_at == NOW + timedelta(seconds=90)
    assert accepted().expires_at is None


def test_a_ttl_that_is_none_is_refused() -> None:
    assert fault_of(ttl_is_sound=False) == ("INVALID_ARGUMENT", "ttl")


@pytest.mark.parametrize(
    ("seconds", "nanos", "ttl"),
    [
        (0, 1, timedelta(microseconds=1)),
        (0, 1_000, timedelta(microseconds=1)),
        (90, 500_000_000, timedelta(seconds=90.5)),
        (30 * 86_400, 0, timedelta(days=30)),
        (0, 0, None),
        (-1, 0, None),
        (0, -1, None),
        (0, 1_000_000_000, None),
        (30 * 86_400, 1, None),
        (2**62, 0, None),
    ],
)
def test_a_ttl_is_more_than_nothing_and_at_most_30_days(
    seconds: int, nanos: int, ttl: timedelta | None
) -> None:
    assert ttl_of(seconds, nanos) == ttl


@given(seconds=st.integers(-(2**63), 2**63 - 1), nanos=st.integers(-(2**31), 2**31 - 1))
def test_a_ttl_is_within_its_bounds_or_none(seconds: int, nanos: int) -> None:
    ttl = ttl_of(seconds, nanos)

    assert ttl is None or timedelta(0) < ttl <= timedelta(days=30)


def test_an_ephemeral_event_says_so() -> None:
    assert accepted(is_ephemeral=True).is_ephemeral
    assert not accepted().is_ephemeral


def test_an_ephemeral_event_may_name_no_id_that_is_too_old() -> None:
    """A stored one may: only the log knows whether it is there already."""
    old = fresh_event_id(NOW - timedelta(days=7, seconds=1))

    assert fault_of(is_ephemeral=True, event_id=old) == ("INVALID_ARGUMENT", "event_id")
    assert accepted(event_id=old).event_id == old
    week_old = fresh_event_id(NOW - timedelta(days=7))
    assert accepted(is_ephemeral=True, event_id=week_old).event_id == week_old


def test_a_kind_of_storage_of_a_later_contract_is_refused() -> None:
    assert fault_of(storage_is_known=False) == ("INVALID_ARGUMENT", "storage")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ("", "data"),
        ("[]", "data"),
        ("{", "data"),
        ('{"a":NaN}', "data"),
        ('{"a":"\\u0000"}', "data.a"),
        ('{"a":"\\ud800"}', "data.a"),
        ('{"total_amount":"much"}', "data.total_amount"),
        ('{"items":[{"price":1},{"price":"2"}]}', "data.items[1].price"),
        ('{"x":"' + "x" * 65_536 + '"}', "data"),
        ('{"a":' * 33 + "1" + "}" * 33, "data" + ".a" * 32),
    ],
)
def test_data_that_is_not_sound_is_refused_with_its_place(data: str, field: str) -> None:
    assert fault_of(data=data) == ("INVALID_ARGUMENT", field)


def test_a_right_that_is_missing_comes_before_a_fault_of_form() -> None:
    """Whoever may not emit a type learns nothing of how it looks."""
    assert fault_of(event_type="payment_failed", user_id="", data="") == ("PERMISSION_DENIED", "event_type")


def test_a_fault_names_the_event_id_that_was_given() -> None:
    fault = judged(changed(user_id="", event_id=OWN_ID))
    unnamed = judged(changed(user_id=""))

    assert isinstance(fault, Fault)
    assert isinstance(unnamed, Fault)
    assert (fault.event_id, unnamed.event_id) == (OWN_ID, "")


@given(data=JSON_OBJECTS)
def test_data_of_any_json_object_is_kept_byte_for_byte(data: str) -> None:
    # Its names are short: none of them is a field that the type knows.
    assert accepted(data=data).data == data


_TEXTS = st.text(max_size=8) | st.sampled_from(["user_1", "order_created", "payment_failed", OWN_ID, "{}"])


@given(
    draft=st.builds(
        Draft,
        user_id=_TEXTS,
        event_type=_TEXTS,
        data=_TEXTS,
        level=st.sampled_from(["", "low", "high", None]),
        source=_TEXTS,
        event_id=_TEXTS,
        timestamp=st.none() | st.datetimes(timezones=st.just(UTC)),
        collapse_key=_TEXTS,
        is_ephemeral=st.booleans(),
        ttl=st.none() | st.timedeltas(timedelta(microseconds=1), timedelta(days=30)),
        ttl_is_sound=st.booleans(),
        timestamp_is_sound=st.booleans(),
        storage_is_known=st.booleans(),
    )
)
def test_whatever_is_said_becomes_a_sound_event_or_a_fault_that_names_a_field(draft: Draft) -> None:
    outcome = judged(draft)

    if isinstance(outcome, Fault):
        assert outcome.field.partition(".")[0].partition("[")[0] in {
            "user_id",
            "event_type",
            "event_level",
            "data",
            "source",
            "event_id",
            "timestamp",
            "collapse_key",
            "ttl",
            "storage",
        }
        assert outcome.code in FaultCode
    else:
        assert USER_ID.fullmatch(outcome.user_id)
        assert EVENT_ID.fullmatch(outcome.event_id)
        assert outcome.source == EMITTER.name
        assert outcome.event_type in EMITTER.event_types


@given(
    moment=st.datetimes(timezones=st.just(UTC)),
    below_a_microsecond=st.integers(0, 999),
)
def test_a_moment_of_the_calendar_is_kept_to_the_microsecond(
    moment: datetime, below_a_microsecond: int
) -> None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since // timedelta(seconds=1)
    nanos = moment.microsecond * 1000 + below_a_microsecond

    assert moment_of(seconds, nanos) == moment


@given(seconds=st.integers(-(2**63), 2**63 - 1), nanos=st.integers(-(2**31), 2**31 - 1))
def test_a_moment_is_one_of_the_calendar_or_none(seconds: int, nanos: int) -> None:
    moment = moment_of(seconds, nanos)

    in_calendar = -62_135_596_800 <= seconds <= 253_402_300_799 and 0 <= nanos < 1_000_000_000
    assert (moment is not None) == in_calendar


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(-62_135_596_801, 0), (253_402_300_800, 0), (0, -1), (0, 1_000_000_000), (2**62, 0)],
)
def test_a_moment_just_outside_of_the_calendar_is_none(seconds: int, nanos: int) -> None:
    assert moment_of(seconds, nanos) is None

"""The catalogue of the reference."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any, cast

import pytest

from harkara_catalogue import LEVELS, Catalogue, EventType
from harkara_catalogue.shapes import NUMBER, fields

DEFAULT_LEVELS = {
    "earning_recorded": "medium",
    "bonus_earned": "high",
    "payout_approved": "high",
    "payout_completed": "high",
    "wallet_updated": "medium",
    "delivery_accepted": "high",
    "delivery_in_transit": "medium",
    "delivery_arrived": "high",
    "delivery_completed": "high",
    "order_created": "high",
    "order_confirmed": "high",
    "order_ready": "high",
    "payment_initiated": "high",
    "payment_completed": "high",
    "payment_failed": "critical",
    "location_updated": "low",
    "eta_updated": "medium",
}


def test_the_reference_has_17_types_with_these_default_levels() -> None:
    catalogue = Catalogue.reference()
    assert {name: catalogue.level_of(name) for name in catalogue.types} == DEFAULT_LEVELS
    assert [event_type.name for event_type in catalogue.types.values()] == list(catalogue.types)


def test_levels_go_from_the_least_urgent_to_the_most() -> None:
    assert LEVELS == ("low", "medium", "high", "critical")


def test_the_reference_is_always_the_same_catalogue() -> None:
    assert Catalogue.reference() is Catalogue.reference()


def test_an_unknown_type_has_no_level() -> None:
    with pytest.raises(KeyError):
        Catalogue.reference().level_of("order_eaten")


def test_a_catalogue_cannot_be_changed() -> None:
    catalogue = Catalogue.reference()
    order_created = catalogue.types["order_created"]
    with pytest.raises(TypeError):
        cast("dict[str, Any]", catalogue.types)["order_eaten"] = order_created
    with pytest.raises(TypeError):
        cast("dict[str, Any]", order_created.data.fields)["order_id"] = NUMBER
    with pytest.raises(FrozenInstanceError):
        order_created.default_level = "low"  # type: ignore[misc] # what the test is about.


def test_a_catalogue_does_not_follow_what_it_was_made_from() -> None:
    known = {"amount": NUMBER}
    types = {"tip_given": EventType("tip_given", "low", "Tips", "A tip is given", fields(**known))}
    catalogue = Catalogue(types)
    types.clear()
    known.clear()
    assert list(catalogue.types) == ["tip_given"]
    assert list(catalogue.types["tip_given"].data.fields) == ["amount"]


def test_a_name_stands_for_one_type() -> None:
    tip = EventType("tip_given", "low", "Tips", "A tip is given", fields())
    with pytest.raises(ValueError, match="'tip_given' is defined twice"):
        Catalogue.of([tip, tip])

"""The event types: their names, default levels and shapes of `data`.

The 17 types of the reference stand here, as one table (docs/protocol.md, "The catalogue"). A
`Catalogue` is those, and with them the types that a deployment adds (`catalogue_file`). Everything
else about a type is derived: the check at Emit in `data_check`, the JSON Schema in `json_schema`, the
docs page in `markdown`.

What does not belong here: reading files, checking texts.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args

from harkara_catalogue.shapes import BOOLEAN, NUMBER, STRING, ArrayShape, ObjectShape, fields

Level: TypeAlias = Literal["low", "medium", "high", "critical"]

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
"""The levels, from the least urgent to the most."""


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event.

    Args:
        name: As it stands in `event_type`.
        default_level: The level of an event whose emitter names none.
        group: The heading it stands under in docs, such as "Earnings".
        when: What has happened when such an event is emitted; one phrase.
        data: The shape of the event's `data`.
    """

    name: str
    default_level: Level
    group: str
    when: str
    data: ObjectShape


# Compared by identity: a process makes one, and what is derived from it is kept under it.
@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """The event types that a deployment knows. Immutable.

    Args:
        types: The types by name, in the order in which to show them.
    """

    types: Mapping[str, EventType]

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", MappingProxyType(dict(self.types)))

    @classmethod
    def of(cls, event_types: Iterable[EventType]) -> Catalogue:
        """Return a catalogue of these types.

        Args:
            event_types: Each name once.

        Raises:
            ValueError: A name occurs twice.
        """
        types: dict[str, EventType] = {}
        for event_type in event_types:
            if event_type.name in types:
                message = f"event type {event_type.name!r} is defined twice"
                raise ValueError(message)
            types[event_type.name] = event_type
        return cls(types)

    @staticmethod
    def reference() -> Catalogue:
        """Return the catalogue of the reference: always the same value."""
        return _reference()

    def level_of(self, name: str) -> Level:
        """Return the default level of a type.

        Args:
            name: A type of this catalogue.

        Raises:
            KeyError: No such type.
        """
        return self.types[name].default_level


REFERENCE_TYPES: Final[tuple[EventType, ...]] = (
    EventType(
        "earning_recorded",
        "medium",
        "Earnings",
        "Delivery completed and earning calculated",
        fields(
            amount=NUMBER,
            delivery_id=STRING,
            breakdown=fields(base=NUMBER, distance_bonus=NUMBER, on_time_bonus=NUMBER, rating_bonus=NUMBER),
            new_balance=NUMBER,
            timestamp=STRING,
        ),
    ),
    EventType(
        "bonus_earned",
        "high",
        "Earnings",
        "Bonus threshold reached",
        fields(amount=NUMBER, bonus_type=STRING, trigger=STRING, period=STRING, new_balance=NUMBER),
    ),
    EventType(
        "payout_approved",
        "high",
        "Earnings",
        "Admin approves withdrawal request",
        fields(
            payout_id=STRING,
            amount=NUMBER,
            bank_account=STRING,
            estimated_transfer_date=STRING,
            estimated_transfer_time=STRING,
        ),
    ),
    EventType(
        "payout_completed",
        "high",
        "Earnings",
        "Money transferred to delivery boy's account",
        fields(
            payout_id=STRING,
            amount=NUMBER,
            transaction_id=STRING,
            bank_account=STRING,
            transferred_at=STRING,
        ),
    ),
    EventType(
        "wallet_updated",
        "medium",
        "Earnings",
        "Wallet balance changes",
        fields(
            previous_balance=NUMBER,
            new_balance=NUMBER,
            change=NUMBER,
            change_reason=STRING,
            timestamp=STRING,
        ),
    ),
    EventType(
        "delivery_accepted",
        "high",
        "Delivery",
        "Delivery boy accepts delivery request",
        fields(
            delivery_id=STRING,
            delivery_boy_id=STRING,
            delivery_boy_name=STRING,
            delivery_boy_rating=NUMBER,
            vehicle_type=STRING,
            accepted_at=STRING,
            estimated_pickup_time=NUMBER,
            estimated_delivery_time=NUMBER,
        ),
    ),
    EventType(
        "delivery_in_transit",
        "medium",
        "Delivery",
        "Delivery boy picks up and starts moving",
        fields(
            delivery_id=STRING,
            location=fields(latitude=NUMBER, longitude=NUMBER, address=STRING),
            accuracy=NUMBER,
            eta_minutes=NUMBER,
            distance_remaining_km=NUMBER,
            updated_at=STRING,
        ),
    ),
    EventType(
        "delivery_arrived",
        "high",
        "Delivery",
        "Delivery boy arrives at destination",
        fields(
            delivery_id=STRING,
            delivery_boy_id=STRING,
            delivery_boy_name=STRING,
            location=fields(latitude=NUMBER, longitude=NUMBER),
            phone_number=STRING,
            arrived_at=STRING,
        ),
    ),
    EventType(
        "delivery_completed",
        "high",
        "Delivery",
        "Delivery confirmed as complete",
        fields(
            delivery_id=STRING,
            order_id=STRING,
            completed_at=STRING,
            total_time_minutes=NUMBER,
            # The reference shows null; a rating is a number in delivery_accepted.
            delivery_rating=NUMBER,
            payment_status=STRING,
        ),
    ),
    EventType(
        "order_created",
        "high",
        "Order",
        "New order placed",
        fields(
            order_id=STRING,
            items=ArrayShape(fields(name=STRING, quantity=NUMBER, price=NUMBER)),
            total_amount=NUMBER,
            delivery_fee=NUMBER,
            total_with_fee=NUMBER,
            delivery_address=STRING,
            estimated_delivery_time=STRING,
            created_at=STRING,
        ),
    ),
    EventType(
        "order_confirmed",
        "high",
        "Order",
        "Shop confirms order",
        fields(order_id=STRING, confirmation_time=STRING, shop_name=STRING, estimated_ready_time=STRING),
    ),
    EventType(
        "order_ready",
        "high",
        "Order",
        "Shop has prepared order",
        fields(order_id=STRING, ready_at=STRING, pickup_by=STRING),
    ),
    EventType(
        "payment_initiated",
        "high",
        "Payment",
        "Payment process started",
        fields(
            payment_id=STRING,
            order_id=STRING,
            amount=NUMBER,
            currency=STRING,
            method=STRING,
            initiated_at=STRING,
        ),
    ),
    EventType(
        "payment_completed",
        "high",
        "Payment",
        "Payment received",
        fields(
            payment_id=STRING,
            order_id=STRING,
            amount=NUMBER,
            method=STRING,
            upi_id=STRING,
            transaction_id=STRING,
            completed_at=STRING,
        ),
    ),
    EventType(
        "payment_failed",
        "critical",
        "Payment",
        "Payment failed",
        fields(
            payment_id=STRING,
            order_id=STRING,
            amount=NUMBER,
            method=STRING,
            error=STRING,
            failed_at=STRING,
            retry_available=BOOLEAN,
        ),
    ),
    EventType(
        "location_updated",
        "low",
        "Location",
        "Delivery boy's location changes (every 30-60 seconds)",
        fields(
            delivery_id=STRING,
            latitude=NUMBER,
            longitude=NUMBER,
            accuracy=NUMBER,
            altitude=NUMBER,
            speed=NUMBER,
            heading=NUMBER,
            timestamp=STRING,
        ),
    ),
    EventType(
        "eta_updated",
        "medium",
        "Location",
        "ETA changes",
        fields(
            delivery_id=STRING,
            eta_minutes=NUMBER,
            eta_timestamp=STRING,
            distance_remaining_km=NUMBER,
            previous_eta_minutes=NUMBER,
            updated_at=STRING,
        ),
    ),
)
"""The types of the reference, in its order."""


@functools.cache
def _reference() -> Catalogue:
    return Catalogue.of(REFERENCE_TYPES)

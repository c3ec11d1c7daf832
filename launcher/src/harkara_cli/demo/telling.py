"""What each event of the city says: the `data` of all 17 types, in the catalogue's shapes.

A few fields are not the catalogue's, which lets more through: `order_id` on what belongs to a delivery, and
what a map needs (`shop`, `destination`, `route`). Minutes and speeds are the city's; instants are those of
our own clocks.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harkara_cli.demo.orders import Order
from harkara_cli.demo.people import Rider
from harkara_cli.demo.rides import Sight
from harkara_cli.demo.services import service_of
from harkara_cli.demo.streets import Point, Route, Streets

# Only the newest place of a rider counts, and one of a minute ago would have them jump back.
_LOCATION_TTL = 60.0
# Nobody needs to hear late when something should have come. It has no collapse key, which is for what is of
# level low: the catalogue has this one as medium.
_ETA_TTL = 300.0


@dataclass(frozen=True)
class Happening:
    """One event to be.

    Attributes:
        at: When, in seconds of the city.
        event_type: Of the catalogue.
        user_id: Whom it is for.
        data: What it says.
        collapse_key: Of what only the newest counts, if any.
        ttl: After how many real seconds it is of no use; None is never.
    """

    at: float
    event_type: str
    user_id: str
    data: dict[str, Any]
    collapse_key: str | None = None
    ttl: float | None = None

    @property
    def source(self) -> str:
        """The service that emits it."""
        return service_of(self.event_type)


@dataclass
class Delivery:
    """What is known of a delivery under way.

    Attributes:
        delivery_id: Names it in events.
        order: What is brought.
        rider: Who brings it.
        began: When it was accepted, in seconds of the city.
        promised: How many seconds after that it should be there.
        eta_minutes: What was told last.
    """

    delivery_id: str
    order: Order
    rider: Rider
    began: float
    promised: float
    eta_minutes: int


@dataclass(frozen=True)
class Payment:
    """One attempt to charge.

    Attributes:
        payment_id: Names it in events.
        transaction_id: Of the bank, where it succeeds.
        order: What is paid.
        method: `upi`, `card` or `netbanking`.
    """

    payment_id: str
    transaction_id: str
    order: Order
    method: str

    @property
    def fields(self) -> dict[str, Any]:
        """What all of its events have."""
        return {
            "payment_id": self.payment_id,
            "order_id": self.order.order_id,
            "amount": self.order.total,
            "method": self.method,
        }


class Teller:
    """Collects what happens, as events to be.

    Args:
        streets: The map.
        clock: When a second of the city is: a time in UTC.
    """

    def __init__(self, streets: Streets, clock: Callable[[float], datetime]) -> None:
        self._streets = streets
        self._clock = clock
        self._told: list[Happening] = []
        self.now = 0.0
        """In seconds of the city; whoever tells sets it."""

    def take(self) -> list[Happening]:
        """What was told since the last time."""
        told, self._told = self._told, []
        return told

    def created(self, order: Order, estimated: float) -> None:
        """An order began, and should be there after so many seconds."""
        data = {
            "order_id": order.order_id,
            "items": [
                {"name": dish.name, "quantity": quantity, "price": dish.price * quantity}
                for dish, quantity in order.dishes
            ],
            "total_amount": order.amount,
            "delivery_fee": order.fee,
            "total_with_fee": order.total,
            "delivery_address": order.customer.address,
            "estimated_delivery_time": f"{minutes(estimated)} minutes",
            "created_at": self._instant(),
            "shop": {"name": order.shop.name, **self._spot(order.shop.crossing)},
            "destination": self._spot(order.customer.crossing),
        }
        self._tell("order_created", order.customer.user_id, data)
        self._tell("order_created", order.shop.user_id, data)

    def charging(self, payment: Payment) -> None:
        """A payment began."""
        more = {"currency": "INR", "initiated_at": self._instant()}
        self._tell("payment_initiated", payment.order.customer.user_id, {**payment.fields, **more})

    def paid(self, payment: Payment) -> None:
        """A payment succeeded."""
        customer = payment.order.customer
        data = {
            **payment.fields,
            **({"upi_id": customer.upi_id} if payment.method == "upi" else {}),
            "transaction_id": payment.transaction_id,
            "completed_at": self._instant(),
        }
        self._tell("payment_completed", customer.user_id, data)
        self._tell("payment_completed", payment.order.shop.user_id, data)

    def not_paid(self, payment: Payment, why: str, *, again: bool) -> None:
        """A payment failed."""
        more = {"error": why, "failed_at": self._instant(), "retry_available": again}
        self._tell("payment_failed", payment.order.customer.user_id, {**payment.fields, **more})

    def confirmed(self, order: Order, cooking: float) -> None:
        """The shop cooks, for so many seconds."""
        data = {
            "order_id": order.order_id,
            "confirmation_time": self._instant(),
            "shop_name": order.shop.name,
            "estimated_ready_time": self._instant(cooking),
        }
        self._tell("order_confirmed", order.customer.user_id, data)

    def ready(self, order: Order) -> None:
        """The shop has cooked."""
        data = {"order_id": order.order_id, "ready_at": self._instant(), "pickup_by": self._instant(600)}
        self._tell("order_ready", order.customer.user_id, data)

    def accepted(self, delivery: Delivery, until_pickup: float, to_shop: Route) -> None:
        """A rider comes for it."""
        rider = delivery.rider
        data = {
            "delivery_id": delivery.delivery_id,
            "order_id": delivery.order.order_id,
            "delivery_boy_id": rider.user_id,
            "delivery_boy_name": rider.name,
            "delivery_boy_rating": rider.rating,
            "vehicle_type": rider.vehicle,
            "accepted_at": self._instant(),
            "estimated_pickup_time": minutes(until_pickup),
            "estimated_delivery_time": delivery.eta_minutes,
            "eta_timestamp": self._instant(delivery.promised),
            "location": self._spot(rider.crossing),
            "route": _line(to_shop),
        }
        self._tell("delivery_accepted", delivery.order.customer.user_id, data)
        self._tell("delivery_accepted", rider.user_id, data)

    def located(self, delivery: Delivery, sight: Sight) -> None:
        """Where the rider is."""
        data = {
            "delivery_id": delivery.delivery_id,
            "order_id": delivery.order.order_id,
            **_place(sight.point),
            "accuracy": 10,
            "altitude": 216,
            "speed": round(sight.metres_per_second * 3.6, 1),
            "heading": round(sight.heading) % 360,
            "timestamp": self._instant(),
        }
        self._tell(
            "location_updated",
            delivery.order.customer.user_id,
            data,
            collapse_key=delivery.delivery_id,
            ttl=_LOCATION_TTL,
        )

    def estimated(self, delivery: Delivery, metres_left: float, seconds_left: float) -> None:
        """When it should be there; only where the minutes changed."""
        previous, delivery.eta_minutes = delivery.eta_minutes, minutes(seconds_left)
        if delivery.eta_minutes == previous:
            return
        data = {
            "delivery_id": delivery.delivery_id,
            "order_id": delivery.order.order_id,
            "eta_minutes": delivery.eta_minutes,
            "eta_timestamp": self._instant(seconds_left),
            "distance_remaining_km": _kilometres(metres_left),
            "previous_eta_minutes": previous,
            "updated_at": self._instant(),
        }
        self._tell("eta_updated", delivery.order.customer.user_id, data, ttl=_ETA_TTL)

    def in_transit(self, delivery: Delivery, to_home: Route, seconds: float) -> None:
        """The rider has it, and should be there after so many seconds."""
        delivery.eta_minutes = minutes(seconds)
        data = {
            "delivery_id": delivery.delivery_id,
            "order_id": delivery.order.order_id,
            "location": self._spot(delivery.order.shop.crossing),
            "accuracy": 10,
            "eta_minutes": delivery.eta_minutes,
            "eta_timestamp": self._instant(seconds),
            "distance_remaining_km": _kilometres(to_home.metres),
            "updated_at": self._instant(),
            "route": _line(to_home),
        }
        self._tell("delivery_in_transit", delivery.order.customer.user_id, data)

    def arrived(self, delivery: Delivery, point: Point) -> None:
        """The rider is at the door."""
        data = {
            "delivery_id": delivery.delivery_id,
            "order_id": delivery.order.order_id,
            "delivery_boy_id": delivery.rider.user_id,
            "delivery_boy_name": delivery.rider.name,
            "location": _place(point),
            "phone_number": delivery.rider.phone,
            "arrived_at": self._instant(),
        }
        self._tell("delivery_arrived", delivery.order.customer.user_id, data)

    def completed(self, delivery: Delivery, rating: int | None) -> None:
        """It is in the customer's hands."""
        order = delivery.order
        data = {
            "delivery_id": delivery.delivery_id,
            "order_id": order.order_id,
            "completed_at": self._instant(),
            "total_time_minutes": round((self.now - order.began) / 60),
            "delivery_rating": rating,
            "payment_status": "paid",
        }
        self._tell("delivery_completed", order.customer.user_id, data)
        self._tell("delivery_completed", delivery.rider.user_id, data)

    def earned(self, delivery: Delivery, breakdown: dict[str, int]) -> None:
        """The rider is paid for a delivery; the wallet changes."""
        rider, amount = delivery.rider, sum(breakdown.values())
        data = {
            "amount": amount,
            "delivery_id": delivery.delivery_id,
            "breakdown": breakdown,
            "new_balance": rider.balance + amount,
            "timestamp": self._instant(),
        }
        self._tell("earning_recorded", rider.user_id, data)
        self._wallet(rider, amount, "earning_recorded")

    def bonus(self, rider: Rider, amount: int, trigger: str) -> None:
        """The rider has earned more; the wallet changes."""
        data = {
            "amount": amount,
            "bonus_type": "streak",
            "trigger": trigger,
            "period": f"{self._clock(self.now):%Y-%m}",
            "new_balance": rider.balance + amount,
        }
        self._tell("bonus_earned", rider.user_id, data)
        self._wallet(rider, amount, "bonus_earned")

    def payout_approved(self, rider: Rider, payout_id: str, amount: int, seconds: float) -> None:
        """The rider will have money on their account after so many seconds."""
        due = self._clock(self.now + seconds)
        data = {
            "payout_id": payout_id,
            "amount": amount,
            "bank_account": rider.bank_account,
            "estimated_transfer_date": f"{due:%Y-%m-%d}",
            "estimated_transfer_time": f"{due:%H:%M:%S}",
        }
        self._tell("payout_approved", rider.user_id, data)

    def payout_completed(self, rider: Rider, payout_id: str, amount: int, transaction_id: str) -> None:
        """The rider has it; the wallet changes."""
        data = {
            "payout_id": payout_id,
            "amount": amount,
            "transaction_id": transaction_id,
            "bank_account": rider.bank_account,
            "transferred_at": self._instant(),
        }
        self._tell("payout_completed", rider.user_id, data)
        self._wallet(rider, -amount, "payout_completed")

    def _wallet(self, rider: Rider, change: int, reason: str) -> None:
        previous, rider.balance = rider.balance, rider.balance + change
        data = {
            "previous_balance": previous,
            "new_balance": rider.balance,
            "change": change,
            "change_reason": reason,
            "timestamp": self._instant(),
        }
        self._tell("wallet_updated", rider.user_id, data)

    def _tell(
        self,
        event_type: str,
        user_id: str,
        data: dict[str, Any],
        *,
        collapse_key: str | None = None,
        ttl: float | None = None,
    ) -> None:
        self._told.append(Happening(self.now, event_type, user_id, data, collapse_key, ttl))

    def _spot(self, crossing: str) -> dict[str, Any]:
        """A crossing as a place in `data`."""
        address = f"{self._streets.names[crossing]}, New Delhi"
        return {**_place(self._streets.crossings[crossing]), "address": address}

    def _instant(self, ahead: float = 0.0) -> str:
        """Now, or so many seconds of the city ahead, as it stands in `data`."""
        return f"{self._clock(self.now + ahead):%Y-%m-%dT%H:%M:%S}Z"


def minutes(seconds: float) -> int:
    """How an estimate is told: in whole minutes, at least one."""
    return max(math.ceil(seconds / 60), 1)


def _place(point: Point) -> dict[str, float]:
    return {"latitude": round(point.latitude, 6), "longitude": round(point.longitude, 6)}


def _line(route: Route) -> list[list[float]]:
    """A route as a line in `data`: latitude and longitude of each point."""
    return [[point.latitude, point.longitude] for point in route.points]


def _kilometres(metres: float) -> float:
    return round(metres / 1_000, 2)

"""The life of one order, as a table of states and moves; an illegal move raises and changes nothing.

ORDERED ─charge▶ CHARGING ─paid▶ PAID ─confirmed▶ CONFIRMED ─ready▶ READY ─accepted▶ ACCEPTED
                 │      ▲                                                           │
               failed   charge                                                   picked up
                 ▼      │                                                           ▼
                 UNPAID ┴given up▶ ABANDONED      DELIVERED ◀delivered─ ARRIVED ◀arrived─ RIDING
"""

from dataclasses import dataclass
from enum import StrEnum

from harkara_cli.demo.people import Customer, Dish, Shop


class State(StrEnum):
    """Where an order is in its life."""

    ORDERED = "ordered"
    CHARGING = "paying"
    UNPAID = "payment failed"
    ABANDONED = "given up"
    PAID = "paid"
    CONFIRMED = "in the kitchen"
    READY = "waiting for a rider"
    ACCEPTED = "being fetched"
    RIDING = "on the way"
    ARRIVED = "at the door"
    DELIVERED = "delivered"


class Step(StrEnum):
    """What happens to an order."""

    CHARGE = "charge"
    PAY = "paid"
    FAIL = "failed"
    GIVE_UP = "given up"
    CONFIRM = "confirmed"
    PREPARE = "ready"
    ACCEPT = "accepted"
    PICK_UP = "picked up"
    ARRIVE = "arrived"
    DELIVER = "delivered"


MOVES = {
    (State.ORDERED, Step.CHARGE): State.CHARGING,
    (State.CHARGING, Step.PAY): State.PAID,
    (State.CHARGING, Step.FAIL): State.UNPAID,
    (State.UNPAID, Step.CHARGE): State.CHARGING,
    (State.UNPAID, Step.GIVE_UP): State.ABANDONED,
    (State.PAID, Step.CONFIRM): State.CONFIRMED,
    (State.CONFIRMED, Step.PREPARE): State.READY,
    (State.READY, Step.ACCEPT): State.ACCEPTED,
    (State.ACCEPTED, Step.PICK_UP): State.RIDING,
    (State.RIDING, Step.ARRIVE): State.ARRIVED,
    (State.ARRIVED, Step.DELIVER): State.DELIVERED,
}


class IllegalMoveError(Exception):
    """A step that an order cannot take where it is.

    Args:
        state: Where it is.
        step: What was to happen.
    """

    def __init__(self, state: State, step: Step) -> None:
        super().__init__(f"an order that is {state!r} cannot be {step!r}")
        self.state = state
        self.step = step


@dataclass
class Order:
    """One order.

    Attributes:
        number: 1, 2, 3 … in the order of their beginning.
        order_id: Names it in events.
        customer: Who ordered.
        shop: Where.
        dishes: What, with how many of each.
        fee: For the delivery, in rupees.
        began: When, in seconds of the city.
        state: Where it is in its life.
    """

    number: int
    order_id: str
    customer: Customer
    shop: Shop
    dishes: tuple[tuple[Dish, int], ...]
    fee: int
    began: float
    state: State = State.ORDERED

    @property
    def amount(self) -> int:
        """What the dishes cost, in rupees."""
        return sum(dish.price * quantity for dish, quantity in self.dishes)

    @property
    def total(self) -> int:
        """What is paid, in rupees."""
        return self.amount + self.fee

    def take(self, step: Step) -> None:
        """Goes one step.

        Raises:
            IllegalMoveError: It cannot be taken here; nothing is changed.
        """
        try:
            self.state = MOVES[self.state, step]
        except KeyError:
            raise IllegalMoveError(self.state, step) from None

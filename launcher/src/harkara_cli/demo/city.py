"""The city at work: people order, pay, cook, ride and are paid.

What goes on by itself (an order, the flow of orders, a payout) is a generator that says how long it waits;
an agenda holds when each goes on. The city's seconds begin at 0. The same seed, people and pace give the
same happenings in the same order, however far `advance` goes at a time; only the instants in `data` come
from the clock, and ids hold the name of the run.
"""

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable, Generator
from datetime import datetime
from random import Random

from harkara_cli.demo.orders import Order, State, Step
from harkara_cli.demo.people import Customer, People, Rider
from harkara_cli.demo.rides import Ride, estimated_seconds
from harkara_cli.demo.streets import Route, Streets
from harkara_cli.demo.telling import Delivery, Happening, Payment, Teller, minutes

Life = Generator[float, None, None]
"""Yields the seconds to wait."""

EVENTS_PER_ORDER = 31
"""About so many events has one order, over all users."""

ORDER_SECONDS = 700
"""About so long an order lives."""

_LOCATION_SECONDS = 30
_PICKUP_SECONDS = 60.0
_KITCHEN_SECONDS = 300.0  # As estimates have it.
_NO_RIDER_SECONDS = 10.0
_ATTEMPTS = 3
_FAILURE_CHANCE = 0.22
_FAULTS = {
    "upi": ("Insufficient balance", "The UPI app did not answer"),
    "card": ("Card declined", "The one-time password was wrong"),
    "netbanking": ("The bank does not answer",),
}
_ON_TIME_SECONDS = 120
_GOOD_RATING = 4.8
_DELIVERIES_FOR_BONUS = 3
_BONUS = 50
_PAYOUT_FROM = 1_000
_APPROVAL_SECONDS = 60.0
_TRANSFER_SECONDS = 120.0
# Whoever watches the first customer is not kept waiting for long.
_FIRST_CUSTOMER_RESTS = 60.0


class City:
    """One city.

    Args:
        streets: Its map.
        people: Who lives there; the riders' places and wallets change.
        seed: Of all chances.
        run: Goes into the ids of orders, payments and deliveries, so that two runs do not share any.
        gap: Seconds of the city between the beginnings of two orders, on average.
        clock: When a second of the city is: a time in UTC.
        most_orders: After how many orders no more begin; None is never.
    """

    def __init__(  # noqa: PLR0913 - what a city needs to be told, each by name.
        self,
        streets: Streets,
        people: People,
        *,
        seed: int,
        run: str,
        gap: float,
        clock: Callable[[float], datetime],
        most_orders: int | None = None,
    ) -> None:
        self._streets = streets
        self._people = people
        self._seed = seed
        self._run = run
        self._gap = gap
        self._most_orders = most_orders
        self._tell = Teller(streets, clock)
        self._turn = itertools.count()
        self._agenda: list[tuple[float, int, Life]] = []
        self._ended_at: dict[str, float] = {}  # Of each customer's last order; infinite while it lasts.
        self._paying_out: set[str] = set()
        self.orders: dict[int, Order] = {}
        """Those under way, by number."""
        self.begun = 0
        """How many orders have begun."""
        self.ended: Counter[State] = Counter()
        """How many of them came to each end."""
        self._go_on(self._flow())

    @property
    def next_at(self) -> float | None:
        """When something happens next, in seconds of the city; None where nothing ever will."""
        return self._agenda[0][0] if self._agenda else None

    def advance(self, to: float) -> list[Happening]:
        """Lets time pass.

        Args:
            to: Until when, in seconds of the city.

        Returns:
            What happened, in order.
        """
        while self._agenda and self._agenda[0][0] <= to:
            self._tell.now, _, life = heapq.heappop(self._agenda)
            self._go_on(life)
        return self._tell.take()

    def order_id(self, number: int) -> str:
        """The id of an order, also of one to come."""
        return f"ord_{self._run}_{number}"

    @property
    def _now(self) -> float:
        return self._tell.now

    def _go_on(self, life: Life) -> None:
        """Runs one of the lives until it waits again, or ends."""
        wait = next(life, None)
        if wait is not None:
            heapq.heappush(self._agenda, (self._now + wait, next(self._turn), life))

    def _flow(self) -> Life:
        """Orders begin, one after the other; where everybody has one, none does."""
        chance = self._chance("flow")
        while self._most_orders is None or self.begun < self._most_orders:
            free = [
                customer
                for customer in self._people.customers
                if self._ended_at.get(customer.user_id, -math.inf) <= self._now
            ]
            if free:
                self._begin(self._next_customer(free, chance))
            yield self._gap * chance.uniform(0.6, 1.4)

    def _next_customer(self, free: list[Customer], chance: Random) -> Customer:
        first = self._people.customers[0]
        drawn = chance.choice(free)
        rested = self._ended_at.get(first.user_id, -math.inf) + _FIRST_CUSTOMER_RESTS <= self._now
        return first if rested else drawn

    def _begin(self, customer: Customer) -> None:
        self.begun += 1
        chance = self._chance(f"order {self.begun}")
        shop = chance.choice(self._people.shops)
        dishes = chance.sample(shop.menu, chance.randint(1, len(shop.menu)))
        order = Order(
            number=self.begun,
            order_id=self.order_id(self.begun),
            customer=customer,
            shop=shop,
            dishes=tuple((dish, chance.randint(1, 2)) for dish in dishes),
            fee=chance.choice((20, 25, 30, 35)),
            began=self._now,
        )
        self.orders[order.number] = order
        self._ended_at[customer.user_id] = math.inf
        self._go_on(self._life(order, chance))

    def _life(self, order: Order, chance: Random) -> Life:
        """An order from its beginning to its end."""
        to_home = self._streets.route(order.shop.crossing, order.customer.crossing)
        self._tell.created(
            order, _KITCHEN_SECONDS + 2 * _PICKUP_SECONDS + 2 * estimated_seconds(to_home.metres)
        )
        yield chance.uniform(2, 6)
        yield from self._pay(order, chance)
        if order.state is State.PAID:
            yield from self._cook(order, chance)
            yield from self._fetch_and_bring(order, to_home, chance)
        del self.orders[order.number]
        self._ended_at[order.customer.user_id] = self._now
        self.ended[order.state] += 1

    def _pay(self, order: Order, chance: Random) -> Life:
        """Charges until it is paid or given up."""
        method = chance.choice(("upi", "upi", "card", "netbanking"))
        for attempt in range(1, _ATTEMPTS + 1):
            mark = f"{self._run}_{order.number}_{attempt}"
            payment = Payment(f"pay_{mark}", f"txn_{mark}", order, method)
            order.take(Step.CHARGE)
            self._tell.charging(payment)
            yield chance.uniform(8, 35)
            if chance.random() >= _FAILURE_CHANCE:
                order.take(Step.PAY)
                self._tell.paid(payment)
                return
            order.take(Step.FAIL)
            self._tell.not_paid(payment, chance.choice(_FAULTS[method]), again=attempt < _ATTEMPTS)
            yield chance.uniform(20, 60)
        order.take(Step.GIVE_UP)

    def _cook(self, order: Order, chance: Random) -> Life:
        yield chance.uniform(15, 60)
        cooking = chance.uniform(90, 240)
        order.take(Step.CONFIRM)
        self._tell.confirmed(order, cooking)
        yield cooking
        order.take(Step.PREPARE)
        self._tell.ready(order)
        yield chance.uniform(5, 20)

    def _fetch_and_bring(self, order: Order, to_home: Route, chance: Random) -> Life:
        while (rider := self._nearest_free_rider(order)) is None:
            yield _NO_RIDER_SECONDS
        rider.busy = True
        to_shop = self._streets.route(rider.crossing, order.shop.crossing)
        delivery = self._accept(order, rider, to_shop, to_home)
        after_pickup = estimated_seconds(to_home.metres)
        yield from self._ride(delivery, Ride(to_shop, chance), to_home.metres, _PICKUP_SECONDS + after_pickup)
        rider.crossing = order.shop.crossing
        yield chance.uniform(30, 90)

        order.take(Step.PICK_UP)
        self._tell.in_transit(delivery, to_home, after_pickup)
        yield from self._ride(delivery, Ride(to_home, chance), 0.0, 0.0)
        rider.crossing = order.customer.crossing

        order.take(Step.ARRIVE)
        self._tell.arrived(delivery, to_home.points[-1])
        yield chance.uniform(30, 90)

        order.take(Step.DELIVER)
        self._tell.completed(delivery, chance.choice((None, 4, 5, 5)))
        self._earn(delivery, to_home)
        rider.busy = False

    def _nearest_free_rider(self, order: Order) -> Rider | None:
        corner = self._streets.crossings[order.shop.crossing]
        free = [rider for rider in self._people.riders if not rider.busy]
        return min(
            free,
            key=lambda rider: self._streets.crossings[rider.crossing].metres_to(corner),
            default=None,
        )

    def _accept(self, order: Order, rider: Rider, to_shop: Route, to_home: Route) -> Delivery:
        order.take(Step.ACCEPT)
        until_pickup = estimated_seconds(to_shop.metres)
        promised = until_pickup + _PICKUP_SECONDS + estimated_seconds(to_home.metres)
        mark = f"del_{self._run}_{order.number}"
        delivery = Delivery(mark, order, rider, self._now, promised, minutes(promised))
        self._tell.accepted(delivery, until_pickup, to_shop)
        return delivery

    def _ride(self, delivery: Delivery, ride: Ride, metres_beyond: float, seconds_beyond: float) -> Life:
        """A rider rides, and tells where they are and when they will be there.

        Args:
            delivery: For which.
            ride: Where along.
            metres_beyond: That are to ride after this one.
            seconds_beyond: That the delivery still takes after it.
        """
        passed = 0.0
        while passed + _LOCATION_SECONDS < ride.seconds:
            passed += _LOCATION_SECONDS
            yield _LOCATION_SECONDS
            sight = ride.at(passed)
            self._tell.located(delivery, sight)
            left = estimated_seconds(sight.metres_left) + seconds_beyond
            self._tell.estimated(delivery, sight.metres_left + metres_beyond, left)
        yield ride.seconds - passed

    def _earn(self, delivery: Delivery, to_home: Route) -> None:
        """The rider is paid for a delivery, now and then with a bonus, and asks for a payout."""
        rider = delivery.rider
        on_time = self._now - delivery.began <= delivery.promised + _ON_TIME_SECONDS
        breakdown = {
            "base": 30,
            "distance_bonus": 8 * round(to_home.metres / 1_000),
            "on_time_bonus": 10 if on_time else 0,
            "rating_bonus": 5 if rider.rating >= _GOOD_RATING else 0,
        }
        rider.deliveries += 1
        self._tell.earned(delivery, breakdown)
        if rider.deliveries % _DELIVERIES_FOR_BONUS == 0:
            self._tell.bonus(rider, _BONUS, f"{_DELIVERIES_FOR_BONUS} deliveries")
        if rider.balance >= _PAYOUT_FROM and rider.user_id not in self._paying_out:
            self._paying_out.add(rider.user_id)
            self._go_on(self._pay_out(rider, f"{self._run}_{delivery.order.number}"))

    def _pay_out(self, rider: Rider, mark: str) -> Life:
        """A rider's money goes to their account."""
        yield _APPROVAL_SECONDS
        payout_id, amount = f"payout_{mark}", rider.balance // 100 * 100
        self._tell.payout_approved(rider, payout_id, amount, _TRANSFER_SECONDS)
        yield _TRANSFER_SECONDS
        self._tell.payout_completed(rider, payout_id, amount, f"txn_payout_{mark}")
        self._paying_out.remove(rider.user_id)

    def _chance(self, of: str) -> Random:
        """A source of chances of its own, so that one order's do not depend on another's."""
        return Random(f"{self._seed} {of}")  # noqa: S311 - no secret.

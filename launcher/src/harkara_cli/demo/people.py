"""Who lives in the city: customers, shops and riders, made by a seed.

The first of each is the user that every mesh has (`demo_customer`, `demo_shop`, `demo_rider`). Names are of
nobody in particular.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from harkara_cli.demo.streets import Streets

_FIRST_NAMES = (
    "Asha", "Rohan", "Meera", "Imran", "Kavya", "Arjun", "Sunita", "Farhan", "Priya", "Joseph", "Lakshmi",
    "Harpreet", "Nisha", "Vikram", "Ananya", "Salim", "Deepa", "Thomas", "Ritu", "Manoj",
)  # fmt: skip
_LAST_NAMES = (
    "Verma", "Nair", "Khan", "Singh", "Das", "Iyer", "Sharma", "Ali", "Reddy", "Fernandes", "Gupta", "Kaur",
)  # fmt: skip
_VEHICLES = ("bicycle", "scooter", "bike", "scooter")
_FLATS = ("Flat 3", "Second floor", "House 12", "Office 401", "Flat 8B", "Top floor", "House 27", "Room 16")


@dataclass(frozen=True)
class Dish:
    """Something to order; the price is in rupees."""

    name: str
    price: int


_KITCHENS = (
    (
        "Circus Dosa House",
        "outer_sansad",
        (Dish("Masala dosa", 110), Dish("Idli sambar", 80), Dish("Filter coffee", 45)),
    ),
    (
        "Dilli Chaat Corner",
        "outer_chelmsford",
        (Dish("Papdi chaat", 70), Dish("Chole bhature", 120), Dish("Sweet lassi", 60)),
    ),
    (
        "Tolstoy Thali",
        "kasturba_tolstoy",
        (Dish("Veg thali", 180), Dish("Dal makhani", 150), Dish("Gulab jamun", 50)),
    ),
    (
        "Inner Circle Rolls",
        "inner_radial_6",
        (Dish("Paneer roll", 90), Dish("Chicken roll", 120), Dish("Lime soda", 40)),
    ),
    (
        "Barakhamba Momos",
        "barakhamba_tolstoy",
        (Dish("Veg momos", 80), Dish("Chicken momos", 110), Dish("Thukpa", 130)),
    ),
    (
        "Minto Road Sweets",
        "vivekanand_south",
        (Dish("Samosa", 25), Dish("Kachori", 30), Dish("Rasmalai", 70)),
    ),
    (
        "Janpath Biryani",
        "outer_janpath",
        (Dish("Veg biryani", 160), Dish("Chicken biryani", 220), Dish("Raita", 40)),
    ),
    (
        "Paharganj Bakery",
        "new_delhi_station",
        (Dish("Apple pie", 130), Dish("Brown bread", 60), Dish("Masala chai", 30)),
    ),
)


@dataclass(frozen=True)
class Customer:
    """Who orders.

    Attributes:
        user_id: Theirs in the mesh.
        name: For people.
        crossing: Where they live.
        address: The same in words.
        upi_id: What they pay with, where that is UPI.
    """

    user_id: str
    name: str
    crossing: str
    address: str
    upi_id: str


@dataclass(frozen=True)
class Shop:
    """Who cooks.

    Attributes:
        user_id: Theirs in the mesh.
        name: For people.
        crossing: Where it is.
        menu: What there is.
    """

    user_id: str
    name: str
    crossing: str
    menu: tuple[Dish, ...]


@dataclass
class Rider:
    """Who brings it.

    Attributes:
        user_id: Theirs in the mesh.
        name: For people.
        vehicle: What they ride.
        rating: 1 to 5.
        phone: Mostly hidden.
        bank_account: Mostly hidden.
        crossing: Where they are, or are riding to.
        balance: In their wallet, in rupees.
        deliveries: How many they have brought.
        busy: Whether they have an order.
    """

    user_id: str
    name: str
    vehicle: str
    rating: float
    phone: str
    bank_account: str
    crossing: str
    balance: int
    deliveries: int = 0
    busy: bool = False


@dataclass(frozen=True)
class People:
    """All of them; at least one of each."""

    customers: Sequence[Customer]
    shops: Sequence[Shop]
    riders: Sequence[Rider]

    @property
    def roles(self) -> dict[str, str]:
        """The role of each user in the mesh."""
        return {
            **{customer.user_id: "customer" for customer in self.customers},
            **{shop.user_id: "shop" for shop in self.shops},
            **{rider.user_id: "delivery_boy" for rider in self.riders},
        }


def make_people(streets: Streets, chance: Random, *, customers: int, riders: int) -> People:
    """The people of a city.

    Args:
        streets: Where they live.
        chance: Of who they are.
        customers: How many, at least 1.
        riders: Likewise.
    """
    # Around the circles there are offices and shops; people live farther out.
    homes = sorted(name for name in streets.names if not name.startswith(("inner_", "middle_", "outer_")))
    corners = sorted(streets.names)
    return People(
        [_customer(streets, chance, number, homes) for number in range(1, customers + 1)],
        [
            Shop(_user_id("demo_shop", number), name, crossing, menu)
            for number, (name, crossing, menu) in enumerate(_KITCHENS, 1)
        ],
        [_rider(chance, number, corners) for number in range(1, riders + 1)],
    )


def _customer(streets: Streets, chance: Random, number: int, homes: Sequence[str]) -> Customer:
    name = _name(chance)
    crossing = chance.choice(homes)
    upi_id = f"{name.split()[0].lower()}{number}@upi"
    address = f"{chance.choice(_FLATS)}, near {streets.names[crossing]}, New Delhi"
    return Customer(_user_id("demo_customer", number), name, crossing, address, upi_id)


def _rider(chance: Random, number: int, corners: Sequence[str]) -> Rider:
    return Rider(
        user_id=_user_id("demo_rider", number),
        name=_name(chance),
        vehicle=chance.choice(_VEHICLES),
        rating=round(chance.uniform(4.1, 5.0), 1),
        phone=f"******{chance.randrange(10_000):04}",
        bank_account=f"****{chance.randrange(10_000):04}",
        crossing=chance.choice(corners),
        balance=chance.randrange(300, 950, 5),
    )


def _name(chance: Random) -> str:
    return f"{chance.choice(_FIRST_NAMES)} {chance.choice(_LAST_NAMES)}"


def _user_id(first: str, number: int) -> str:
    return first if number == 1 else f"{first}_{number}"

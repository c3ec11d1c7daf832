"""The services of the city, and what each of them may emit: each speaks for its own business alone."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

SERVICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "order_service": ("order_*",),
        "payment_service": ("payment_*",),
        "delivery_service": ("delivery_*",),
        "location_service": ("location_*", "eta_*"),
        "earnings_service": ("earning_*", "bonus_*", "wallet_*", "payout_*"),
    }
)
"""The globs of each service's credential, by its name, which is the `source` of its events."""


def service_of(event_type: str) -> str:
    """The service that emits a type.

    Raises:
        KeyError: None does.
    """
    for service, globs in SERVICES.items():
        if any(fnmatchcase(event_type, glob) for glob in globs):
            return service
    raise KeyError(event_type)

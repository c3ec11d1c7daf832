"""What can be wrong, as one tree.

    AuthError
    ├── TokenRefusedError           the token is bad, in whatever way
    ├── UserRefusedError            the token is good, its user may not come in
    ├── InvalidRequestError         a field of a request is faulty
    ├── UnknownUsersError           users that a request names do not exist
    └── UnavailableError            we cannot know the answer now
        ├── DirectoryUnavailableError   the users cannot be read or changed
        ├── KeysUnavailableError        the keys of an outside issuer were never read
        ├── TooSlowError                the answer was not there in time
        └── StoppingError               this process is about to end

The first four are the caller's fault, the last is ours. Which gRPC status each becomes is written in
one table, `adapters/statuses.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum, unique


class AuthError(Exception):
    """The base of the tree."""


@unique
class TokenFault(StrEnum):
    """Why a token is refused: for the log and the metrics, never for the client."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    DUPLICATE_NAME = "duplicate_name"
    HEADER_TYPE = "header_type"
    ALGORITHM = "algorithm"
    NAMES_A_KEY = "names_a_key"
    CRITICAL_EXTENSION = "critical_extension"
    KEY_ID = "key_id"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    CLAIM_TYPE = "claim_type"
    NO_EXPIRY = "no_expiry"
    EXPIRED = "expired"
    LIFETIME = "lifetime"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    USER_ID = "user_id"
    ROLE = "role"
    EVENT_TYPES = "event_types"
    KEY_MAY_NOT = "key_may_not"
    STALE_ROLE = "stale_role"
    REVOKED = "revoked"


class TokenRefusedError(AuthError):
    """A token that is not believed.

    Args:
        fault: which rule it broke.
    """

    def __init__(self, fault: TokenFault) -> None:
        super().__init__(f"token refused: {fault}")
        self.fault = fault


@unique
class UserFault(StrEnum):
    """Why a user may not come in."""

    UNKNOWN = "unknown"
    DISABLED = "disabled"


class UserRefusedError(AuthError):
    """A user who may not come in.

    Args:
        user_id: who.
        fault: why.
    """

    def __init__(self, user_id: str, fault: UserFault) -> None:
        super().__init__(f"user {user_id} refused: {fault}")
        self.user_id = user_id
        self.fault = fault


class InvalidRequestError(AuthError):
    """A field that breaks its rule.

    Args:
        field: which, as the proto names it.
        rule: what it must be.
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class UnknownUsersError(AuthError):
    """Ids that no user has.

    Args:
        user_ids: which, of valid form.
    """

    SHOWN = 5

    def __init__(self, user_ids: Sequence[str]) -> None:
        shown = ", ".join(user_ids[: self.SHOWN])
        more = len(user_ids) - self.SHOWN
        super().__init__(f"no such user: {shown}" + (f" and {more} more" if more > 0 else ""))
        self.user_ids = tuple(user_ids)


class UnavailableError(AuthError):
    """The answer cannot be had now; asking again later is right."""


class DirectoryUnavailableError(UnavailableError):
    """Postgres did not answer, or not in time."""


class KeysUnavailableError(UnavailableError):
    """The key set of an outside issuer was not read yet, so nothing can be said about its tokens."""


class TooSlowError(UnavailableError):
    """The answer was not there when it had to be."""


class StoppingError(UnavailableError):
    """This process is about to end; another one, or the next, answers."""

"""The one table from what is wrong to the gRPC status that the caller sees.

What a caller is told about a bad token is the same for every fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import grpc

from harkara_auth_service.domain.errors import (
    AuthError,
    InvalidRequestError,
    TokenRefusedError,
    UnavailableError,
    UnknownUsersError,
    UserRefusedError,
)
from harkara_servicekit.grpc_server import StatusError

_TABLE: Final[tuple[tuple[type[AuthError], grpc.StatusCode, str | None], ...]] = (
    (TokenRefusedError, grpc.StatusCode.UNAUTHENTICATED, "the token is not valid"),
    (UserRefusedError, grpc.StatusCode.PERMISSION_DENIED, "this user may not come in"),
    # The text of these two names the field or the ids, both the caller's own.
    (InvalidRequestError, grpc.StatusCode.INVALID_ARGUMENT, None),
    (UnknownUsersError, grpc.StatusCode.NOT_FOUND, None),
    (UnavailableError, grpc.StatusCode.UNAVAILABLE, "not available now, try again"),
)


def status_of(error: AuthError) -> StatusError:
    """The status that `error` becomes."""
    for kind, code, message in _TABLE:
        if isinstance(error, kind):
            return StatusError(code, str(error) if message is None else message)
    raise error


@contextmanager
def as_status() -> Iterator[None]:
    """Within it, what goes wrong in the service ends the call with its status."""
    try:
        yield
    except AuthError as error:
        raise status_of(error) from None

"""Mints tokens: JWTs signed with HS256 and the mesh's own key.

Verifying what others bring is auth-service's work and is not done here.
"""

import base64
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from harkara_cli.errors import MisuseError

USER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SERVICE_NAME = USER_ID
INTERNAL_NAMES = ("edge", "event-service", "query-service", "operator")

DAY_SECONDS = 86_400
MAX_USER_SECONDS = DAY_SECONDS

_USUAL_SERVICE_DAYS = 365
_LONGEST_SERVICE_DAYS = 400
_MOST_SERVICE_DAYS = 3_660
_LEAST_KEY_BYTES = 32
_ALGORITHM = "HS256"
_SETTINGS = "HARKARA_AUTH_SERVICE_"


@dataclass(frozen=True)
class Minter:
    """Signs tokens with one key.

    Attributes:
        key: The HS256 key, at least 32 bytes.
        issuer: `iss` of each token, where auth-service wants one.
        audience: `aud` of each token, where auth-service wants one.
        longest_service_seconds: How long auth-service lets a credential of a service live.
    """

    key: bytes
    issuer: str | None = None
    audience: str | None = None
    longest_service_seconds: int = _LONGEST_SERVICE_DAYS * DAY_SECONDS

    @property
    def usual_service_seconds(self) -> int:
        """How long credentials of services and of our own parts live: a year, where that is allowed."""
        return min(_USUAL_SERVICE_DAYS * DAY_SECONDS, self.longest_service_seconds)

    @classmethod
    def from_key_text(cls, text: str, environment: Mapping[str, str] = os.environ) -> "Minter":
        """From the text of a key file (base64url), and the settings that auth-service will have.

        Raises:
            ValueError: The text is no key, or too short a one: auth-service would refuse it too.
            MisuseError: A setting is none.
        """
        # Told like any other, not with the decoder's words, which may hold a part of the key.
        fault = "it is not 32 or more bytes as base64url"
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise ValueError(fault) from None
        if len(key) < _LEAST_KEY_BYTES:
            raise ValueError(fault)
        return cls(
            key,
            environment.get(f"{_SETTINGS}ISSUER") or None,
            environment.get(f"{_SETTINGS}AUDIENCE") or None,
            int(_longest_days(environment) * DAY_SECONDS),
        )

    def for_user(
        self, user_id: str, role: str | None = None, seconds: int = MAX_USER_SECONDS, now: float | None = None
    ) -> str:
        """A person's token; with a role, it is refused once the users table says another."""
        claims: dict[str, Any] = {"user_id": user_id}
        if role is not None:
            claims["user_role"] = role
        return self._sign(claims, seconds, now)

    def for_service(
        self, name: str, event_types: Sequence[str], seconds: int | None = None, now: float | None = None
    ) -> str:
        """An emitting service's token; `event_types` are globs."""
        claims = {"user_id": name, "user_role": "service", "event_types": list(event_types)}
        return self._sign(claims, seconds or self.usual_service_seconds, now)

    def for_internal(self, name: str, now: float | None = None) -> str:
        """The token of a part of Harkara itself: one of `INTERNAL_NAMES`."""
        claims = {"user_id": name, "user_role": "internal"}
        return self._sign(claims, self.usual_service_seconds, now)

    def is_ours(
        self, token: str, least_left: float, most_left: float = float("inf"), now: float | None = None
    ) -> bool:
        """Whether we would mint such a token today, and how many seconds it still lasts is in between."""
        try:
            # Its times are judged below, by the caller's clock.
            claims = jwt.decode(
                token,
                self.key,
                algorithms=[_ALGORITHM],
                options={"verify_exp": False, "verify_iat": False, "verify_aud": False},
            )
            left = claims["exp"] - (time.time() if now is None else now)
        except (jwt.InvalidTokenError, KeyError, TypeError):
            return False
        same = (claims.get("iss"), claims.get("aud")) == (self.issuer, self.audience)
        return least_left <= left <= most_left and same

    def _sign(self, claims: Mapping[str, Any], seconds: int, now: float | None) -> str:
        issued = int(time.time() if now is None else now)
        whole = {**claims, "iat": issued, "exp": issued + seconds}
        if self.issuer:
            whole["iss"] = self.issuer
        if self.audience:
            whole["aud"] = self.audience
        return jwt.encode(whole, self.key, algorithm=_ALGORITHM)


def _longest_days(environment: Mapping[str, str]) -> float:
    """How long auth-service lets a credential of a service live, in days."""
    name = f"{_SETTINGS}SERVICE_TOKEN_MAX_DAYS"
    text = environment.get(name) or str(_LONGEST_SERVICE_DAYS)
    try:
        days = float(text)
    except ValueError:
        days = 0
    if not 0 < days <= _MOST_SERVICE_DAYS:  # What is no number at all (nan) is not in between either.
        message = f"{name}={text} is no number of days above 0 and up to {_MOST_SERVICE_DAYS}"
        raise MisuseError(message)
    return days

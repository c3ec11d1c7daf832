"""What a JWT must be before it is believed. Pure: time is an argument, signatures are checked elsewhere.

A token passes three gates, in this order, so that nothing of it is decoded that need not be:

1. `take_apart` looks at its size, its form and its header, and says which key it asks for.
2. The signature is checked with that key (`adapters/jwt_keys.py`, with PyJWT's algorithms).
3. `judge_claims` reads the signed payload.

The rules are those of RFC 7515, RFC 7519 and RFC 8725, with what PyJWT leaves open closed:

- The key decides the algorithm: the header's `alg` only chooses among our keys, and a key is of one
  algorithm. So `none` has no key, and an RSA key is never taken for an HMAC secret.
- `kid` is an index into our keys and nothing else: compared, never looked up anywhere. One that is given
  must be that of a key; the HS256 key has none, so an HS256 token with a `kid` is refused. A token without
  one is good only where exactly one key of its algorithm exists (OpenID Connect Core 10.1), so that no
  token costs more than one signature check.
- A header that brings a key, or says where to fetch one (`jku`, `x5u`, `jwk`, `x5c`), is refused, and so is
  every `crit`: we understand no extension. So is `b64` (RFC 7797), which changes what was signed.
- A name that stands twice is refused, in header and payload.
- A token lives for a bounded time, counted from now: `iat` is not required.
- Only the key that this installation made itself (HS256) signs internal credentials: an outside issuer
  of users' tokens must not be able to speak for a part of Harkara.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from harkara_auth_service.domain.errors import TokenFault, TokenRefusedError
from harkara_auth_service.domain.strict_json import DuplicateNameError, NotStrictJsonError, read_object

MAX_TOKEN_BYTES: Final = 8 * 1024
LEEWAY_SECONDS: Final = 5
USER_LIFETIME_SECONDS: Final = 24 * 3600
MAX_EVENT_TYPES: Final = 100

ALGORITHMS: Final = frozenset({"HS256", "RS256", "ES256", "EdDSA"})
INTERNAL_NAMES: Final = frozenset({"edge", "event-service", "query-service", "operator"})
USER_ROLES: Final = frozenset({"customer", "delivery_boy", "shop", "support", "admin"})
SERVICE_ROLE: Final = "service"
INTERNAL_ROLE: Final = "internal"

_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})  # RFC 7519 5.1, RFC 9068 2.1
_KEY_BRINGING: Final = frozenset({"jku", "x5u", "jwk", "x5c"})
_FORM: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_KEY_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_USER_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EVENT_TYPE_GLOB: Final = re.compile(r"[a-z*][a-z0-9_*]{0,63}")


@unique
class KeySource(StrEnum):
    """Where a key comes from, which decides what its tokens may speak for."""

    OWN = "own"
    """The HS256 key of this installation."""
    KEY_SET = "key_set"
    """A JWKS, which may be an outside issuer's."""


@unique
class PrincipalKind(StrEnum):
    """What a token speaks for."""

    USER = "user"
    SERVICE = "service"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a deployment decides about tokens.

    Args:
        issuer: what `iss` must be; None: `iss` is not looked at.
        audience: what `aud` must be or hold; None: `aud` is not looked at.
        service_lifetime_seconds: how long a service or internal credential may live, from now.
        key_set_may_sign_services: whether keys of a JWKS may sign services' credentials.
    """

    issuer: str | None = None
    audience: str | None = None
    service_lifetime_seconds: float = 400 * 86_400
    key_set_may_sign_services: bool = False


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A token taken apart, of which nothing is believed yet.

    Args:
        algorithm: one of `ALGORITHMS`.
        key_id: the header's `kid`, if it has one.
        signing_input: what was signed.
        payload: the claims as they stand, UTF-8 JSON or not.
        signature: over `signing_input`.
    """

    algorithm: str
    key_id: str | None
    signing_input: bytes
    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says.

    Args:
        kind: what it speaks for.
        user_id: the user's id, the service's or the part's name.
        role: of a user the role that the token claims, or None; else "service" or "internal".
        event_types: of a service, the globs of what it may emit; else empty.
        expires_at: when the token ends, in seconds since the epoch.
    """

    kind: PrincipalKind
    user_id: str
    role: str | None
    event_types: tuple[str, ...]
    expires_at: float


def is_user_id(text: str) -> bool:
    """Whether `text` has the form of a user's id or a service's name."""
    return _USER_ID.fullmatch(text) is not None


def take_apart(token: str) -> UnverifiedToken:
    """Look at a token's size, form and header.

    Args:
        token: as the caller sent it.

    Raises:
        TokenRefusedError: it cannot be a token of ours, whoever signed it.
    """
    # A character is a byte or more, so this bounds the encoding too.
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRefusedError(TokenFault.TOO_LARGE)
    try:
        text = token.encode("ascii")
    except UnicodeEncodeError:
        raise TokenRefusedError(TokenFault.MALFORMED) from None
    form = _FORM.fullmatch(text)
    if form is None:
        raise TokenRefusedError(TokenFault.MALFORMED)
    header = _read_object(_decode_segment(form[1]))
    return UnverifiedToken(
        algorithm=_judge_header(header),
        key_id=_judge_key_id(header),
        signing_input=text[: form.end(2)],
        payload=_decode_segment(form[2]),
        signature=_decode_segment(form[3]),
    )


def judge_claims(payload: bytes, source: KeySource, rules: TokenRules, now: float) -> Claims:
    """Judge the payload of a token whose signature is good.

    Args:
        payload: the signed bytes.
        source: where the key comes from that signed them.
        rules: what the deployment decided.
        now: the time, in seconds since the epoch.

    Raises:
        TokenRefusedError: the token is expired, not yet good, for somebody else, or not of our form.
    """
    claims = _read_object(payload)
    expires_at = _number(claims, "exp")
    if expires_at is None:
        raise TokenRefusedError(TokenFault.NO_EXPIRY)
    check_expiry(expires_at, now)
    for name in ("nbf", "iat"):
        start = _number(claims, name)
        if start is not None and start > now + LEEWAY_SECONDS:
            raise TokenRefusedError(TokenFault.NOT_YET_VALID)
    _judge_issuer(claims, rules)
    _judge_audience(claims, rules)
    user_id = claims.get("user_id")
    if not isinstance(user_id, str) or not is_user_id(user_id):
        raise TokenRefusedError(TokenFault.USER_ID)
    kind, role = _judge_role(claims)
    if kind is PrincipalKind.INTERNAL and user_id not in INTERNAL_NAMES:
        raise TokenRefusedError(TokenFault.USER_ID)
    _judge_source(kind, source, rules)
    lifetime = USER_LIFETIME_SECONDS if kind is PrincipalKind.USER else rules.service_lifetime_seconds
    if expires_at - now > lifetime + LEEWAY_SECONDS:
        raise TokenRefusedError(TokenFault.LIFETIME)
    event_types = _judge_event_types(claims) if kind is PrincipalKind.SERVICE else ()
    return Claims(kind, user_id, role, event_types, expires_at)


def check_expiry(expires_at: float, now: float) -> None:
    """Refuse a token that ended more than the leeway ago.

    Raises:
        TokenRefusedError: it is expired at `now`.
    """
    if now >= expires_at + LEEWAY_SECONDS:
        raise TokenRefusedError(TokenFault.EXPIRED)


def decode_base64url(text: bytes) -> bytes:
    """Decode base64url without padding, in its one canonical spelling.

    Raises:
        ValueError: it holds another character, has an impossible length, or stray bits at its end.
    """
    try:
        decoded = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError from None
    # The decoder ignores the unused low bits of the last character: several texts would be one token.
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != text:
        raise ValueError
    return decoded


def _decode_segment(segment: bytes) -> bytes:
    try:
        return decode_base64url(segment)
    except ValueError:
        raise TokenRefusedError(TokenFault.MALFORMED) from None


def _read_object(text: bytes) -> dict[str, object]:
    try:
        return read_object(text)
    except DuplicateNameError:
        raise TokenRefusedError(TokenFault.DUPLICATE_NAME) from None
    except NotStrictJsonError:
        raise TokenRefusedError(TokenFault.MALFORMED) from None


def _judge_header(header: dict[str, object]) -> str:
    if not _KEY_BRINGING.isdisjoint(header):
        raise TokenRefusedError(TokenFault.NAMES_A_KEY)
    if "crit" in header or "b64" in header:
        raise TokenRefusedError(TokenFault.CRITICAL_EXTENSION)
    if "typ" in header:
        typ = header["typ"]
        if not isinstance(typ, str) or typ.lower() not in _TYPES:
            raise TokenRefusedError(TokenFault.HEADER_TYPE)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefusedError(TokenFault.ALGORITHM)
    return algorithm


def _judge_key_id(header: dict[str, object]) -> str | None:
    if "kid" not in header:
        return None
    key_id = header["kid"]
    if not isinstance(key_id, str) or _KEY_ID.fullmatch(key_id) is None:
        raise TokenRefusedError(TokenFault.KEY_ID)
    return key_id


def _number(claims: dict[str, object], name: str) -> float | None:
    """A NumericDate, or None where there is none."""
    if name not in claims:
        return None
    value = claims[name]
    # bool is an int to Python; true is no time.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefusedError(TokenFault.CLAIM_TYPE)
    try:
        number = float(value)
    except OverflowError:
        raise TokenRefusedError(TokenFault.CLAIM_TYPE) from None
    if not math.isfinite(number):
        raise TokenRefusedError(TokenFault.CLAIM_TYPE)
    return number


def _judge_issuer(claims: dict[str, object], rules: TokenRules) -> None:
    if "iss" in claims and not isinstance(claims["iss"], str):
        raise TokenRefusedError(TokenFault.CLAIM_TYPE)
    if rules.issuer is not None and claims.get("iss") != rules.issuer:
        raise TokenRefusedError(TokenFault.ISSUER)


def _judge_audience(claims: dict[str, object], rules: TokenRules) -> None:
    value = claims.get("aud", [])
    audiences = value if isinstance(value, list) else [value]
    if not all(isinstance(audience, str) for audience in audiences):
        raise TokenRefusedError(TokenFault.CLAIM_TYPE)
    if rules.audience is not None and rules.audience not in audiences:
        raise TokenRefusedError(TokenFault.AUDIENCE)


def _judge_role(claims: dict[str, object]) -> tuple[PrincipalKind, str | None]:
    if "user_role" not in claims:
        return PrincipalKind.USER, None
    role = claims["user_role"]
    if not isinstance(role, str):
        raise TokenRefusedError(TokenFault.CLAIM_TYPE)
    if role == SERVICE_ROLE:
        return PrincipalKind.SERVICE, role
    if role == INTERNAL_ROLE:
        return PrincipalKind.INTERNAL, role
    if role not in USER_ROLES:
        raise TokenRefusedError(TokenFault.ROLE)
    return PrincipalKind.USER, role


def _judge_source(kind: PrincipalKind, source: KeySource, rules: TokenRules) -> None:
    if source is KeySource.OWN or kind is PrincipalKind.USER:
        return
    if kind is PrincipalKind.SERVICE and rules.key_set_may_sign_services:
        return
    raise TokenRefusedError(TokenFault.KEY_MAY_NOT)


def _judge_event_types(claims: dict[str, object]) -> tuple[str, ...]:
    value = claims.get("event_types")
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_EVENT_TYPES:
        raise TokenRefusedError(TokenFault.EVENT_TYPES)
    globs: list[str] = []
    for glob in value:
        if not isinstance(glob, str) or _EVENT_TYPE_GLOB.fullmatch(glob) is None:
            raise TokenRefusedError(TokenFault.EVENT_TYPES)
        globs.append(glob)
    return tuple(globs)

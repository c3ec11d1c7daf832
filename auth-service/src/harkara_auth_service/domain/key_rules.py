"""Which keys are good enough: the text of the HS256 key, and what of a JWKS (RFC 7517) may verify.

Only asymmetric public keys come out of a JWKS. An "oct" key in one would be a secret that its publisher,
and every reader of it, could sign with; a private key in one is a leak. Both are left out and said so.
Turning what is chosen here into keys is `adapters/jwt_keys.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from harkara_auth_service.domain.strict_json import NotStrictJsonError, read_object
from harkara_auth_service.domain.token_rules import decode_base64url

MIN_SHARED_KEY_BYTES: Final = 32
MAX_KEY_SET_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 64

_MIN_DISTINCT_BYTES: Final = 8  # 32 random bytes have 30 in the mean, and fewer than 20 never.
_KEY_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
# What PyJWT's key parsers call string methods on.
_TEXT_MEMBERS: Final = ("n", "e", "x", "y", "crv")


class BadKeysError(ValueError):
    """A key or a set of keys that cannot be used; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class PublicKeyEntry:
    """A key of a JWKS that may verify tokens.

    Args:
        algorithm: the one algorithm of its tokens.
        key_id: its `kid`, if it has one.
        members: the JWK, for the adapter to make a key of.
    """

    algorithm: str
    key_id: str | None
    members: dict[str, object]


@dataclass(frozen=True, slots=True)
class KeySet:
    """What was read from a JWKS.

    Args:
        entries: the usable keys, in the order they stand.
        left_out: why others are not among them, one text each.
    """

    entries: tuple[PublicKeyEntry, ...]
    left_out: tuple[str, ...]


def read_shared_key(text: str) -> bytes:
    """The HS256 key from its text.

    Args:
        text: base64url of 32 or more random bytes, with or without padding.

    Raises:
        BadKeysError: it is not base64url, too short, or not random.
    """
    try:
        key = decode_base64url(text.rstrip("=").encode("ascii"))
    except ValueError:
        message = "not base64url text"
        raise BadKeysError(message) from None
    if len(key) < MIN_SHARED_KEY_BYTES:
        message = f"a key of {len(key)} bytes is too short: {MIN_SHARED_KEY_BYTES} random bytes are the least"
        raise BadKeysError(message)
    if len(set(key)) < _MIN_DISTINCT_BYTES:
        message = "a placeholder, not random bytes"
        raise BadKeysError(message)
    return key


def read_key_set(text: bytes) -> KeySet:
    """The usable keys of a JWKS.

    Args:
        text: the JSON document.

    Raises:
        BadKeysError: it is no JWKS, or too large.
    """
    if len(text) > MAX_KEY_SET_BYTES:
        message = f"a key set of more than {MAX_KEY_SET_BYTES} bytes"
        raise BadKeysError(message)
    try:
        keys = read_object(text).get("keys")
    except NotStrictJsonError:
        message = "not a JSON object with each name once"
        raise BadKeysError(message) from None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        message = f'"keys" is not a list of at most {MAX_KEYS}'
        raise BadKeysError(message)
    entries: dict[tuple[str, str | None, int], PublicKeyEntry] = {}
    left_out: list[str] = []
    for place, jwk in enumerate(keys):
        try:
            entry = _read_jwk(jwk)
        except BadKeysError as reason:
            left_out.append(f"key {place}: {reason}")
            continue
        # Keys without an id are told apart by their place only.
        key = (entry.algorithm, entry.key_id, place if entry.key_id is None else -1)
        if key in entries:
            left_out.append(f"key {place}: its kid stands twice")
            continue
        entries[key] = entry
    return KeySet(tuple(entries.values()), tuple(left_out))


def _read_jwk(jwk: object) -> PublicKeyEntry:
    if not isinstance(jwk, dict):
        message = "not an object"
        raise BadKeysError(message)
    if jwk.get("kty") == "oct":
        message = "a symmetric key"
        raise BadKeysError(message)
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        message = "a private key"
        raise BadKeysError(message)
    if jwk.get("use", "sig") != "sig":
        message = "not for signatures"
        raise BadKeysError(message)
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        message = "not for verifying"
        raise BadKeysError(message)
    if any(name in jwk and not isinstance(jwk[name], str) for name in _TEXT_MEMBERS):
        message = "a member of the wrong type"
        raise BadKeysError(message)
    algorithm = _algorithm_of(jwk)
    if jwk.get("alg", algorithm) != algorithm:
        message = f"for another algorithm than {algorithm}"
        raise BadKeysError(message)
    key_id = jwk.get("kid")
    if key_id is not None and (not isinstance(key_id, str) or _KEY_ID.fullmatch(key_id) is None):
        message = "an odd kid"
        raise BadKeysError(message)
    return PublicKeyEntry(algorithm, key_id, jwk)


def _algorithm_of(jwk: dict[str, object]) -> str:
    match jwk.get("kty"), jwk.get("crv"):
        case "RSA", _:
            return "RS256"
        case "EC", "P-256":
            return "ES256"
        case "OKP", "Ed25519":
            return "EdDSA"
    message = "of no type that we use"
    raise BadKeysError(message)

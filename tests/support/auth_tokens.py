"""Tokens for tests: good ones, and ones made by hand that no library would make."""

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

OWN_KEY: Final = bytes(range(40))
"""An HS256 key that passes for random."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def user_claims(user_id: str = "user_1", **more: object) -> dict[str, Any]:
    """The claims of a good token of a user, which lasts an hour."""
    return {"user_id": user_id, "exp": int(time.time()) + 3600, **more}


def service_claims(name: str = "orders", **more: object) -> dict[str, Any]:
    """The claims of a good token of a service that may emit orders."""
    return {
        "user_id": name,
        "user_role": "service",
        "event_types": ["order_*"],
        "exp": int(time.time()) + 3600,
        **more,
    }


def internal_claims(name: str = "edge", **more: object) -> dict[str, Any]:
    """The claims of a good token of a part of Harkara."""
    return {"user_id": name, "user_role": "internal", "exp": int(time.time()) + 3600, **more}


def signed(claims: Mapping[str, object], key: bytes = OWN_KEY, **header: object) -> str:
    """A token as PyJWT makes it with an HS256 key."""
    return jwt.encode(dict(claims), key, algorithm="HS256", headers=header or None)


def signed_by(claims: Mapping[str, object], key: PrivateKey, **header: object) -> str:
    """A token as PyJWT makes it with a private key, by the algorithm that belongs to it."""
    return jwt.encode(dict(claims), key, algorithm=algorithm_of(key), headers=header or None)


def hmac_of(key: bytes) -> Callable[[bytes], bytes]:
    """What signs with HS256."""
    algorithm = HMACAlgorithm(HMACAlgorithm.SHA256)
    return lambda text: algorithm.sign(text, key)


def handmade(header: str | bytes, payload: str | bytes, sign: Callable[[bytes], bytes] | None = None) -> str:
    """A token with this very header and payload, well signed with `OWN_KEY` or as told."""
    text = _encoded(header) + b"." + _encoded(payload)
    signature = (sign or hmac_of(OWN_KEY))(text)
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def algorithm_of(key: PrivateKey) -> str:
    """The algorithm that a private key signs with."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256"
    return "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "EdDSA"


def public_jwk(key: PrivateKey, key_id: str | None = None, **more: object) -> dict[str, Any]:
    """The JWK of the public half."""
    if isinstance(key, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        jwk = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, **({} if key_id is None else {"kid": key_id}), **more}


def key_set(*jwks: Mapping[str, object]) -> bytes:
    """A JWKS document."""
    return json.dumps({"keys": list(jwks)}).encode()


def write_own_key(folder: Path, key: bytes | None = None) -> Path:
    """A key file as auth-service wants it: base64url of random bytes, mode 0600."""
    path = folder / "hs256.key"
    path.write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32) if key is None else key))
    path.chmod(0o600)
    return path


def _encoded(part: str | bytes) -> bytes:
    return base64.urlsafe_b64encode(part.encode() if isinstance(part, str) else part).rstrip(b"=")

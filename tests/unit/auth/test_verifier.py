"""Whole tokens against real keys: what a forger would try."""

import asyncio
import json
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from harkara_auth_service.adapters.jwt_keys import JwtKeys
from harkara_auth_service.adapters.watched_file import WatchedFile
from harkara_auth_service.domain.errors import TokenFault, TokenRefusedError
from harkara_auth_service.domain.key_rules import MAX_KEY_SET_BYTES
from harkara_auth_service.domain.token_rules import Claims, TokenRules
from harkara_auth_service.metrics import Metrics
from harkara_auth_service.service.tokens import TokenVerifier
from tests.support.auth_tokens import (
    OWN_KEY,
    PrivateKey,
    algorithm_of,
    handmade,
    hmac_of,
    internal_claims,
    key_set,
    public_jwk,
    service_claims,
    signed,
    signed_by,
    user_claims,
)

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, PrivateKey] = {"rsa": RSA_KEY, "ec": EC_KEY, "ed": ED_KEY}


@dataclass
class Clock:
    """Time that stands still until it is moved."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Verifier:
    """A verifier, its time and its counters."""

    keys: JwtKeys
    clock: Clock = field(default_factory=lambda: Clock(user_claims()["exp"] - 3600))
    monotonic: Clock = field(default_factory=Clock)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self._real = TokenVerifier(
            self.keys, TokenRules(), self.clock, self.monotonic, Metrics(self.registry)
        )

    def verify(self, token: str) -> Claims:
        return asyncio.run(self._real.verify(token))

    def refuses(self, token: str) -> TokenFault:
        with pytest.raises(TokenRefusedError) as caught:
            self.verify(token)
        return caught.value.fault

    @property
    def signatures_checked(self) -> float:
        return self.registry.get_sample_value("harkara_auth_service_signature_checks_total") or 0


def keys_of(file: Path | None, shared_key: bytes | None = OWN_KEY) -> JwtKeys:
    keys = JwtKeys(
        shared_key=shared_key,
        file=WatchedFile(file, MAX_KEY_SET_BYTES) if file else None,
        url=None,
        monotonic=Clock(),
        metrics=Metrics(CollectorRegistry()),
    )
    keys.read_file()
    return keys


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(*(public_jwk(key, name) for name, key in KEYS.items())))
    return path


@pytest.fixture
def verifier(key_file: Path) -> Verifier:
    return Verifier(keys_of(key_file))


def test_our_own_key_signs_users_services_and_internal_parts(verifier: Verifier) -> None:
    for claims in (user_claims(), service_claims(), internal_claims()):
        assert verifier.verify(signed(claims)).user_id == claims["user_id"]


@pytest.mark.parametrize("name", KEYS)
def test_a_key_of_the_key_set_signs_users(verifier: Verifier, name: str) -> None:
    claims = user_claims()
    assert verifier.verify(signed_by(claims, KEYS[name], kid=name)).user_id == "user_1"
    assert verifier.refuses(signed_by(internal_claims(), KEYS[name], kid=name)) is TokenFault.KEY_MAY_NOT


def test_an_unsigned_token_is_refused_in_every_spelling(verifier: Verifier) -> None:
    unsigned = handmade('{"alg":"none"}', json.dumps(user_claims()), lambda _: b"")
    assert verifier.refuses(unsigned) is TokenFault.MALFORMED
    assert verifier.refuses(unsigned + "AAAA") is TokenFault.ALGORITHM
    assert verifier.refuses(handmade('{"alg":"nOnE"}', json.dumps(user_claims()))) is TokenFault.ALGORITHM


PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


SECRETS = {
    "PEM": PEM,
    "PEM without its last newline": PEM.strip(),
    "DER": DER,
    "JWK": json.dumps(public_jwk(RSA_KEY)).encode(),
    "nothing": b"",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize("shared_key", [OWN_KEY, None], ids=["with a key of our own", "without"])
def test_a_public_key_is_never_an_hmac_secret(
    key_file: Path, secret: bytes, shared_key: bytes | None
) -> None:
    verifier = Verifier(keys_of(key_file, shared_key))
    forged = handmade('{"alg":"HS256"}', json.dumps(internal_claims()), hmac_of(secret))
    assert verifier.refuses(forged) is (TokenFault.SIGNATURE if shared_key else TokenFault.UNKNOWN_KEY)
    named = handmade('{"alg":"HS256","kid":"rsa"}', json.dumps(internal_claims()), hmac_of(secret))
    assert verifier.refuses(named) is TokenFault.UNKNOWN_KEY
    claimed = handmade('{"alg":"RS256","kid":"rsa"}', json.dumps(internal_claims()), hmac_of(secret))
    assert verifier.refuses(claimed) is TokenFault.SIGNATURE


def test_a_symmetric_key_in_a_key_set_verifies_nothing(key_file: Path) -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    oct_key = {"kty": "oct", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", "alg": "HS256", "kid": "s"}
    key_file.write_bytes(key_set(oct_key, public_jwk(EC_KEY, "ec")))
    verifier = Verifier(keys_of(key_file))
    assert verifier.refuses(signed(user_claims(), secret, kid="s")) is TokenFault.UNKNOWN_KEY
    assert verifier.refuses(signed(user_claims(), secret)) is TokenFault.SIGNATURE


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_the_key_decides_the_algorithm(verifier: Verifier, name: str, algorithm: str) -> None:
    """A header that asks for a key by its id and another algorithm finds none."""
    key = KEYS[name]
    if algorithm_of(key) == algorithm:
        return
    forged = handmade(json.dumps({"alg": algorithm, "kid": name}), json.dumps(user_claims()), _signer_of(key))
    assert verifier.refuses(forged) is TokenFault.UNKNOWN_KEY


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("length", [1, 31, 32, 63, 64, 65, 255, 256, 257])
def test_a_signature_of_any_length_that_is_wrong_is_refused(
    verifier: Verifier, name: str, length: int
) -> None:
    header = json.dumps({"alg": algorithm_of(KEYS[name]), "kid": name})
    for signature in (b"\0" * length, b"\xff" * length):
        forged = handmade(header, json.dumps(user_claims()), partial(_always, signature))
        assert verifier.refuses(forged) is TokenFault.SIGNATURE


def test_another_key_of_the_same_kind_does_not_sign_for_ours(verifier: Verifier) -> None:
    assert verifier.refuses(signed(user_claims(), bytes(range(1, 41)))) is TokenFault.SIGNATURE
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert verifier.refuses(signed_by(user_claims(), stranger, kid="ec")) is TokenFault.SIGNATURE


@pytest.mark.parametrize("kid", ["unknown", "RSA", "../../../dev/null", "rsa\u0020", "1'OR'1'='1"])
def test_an_unknown_key_id_is_refused(verifier: Verifier, kid: str) -> None:
    assert verifier.refuses(signed_by(user_claims(), RSA_KEY, kid=kid)) in {
        TokenFault.UNKNOWN_KEY,
        TokenFault.KEY_ID,
    }
    assert verifier.refuses(signed(user_claims(), kid=kid)) in {TokenFault.UNKNOWN_KEY, TokenFault.KEY_ID}


def test_a_token_without_a_key_id_is_good_where_one_key_can_be_meant(key_file: Path) -> None:
    token = signed_by(user_claims(), EC_KEY)
    assert Verifier(keys_of(key_file)).verify(token).user_id == "user_1"
    second = ec.generate_private_key(ec.SECP256R1())
    key_file.write_bytes(key_set(public_jwk(EC_KEY, "a"), public_jwk(second, "b")))
    assert Verifier(keys_of(key_file)).refuses(token) is TokenFault.UNKNOWN_KEY


def test_a_small_rsa_key_verifies_nothing(key_file: Path) -> None:
    small = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that it is too small is the point.
    key_file.write_bytes(key_set(public_jwk(small, "small"), public_jwk(EC_KEY, "ec")))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = signed_by(user_claims(), small, kid="small")
    assert Verifier(keys_of(key_file)).refuses(token) is TokenFault.UNKNOWN_KEY


def test_a_good_token_is_not_checked_again_for_seconds(verifier: Verifier) -> None:
    token = signed(user_claims())
    verifier.verify(token)
    verifier.monotonic.now = 9.9
    verifier.verify(token)
    assert verifier.signatures_checked == 1
    verifier.monotonic.now = 10
    verifier.verify(token)
    assert verifier.signatures_checked == 2


def test_a_remembered_token_ends_with_its_expiry(verifier: Verifier) -> None:
    token = signed(user_claims())
    verifier.verify(token)
    verifier.clock.now += 3604
    verifier.verify(token)
    verifier.clock.now += 1
    assert verifier.refuses(token) is TokenFault.EXPIRED
    assert verifier.signatures_checked == 1


def test_a_key_that_is_taken_away_ends_its_tokens_at_once(verifier: Verifier, key_file: Path) -> None:
    token = signed_by(user_claims(), EC_KEY, kid="ec")
    verifier.verify(token)
    key_file.write_bytes(key_set(public_jwk(RSA_KEY, "rsa")))
    verifier.keys.read_file()
    assert verifier.refuses(token) is TokenFault.UNKNOWN_KEY


_GOOD = signed(user_claims())
_SEGMENTS = string.ascii_letters + string.digits + "-_"


@given(st.integers(0, len(_GOOD) - 1), st.sampled_from(_SEGMENTS + ".=+/ é\x00"))
@example(len(_GOOD) - 1, "0")
def test_a_token_with_any_one_character_changed_is_refused(place: int, character: str) -> None:
    forged = _GOOD[:place] + character + _GOOD[place + 1 :]
    verifier = Verifier(keys_of(None))
    verifier.verify(_GOOD)
    if forged != _GOOD:
        verifier.refuses(forged)


@given(st.integers(0, len(_GOOD) - 1))
def test_a_part_of_a_token_is_refused(length: int) -> None:
    Verifier(keys_of(None)).refuses(_GOOD[:length])


def _always(signature: bytes, text: bytes) -> bytes:
    del text
    return signature


def _signer_of(key: PrivateKey) -> Callable[[bytes], bytes]:
    algorithm = jwt.get_algorithm_by_name(algorithm_of(key))
    return lambda text: algorithm.sign(text, key)

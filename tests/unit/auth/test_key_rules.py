"""Which keys are good enough."""

import base64
import contextlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from harkara_auth_service.domain.key_rules import BadKeysError, read_key_set, read_shared_key
from tests.support.auth_tokens import key_set, public_jwk

EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def test_a_shared_key_is_base64url_with_or_without_padding() -> None:
    key = bytes(range(32))
    assert read_shared_key(base64url(key)) == key
    assert read_shared_key(base64url(key).rstrip("=")) == key


@pytest.mark.parametrize("length", [0, 1, 16, 31])
def test_a_short_shared_key_is_refused(length: int) -> None:
    with pytest.raises(BadKeysError, match="too short"):
        read_shared_key(base64url(bytes(range(length))))


@pytest.mark.parametrize("key", [b"\0" * 32, b"changeme" * 8 + b"chang", b"ab" * 40])
def test_a_placeholder_is_no_shared_key(key: bytes) -> None:
    with pytest.raises(BadKeysError, match="placeholder"):
        read_shared_key(base64url(key))


@pytest.mark.parametrize("text", ["not base64!", "+/" * 40, "é" * 50, "A" * 45])
def test_a_shared_key_that_is_not_base64url_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadKeysError) as caught:
        read_shared_key(text)
    assert text not in str(caught.value)


@given(st.text())
def test_any_text_is_a_shared_key_or_refused(text: str) -> None:
    with contextlib.suppress(BadKeysError):
        assert len(read_shared_key(text)) >= 32


def test_a_key_set_yields_the_algorithm_that_belongs_to_each_key() -> None:
    document = key_set(public_jwk(EC_KEY, "ec"), public_jwk(ED_KEY, "ed", use="sig", alg="EdDSA"))
    assert [(entry.algorithm, entry.key_id) for entry in read_key_set(document).entries] == [
        ("ES256", "ec"),
        ("EdDSA", "ed"),
    ]


@pytest.mark.parametrize(
    ("jwk", "reason"),
    [
        ({"kty": "oct", "k": base64url(bytes(range(32))), "kid": "k"}, "a symmetric key"),
        ({"kty": "oct", "alg": "HS256"}, "a symmetric key"),
        (public_jwk(EC_KEY, "k", d="AAAA"), "a private key"),
        (public_jwk(EC_KEY, "k", k="AAAA"), "a private key"),
        (public_jwk(EC_KEY, "k", use="enc"), "not for signatures"),
        (public_jwk(EC_KEY, "k", key_ops=["encrypt"]), "not for verifying"),
        (public_jwk(EC_KEY, "k", key_ops="verify"), "not for verifying"),
        (public_jwk(EC_KEY, "k", alg="HS256"), "for another algorithm than ES256"),
        (public_jwk(EC_KEY, "k", alg="ES384"), "for another algorithm than ES256"),
        (public_jwk(EC_KEY, "k", alg=None), "for another algorithm than ES256"),
        (public_jwk(EC_KEY, "k", crv="P-384"), "of no type that we use"),
        (public_jwk(ED_KEY, "k", crv="Ed448"), "of no type that we use"),
        (public_jwk(EC_KEY, "k", x=1), "a member of the wrong type"),
        (public_jwk(EC_KEY, "a b"), "an odd kid"),
        (public_jwk(EC_KEY, kid=7), "an odd kid"),
        ({}, "of no type that we use"),
        ("a key", "not an object"),
    ],
)
def test_a_key_that_may_not_verify_is_left_out_and_said_so(jwk: object, reason: str) -> None:
    found = read_key_set(json.dumps({"keys": [jwk, public_jwk(ED_KEY, "good")]}).encode())
    assert [entry.key_id for entry in found.entries] == ["good"]
    assert found.left_out == (f"key 0: {reason}",)


def test_the_first_of_two_keys_with_one_id_is_meant() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    found = read_key_set(key_set(public_jwk(EC_KEY, "k"), public_jwk(other, "k"), public_jwk(ED_KEY, "k")))
    assert [entry.members["x"] for entry in found.entries] == [
        public_jwk(EC_KEY)["x"],
        public_jwk(ED_KEY)["x"],
    ]
    assert found.left_out == ("key 1: its kid stands twice",)


def test_keys_without_an_id_are_all_kept() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    assert len(read_key_set(key_set(public_jwk(EC_KEY), public_jwk(other))).entries) == 2


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'{"keys":{}}',
        b'{"key":[]}',
        b'{"keys":[],"keys":[]}',
        b"\xff",
        b'{"keys":[' + b",".join([b"{}"] * 65) + b"]}",
        b'{"keys":[],"x":"' + b"x" * 262_144 + b'"}',
    ],
)
def test_a_document_that_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(BadKeysError):
        read_key_set(document)


@given(st.binary())
def test_any_document_is_read_or_refused(document: bytes) -> None:
    with contextlib.suppress(BadKeysError):
        read_key_set(document)

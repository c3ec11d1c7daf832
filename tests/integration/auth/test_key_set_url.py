"""Keys from a URL: a real server that answers as it is told, and time that is moved by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from grpc import aio
from prometheus_client import CollectorRegistry

from harkara.auth.v1 import user_service_pb2 as users_pb
from harkara_auth_service.adapters.jwt_keys import JwtKeys
from harkara_auth_service.adapters.key_set_url import KeySetUrl
from harkara_auth_service.domain.errors import KeysUnavailableError
from harkara_auth_service.metrics import Metrics
from harkara_auth_service.settings import AuthServiceSettings
from tests.support.auth_service import SECONDS, running_auth_service
from tests.support.auth_tokens import internal_claims, key_set, public_jwk, signed_by, user_claims
from tests.support.waiting import wait_until_async

FIRST = ec.generate_private_key(ec.SECP256R1())
SECOND = ed25519.Ed25519PrivateKey.generate()
OLD = key_set(public_jwk(FIRST, "first"))
NEW = key_set(public_jwk(FIRST, "first"), public_jwk(SECOND, "second"))


@dataclass
class Issuer:
    """What the server answers, and how often it was asked."""

    url: str
    body: bytes = OLD
    status: str = "200 OK"
    more_headers: str = ""
    asked: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        await self.may_answer.wait()
        head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\n{self.more_headers}"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + self.body)
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    issuer = Issuer("")
    issuer.may_answer.set()
    server = await asyncio.start_server(issuer.answer, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
    try:
        yield issuer
    finally:
        server.close()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as issuer:
        yield issuer


@dataclass
class Ring:
    """Keys that have the issuer's URL, and their time."""

    url: str
    now: float = 0.0

    def __post_init__(self) -> None:
        self.keys = JwtKeys(
            shared_key=None,
            file=None,
            url=KeySetUrl(self.url, refresh_seconds=300),
            monotonic=lambda: self.now,
            metrics=Metrics(CollectorRegistry()),
        )

    def has(self, key_id: str) -> bool:
        return any(self.keys.find(algorithm, key_id) for algorithm in ("ES256", "EdDSA"))


@pytest.fixture
async def ring(issuer: Issuer) -> AsyncIterator[Ring]:
    ring = Ring(issuer.url)
    yield ring
    await ring.keys.close()


async def test_a_key_that_is_not_known_is_asked_for(issuer: Issuer, ring: Ring) -> None:
    was_loaded = ring.keys.loaded
    await ring.keys.look_again("ES256")
    assert ring.has("first")
    assert (was_loaded, ring.keys.loaded) == (False, True)
    issuer.body = NEW
    ring.now = 10
    await ring.keys.look_again("EdDSA")
    assert ring.has("second")
    assert issuer.asked == 2


async def test_tokens_with_invented_key_ids_cause_one_reading_in_10_seconds(
    issuer: Issuer, ring: Ring
) -> None:
    for ring.now in (0.0, 0.1, 9.9, 10.0, 15.0, 20.0):
        await asyncio.gather(*(ring.keys.look_again("ES256") for _ in range(20)))
    assert issuer.asked == 3


async def test_a_reading_that_is_under_way_is_waited_for(issuer: Issuer, ring: Ring) -> None:
    issuer.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(ring.keys.look_again("ES256"))
        await wait_until_async(lambda: issuer.asked == 1)
        group.create_task(ring.keys.look_again("ES256"))
        issuer.may_answer.set()
    assert issuer.asked == 1
    assert ring.has("first")


async def test_a_token_of_our_own_key_never_causes_a_reading(issuer: Issuer, ring: Ring) -> None:
    await ring.keys.look_again("HS256")
    assert issuer.asked == 0


FAILURES: dict[str, dict[str, str | bytes]] = {
    "an error": {"status": "500 Internal Server Error"},
    "a redirection": {"status": "302 Found", "more_headers": "Location: /elsewhere\r\n"},
    "rubbish": {"body": b"<html>"},
    "no key at all": {"body": key_set()},
    "only symmetric keys": {"body": key_set({"kty": "oct", "k": "AAAA"})},
    "far too much": {"body": NEW + b" " * 300_000},
    "no HTTP": {"status": "\r\n\r\n"},
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
async def test_a_failing_url_keeps_the_last_keys(
    issuer: Issuer, ring: Ring, failure: dict[str, str | bytes]
) -> None:
    await ring.keys.look_again("ES256")
    generation = ring.keys.generation
    for name, value in failure.items():
        setattr(issuer, name, value)
    ring.now = 10
    await ring.keys.look_again("ES256")
    assert issuer.asked == 2
    assert ring.has("first")
    assert ring.keys.generation == generation


async def test_a_url_that_never_answered_says_nothing_about_its_tokens(issuer: Issuer, ring: Ring) -> None:
    issuer.status = "503 Service Unavailable"
    for ring.now in (0.0, 1.0):
        with pytest.raises(KeysUnavailableError):
            await ring.keys.look_again("ES256")
    assert issuer.asked == 1


async def test_a_url_that_does_not_answer_is_given_up(
    issuer: Issuer, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harkara_auth_service.adapters.key_set_url.FETCH_SECONDS", 0.05)
    issuer.may_answer.clear()
    with pytest.raises(KeysUnavailableError):
        await ring.keys.look_again("ES256")
    issuer.may_answer.set()


async def test_keys_that_did_not_change_leave_what_was_verified(issuer: Issuer, ring: Ring) -> None:
    await ring.keys.look_again("ES256")
    generation = ring.keys.generation
    ring.now = 10
    await ring.keys.look_again("ES256")
    assert (issuer.asked, ring.keys.generation) == (2, generation)


async def test_the_url_is_read_again_when_its_time_has_come(
    issuer: Issuer, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harkara_auth_service.adapters.jwt_keys.LOOK_SECONDS", 0.005)
    keeping = asyncio.create_task(ring.keys.run())
    await wait_until_async(lambda: ring.has("first"))
    issuer.body = NEW
    ring.now = 299
    await asyncio.sleep(0)
    assert issuer.asked == 1
    ring.now = 300
    await wait_until_async(lambda: ring.has("second"))
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_users_of_an_outside_issuer_come_in_once_its_keys_are_known_and_nobody_else(
    issuer: Issuer, make_settings: Callable[..., AuthServiceSettings]
) -> None:
    issuer.status = "503 Service Unavailable"
    token = signed_by(user_claims("user_1"), FIRST, kid="first")
    async with running_auth_service(make_settings(jwks_url=issuer.url), until_ready=False) as service:
        await wait_until_async(lambda: issuer.asked > 0)
        assert (await service.get("/readyz")).status_code == 503
        with pytest.raises(aio.AioRpcError) as caught:
            await service.authenticate(token)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        issuer.status = "200 OK"
        user = users_pb.User(user_id="user_1", role=users_pb.ROLE_SHOP)
        await service.users.AddUsers(users_pb.AddUsersRequest(users=[user]), timeout=SECONDS)
        async with asyncio.timeout(SECONDS):
            while (await service.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - nothing tells it.
                await asyncio.sleep(0.02)
        assert (await service.authenticate(token)).user_id == "user_1"
        with pytest.raises(aio.AioRpcError) as caught:
            await service.authenticate(signed_by(internal_claims("edge"), FIRST, kid="first"))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED

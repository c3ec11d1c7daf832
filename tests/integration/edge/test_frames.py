"""Frames as clients may send them, and as they may not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.edge.conftest import Edge
from tests.support.raw_client import BINARY, CLOSE, CONT, PING, PONG, TEXT, RawClient, frame, message

HEARTBEAT = json.dumps({"type": "heartbeat", "timestamp": "नमस्ते 😀"}, ensure_ascii=False).encode()
LIMIT = 64 * 1024


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def client(shared_edge: Edge) -> AsyncIterator[RawClient]:
    """An authenticated client."""
    raw = await shared_edge.raw_sign_in()
    yield raw
    await raw.close()


async def is_open(client: RawClient) -> bool:
    client.send(message(type="heartbeat"))
    return bool((await client.text())["type"] == "heartbeat_ack")


def padded(length: int) -> bytes:
    text = b'{"type":"heartbeat","x":""}'
    return text[:-2] + b"x" * (length - len(text)) + text[-2:]


async def test_a_message_may_come_in_fragments_of_any_size(client: RawClient) -> None:
    for size in (1, 3, len(HEARTBEAT)):
        pieces = [HEARTBEAT[start : start + size] for start in range(0, len(HEARTBEAT), size)]
        for number, piece in enumerate(pieces):
            client.send(frame(CONT if number else TEXT, piece, fin=number == len(pieces) - 1))
        assert (await client.text())["type"] == "heartbeat_ack"


async def test_empty_fragments_are_part_of_a_message(client: RawClient) -> None:
    client.send(frame(TEXT, b"", fin=False), frame(CONT, HEARTBEAT, fin=False), frame(CONT, b"", fin=True))
    assert (await client.text())["type"] == "heartbeat_ack"


async def test_a_ping_between_fragments_is_answered_at_once(client: RawClient) -> None:
    client.send(frame(TEXT, HEARTBEAT[:5], fin=False), frame(PING, b"now"))
    assert await client.frame() == (PONG, b"now")
    client.send(frame(PONG, b"unasked"), frame(CONT, HEARTBEAT[5:]))
    assert (await client.text())["type"] == "heartbeat_ack"


async def test_bytes_may_come_one_by_one(client: RawClient) -> None:
    for byte in frame(TEXT, HEARTBEAT) + frame(PING, b"x"):
        client.send(bytes([byte]))
        await client.writer.drain()
    assert (await client.text())["type"] == "heartbeat_ack"
    assert await client.frame() == (PONG, b"x")


async def test_many_messages_in_one_packet_are_answered_in_order(client: RawClient) -> None:
    client.send(
        frame(PING, b"1"), message(type="heartbeat"), b"", message(type="nonsense"), frame(PING, b"2")
    )
    found = [await client.frame() for _ in range(4)]
    assert sorted(payload for opcode, payload in found if opcode == PONG) == [b"1", b"2"]
    texts = [json.loads(payload) for opcode, payload in found if opcode == TEXT]
    assert [text["type"] for text in texts] == ["heartbeat_ack", "error"]


# Refusals.


async def test_a_binary_frame_is_refused_at_its_header(client: RawClient) -> None:
    client.send(frame(BINARY, b"", length=60_000))
    assert await client.close_code() == 1003
    assert await client.eof() == b""


async def test_a_binary_frame_is_refused_at_its_first_byte(client: RawClient) -> None:
    client.send(frame(TEXT, HEARTBEAT), b"\x02")
    assert (await client.text())["type"] == "heartbeat_ack"
    assert await client.close_code() == 1003


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b'{"type":"\xff"}'),
        frame(TEXT, b'{"type":"\xed\xa0\x80"}'),
        frame(TEXT, HEARTBEAT[:-5] + b"\xe0"),
        # Split in the middle of a character that then goes wrong.
        frame(TEXT, b'"\xe0\xa4', fin=False) + frame(CONT, b'x"'),
        frame(TEXT, b'"\xf0\x9f', fin=False) + frame(PING) + frame(CONT, b"\x98"),
    ],
)
async def test_what_is_not_utf_8_is_refused(client: RawClient, data: bytes) -> None:
    client.send(data)
    opcode, payload = await client.frame()
    while opcode == PONG:
        opcode, payload = await client.frame()
    assert (opcode, int.from_bytes(payload[:2])) == (CLOSE, 1007)
    assert await client.eof() == b""


async def test_a_message_of_64_kib_is_taken(client: RawClient) -> None:
    client.send(frame(TEXT, padded(LIMIT)))
    assert (await client.text())["type"] == "heartbeat_ack"
    text = padded(LIMIT)
    client.send(frame(TEXT, text[:LIMIT], fin=False), frame(PING, b"x" * 125), frame(CONT, b""))
    assert {(await client.frame())[0] for _ in range(2)} == {PONG, TEXT}


async def test_a_message_over_64_kib_is_refused_at_its_header_without_an_error(client: RawClient) -> None:
    client.send(frame(TEXT, b"", length=LIMIT + 126))
    assert await client.close_code() == 1009


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, padded(LIMIT + 1)),
        frame(TEXT, padded(LIMIT)[:-1], fin=False) + frame(CONT, b"}}"),
        b"".join(frame(CONT if n else TEXT, b"x" * 8_000, fin=False) for n in range(9)),
        frame(TEXT, b"", length=2**62),
    ],
)
async def test_one_byte_too_many_is_refused_in_whatever_pieces(client: RawClient, data: bytes) -> None:
    client.send(data)
    assert await client.close_code() == 1009


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, HEARTBEAT, masked=False),
        frame(0x3),
        frame(0xB),
        bytes([0xC1]) + frame(TEXT, HEARTBEAT)[1:],
        frame(CONT, HEARTBEAT),
        frame(TEXT, HEARTBEAT[:3], fin=False) + frame(TEXT, HEARTBEAT),
        frame(PING, b"x" * 126),
        frame(PING, b"x", fin=False),
        frame(CLOSE, b"\x03"),
        frame(CLOSE, (1005).to_bytes(2)),
        frame(TEXT, HEARTBEAT[:3], fin=False) + frame(CLOSE, (1000).to_bytes(2)),
    ],
)
async def test_a_broken_frame_is_a_protocol_error(client: RawClient, data: bytes) -> None:
    client.send(data)
    assert await client.close_code() == 1002
    assert await client.eof() == b""


async def test_nothing_behind_a_refused_frame_takes_effect(client: RawClient) -> None:
    client.send(frame(TEXT, b"\xff"), message(type="heartbeat"), message(type="nonsense"))
    assert await client.close_code() == 1007
    assert await client.eof() == b""


# The closing handshake.


async def test_a_clients_close_is_answered_with_its_code(client: RawClient) -> None:
    client.send(frame(CLOSE, (1000).to_bytes(2) + b"bye"), message(type="heartbeat"))
    assert await client.close_code() == 1000
    assert await client.eof() == b""


async def test_a_close_without_a_code_is_answered_likewise(client: RawClient) -> None:
    client.send(frame(CLOSE))
    assert await client.frame() == (CLOSE, b"")


async def test_what_came_before_a_close_is_answered_before_it(client: RawClient) -> None:
    client.send(message(type="heartbeat"), frame(CLOSE, (1000).to_bytes(2)))
    assert (await client.text())["type"] == "heartbeat_ack"
    assert await client.close_code() == 1000


async def test_a_client_that_is_closed_may_answer_and_is_gone(shared_edge: Edge, client: RawClient) -> None:
    client.send(*(frame(TEXT, b"nonsense") for _ in range(3)))
    for _ in range(3):
        assert (await client.text())["code"] == "bad_message"
    assert await client.close_code() == 4400
    client.send(message(type="heartbeat"), frame(CLOSE, (4400).to_bytes(2)))
    assert await client.eof() == b""
    closes = shared_edge.registry.get_sample_value("harkara_edge_closes_total", {"code": "4400"})
    assert closes is not None
    assert closes >= 1


async def test_a_client_that_does_not_answer_a_close_is_cut(shared_edge: Edge, client: RawClient) -> None:
    client.send(*(frame(TEXT, b"nonsense") for _ in range(3)))
    for _ in range(3):
        await client.text()
    assert await client.close_code() == 4400
    shared_edge.clock.ahead += 6
    with contextlib.suppress(ConnectionResetError):
        assert await client.eof() == b""


async def test_a_connection_knows_nothing_of_a_broken_one(shared_edge: Edge, client: RawClient) -> None:
    """Parsers are lent: one that is in the middle of something must not be lent again."""
    halves = [await shared_edge.raw() for _ in range(3)]
    for half in halves:
        half.send(frame(TEXT, b'{"type":', fin=False))
    assert await is_open(client)
    halves[0].send(b"\x81")
    halves[1].send(frame(TEXT, b"x")[:2])
    halves[2].send(frame(CONT, b"nonsense"))
    assert (await halves[2].text())["code"] == "bad_message"
    assert await is_open(client)
    assert await is_open(client)
    for half in halves:
        await half.close()


@pytest.mark.parametrize("length", [1, 2, 6, 10])
async def test_a_connection_knows_nothing_of_another_ones_half_frame(
    shared_edge: Edge, client: RawClient, length: int
) -> None:
    other = await shared_edge.raw_sign_in("user_2")
    data = message(type="heartbeat")
    other.send(data[:length], b"")
    other_is_read = shared_edge.metric("harkara_edge_messages_total")
    assert await is_open(client)
    assert shared_edge.metric("harkara_edge_messages_total") == other_is_read + 1
    other.send(data[length:])
    assert (await other.text())["type"] == "heartbeat_ack"
    assert await is_open(client)
    await other.close()

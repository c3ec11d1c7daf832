"""The frames that we build ourselves, read back by `websockets`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from harkara_edge.domain.frames import text_frame


def read(data: bytes) -> list[bytes]:
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    client.receive_data(data)
    frames = client.events_received()
    assert client.state is State.OPEN
    payloads = []
    for frame in frames:
        assert isinstance(frame, Frame)
        assert frame.opcode is Opcode.TEXT
        assert frame.fin
        payloads.append(bytes(frame.data))
    return payloads


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_frame_of_every_kind_of_length_is_read_back(length: int) -> None:
    payload = b"x" * length
    assert read(text_frame(payload)) == [payload]


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_joined_frames_are_read_back_one_by_one(payloads: list[bytes]) -> None:
    assert read(b"".join(map(text_frame, payloads))) == payloads

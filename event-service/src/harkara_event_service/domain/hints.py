"""What replicas tell each other: a commit's number and its events as clients get them; ephemeral events.

A hint may be lost, so nothing depends on it: the batch stands in the log (`batches.py`). One that is
not of this form is dropped, whoever sent it: another release's, or nobody's we know.

MessagePack, one array, the version first. Pure: how it travels is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

from harkara_event_service.domain.batches import WRITERS, BatchId
from harkara_event_service.domain.event import Announced

HINT_BYTES = 256 * 1024
"""What a hint's texts may take together, about; past it only users and their last seqs are told."""

_VERSION = 1

# A bigint: nothing is numbered past it, and what were could be neither read after nor told to an edge.
_MOST = 2**63 - 1
_Seq = Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _HeardEvent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    user_id: str
    seq: _Seq
    event_type: str
    collapse_key: str | None
    expires_at: _Moment | None
    text: bytes


class _Hint(msgspec.Struct, array_like=True, frozen=True):
    version: int
    writer: Annotated[int, msgspec.Meta(ge=0, lt=WRITERS)]
    number: Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
    events: list[_HeardEvent]
    last_seqs: dict[str, _Seq]


class _PassingEvent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    user_id: str
    event_type: str
    collapse_key: str | None
    expires_at: _Moment | None
    text: bytes


class _Passing(msgspec.Struct, array_like=True, frozen=True):
    version: int
    events: list[_PassingEvent]


class Hint(msgspec.Struct, frozen=True):
    """A commit that was heard of.

    Args:
        batch: which.
        events: its events, in the order of each user's seq; empty where they would have taken too much.
        last_seqs: then for each of its users the last seq; else empty.
    """

    batch: BatchId
    events: Sequence[Announced]
    last_seqs: dict[str, int]


class HintError(ValueError):
    """These bytes are no hint that this release understands."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Hint)
_passing_decoder = msgspec.msgpack.Decoder(_Passing)


def encode(batch: BatchId, events: Sequence[Announced]) -> bytes:
    """Tell of a commit.

    Args:
        batch: which.
        events: what it stored, in the order of each user's seq.
    """
    if sum([event.text_bytes for event in events]) > HINT_BYTES:
        # A later event of the same user comes later.
        last_seqs = {event.user_id: event.seq for event in events}
        return _encoder.encode(_Hint(_VERSION, *batch, [], last_seqs))
    told = [
        _HeardEvent(
            event.user_id, event.seq, event.event_type, event.collapse_key, event.expires_at, event.text
        )
        for event in events
    ]
    return _encoder.encode(_Hint(_VERSION, *batch, told, {}))


def decode(payload: bytes) -> Hint:
    """Understand what another replica told.

    Raises:
        HintError: it is of another version, or of no form that is known.
    """
    hint = _decoded(_decoder, payload)
    return Hint(
        BatchId(hint.writer, hint.number),
        [
            Announced(
                event.user_id,
                event.seq,
                event.event_type,
                event.collapse_key,
                event.expires_at,
                event.text,
            )
            for event in hint.events
        ],
        hint.last_seqs,
    )


def encode_ephemeral(events: Sequence[Announced]) -> list[bytes]:
    """Tell of events that are kept nowhere; as many messages as keep each about within `HINT_BYTES`."""
    messages: list[bytes] = []
    told: list[_PassingEvent] = []
    size = 0
    for event in events:
        size += event.text_bytes
        if told and size > HINT_BYTES:
            messages.append(_encoder.encode(_Passing(_VERSION, told)))
            told, size = [], event.text_bytes
        told.append(
            _PassingEvent(event.user_id, event.event_type, event.collapse_key, event.expires_at, event.text)
        )
    if told:
        messages.append(_encoder.encode(_Passing(_VERSION, told)))
    return messages


def decode_ephemeral(payload: bytes) -> list[Announced]:
    """Understand what another replica told of events that are kept nowhere.

    Raises:
        HintError: as in `decode`.
    """
    return [
        Announced(event.user_id, 0, event.event_type, event.collapse_key, event.expires_at, event.text)
        for event in _decoded(_passing_decoder, payload).events
    ]


_M = TypeVar("_M", _Hint, _Passing)


def _decoded(decoder: msgspec.msgpack.Decoder[_M], payload: bytes) -> _M:
    try:
        message = decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HintError(str(error)) from None
    if message.version != _VERSION:
        text = f"version {message.version}"
        raise HintError(text)
    return message

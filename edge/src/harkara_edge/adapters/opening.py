"""The opening request of HTTP: accepts it or says why not.

The whole head is here before anything of it is parsed, so that a slow one costs its bytes and no more.
`websockets` checks what RFC 6455 asks of it; `domain.handshake` says who may come in. An answer that
refuses has a status and its name, and nothing of what went wrong inside.

What does not belong here: the socket, and counting connections.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from harkara_edge.adapters.frame_parser import SILENT
from harkara_edge.domain.handshake import refusal
from harkara_servicekit.origins import OriginRule

MAX_HEAD_BYTES: Final = 16 * 1024
END_OF_HEAD: Final = b"\r\n\r\n"


class Answer(NamedTuple):
    """What to send.

    Args:
        status: 101 where a WebSocket is open from here on.
        data: The whole answer.
    """

    status: int
    data: bytes


def answer(head: bytes, rule: OriginRule, *, full: bool) -> Answer:
    """Answer a request.

    Args:
        head: Request line and headers, the empty line included.
        rule: Which Origins may connect.
        full: Whether there is no room for another connection.
    """
    protocol = ServerProtocol(logger=SILENT)
    protocol.receive_data(head)
    events = protocol.events_received()
    if not events or not isinstance(events[0], Request):
        # The core answers some broken requests by itself, and the others by closing.
        written = b"".join(protocol.data_to_send())
        if written.startswith(b"HTTP/"):
            return Answer(int(written.split(b" ", 2)[1]), written)
        return refused(HTTPStatus.BAD_REQUEST)
    request = events[0]
    status = refusal(
        method=request.method,
        target=request.path,
        hosts=request.headers.get_all("Host"),
        origins=request.headers.get_all("Origin"),
        rule=rule,
    )
    if status is not None:
        return refused(HTTPStatus(status))
    response = protocol.accept(request)
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        return refused(HTTPStatus(response.status_code))
    if full:
        return refused(HTTPStatus.SERVICE_UNAVAILABLE)
    protocol.send_response(response)
    return Answer(response.status_code, b"".join(protocol.data_to_send()))


def refused(status: HTTPStatus) -> Answer:
    """Return the answer that refuses with this status."""
    response: Response = ServerProtocol(logger=SILENT).reject(status, f"{status.value} {status.phrase}\n")
    match status:
        case HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = "GET"
        case HTTPStatus.UPGRADE_REQUIRED:
            response.headers["Upgrade"] = "websocket"
            response.headers["Sec-WebSocket-Version"] = "13"
        case HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = "5"
    return Answer(status.value, response.serialize())

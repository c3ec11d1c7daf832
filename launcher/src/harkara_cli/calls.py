"""gRPC calls of the command line: one channel, one credential, faults told as one line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc

from harkara_cli.errors import CliError, MisuseError

_SECONDS = 30.0
# The same as the services': above what any answer may hold.
_MAX_MESSAGE_BYTES = 8 * 1024 * 1024

Answer = TypeVar("Answer")


class Caller:
    """Calls one server.

    Args:
        channel: To that server.
        server: Its name, for messages.
        token: The credential of each call.
    """

    def __init__(self, channel: grpc.Channel, server: str, token: str) -> None:
        self.channel = channel
        self._server = server
        self._metadata = (("authorization", f"Bearer {token}"),)

    def call(self, method: Callable[..., Answer], request: Any) -> Answer:
        """One call.

        Args:
            method: Of a stub on `channel`.
            request: Its message.

        Raises:
            MisuseError: The server says that the request is at fault.
            CliError: The call failed otherwise.
        """
        try:
            # wait_for_ready: a server that is just being started again is waited for.
            return method(request, timeout=_SECONDS, metadata=self._metadata, wait_for_ready=True)
        except grpc.RpcError as error:
            raise told(error, self._server) from error


def told(error: grpc.RpcError, server: str) -> CliError:
    """A failed call as an error for people."""
    # What a stub raises is a grpc.Call too, which the type stubs do not say.
    code: grpc.StatusCode = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    details: str = (error.details() if hasattr(error, "details") else "") or ""
    text = f"{server}: {code.name}" + (f": {details.splitlines()[0]}" if details else "")
    return MisuseError(text) if code is grpc.StatusCode.INVALID_ARGUMENT else CliError(text)


@contextmanager
def connected(target: str, server: str, token: str) -> Iterator[Caller]:
    """A caller of the server at `host:port`; the channel is closed at the end."""
    options = (
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_reconnect_backoff_ms", 500),
    )
    with grpc.insecure_channel(target, options=options) as channel:
        yield Caller(channel, server, token)

"""gRPC calls of the command line: one channel, one credential, faults told as one line."""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import grpc

from harkara_cli.errors import CliError, MisuseError

_SECONDS = 30.0
_SECONDS_EACH = 5.0  # Of a call to one of several replicas: one that is frozen must not use up all the time.
_LONGEST_PAUSE_SECONDS = 1.0
# The same as the services': above what any answer may hold.
_MAX_MESSAGE_BYTES = 8 * 1024 * 1024

# What may have been done all the same, and may be asked again where that does no harm.
_UNCERTAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)

Answer = TypeVar("Answer")


class UncertainError(CliError):
    """A call that failed in a way that may pass, and that may have been done all the same."""


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

    def call(
        self, method: Callable[..., Answer], request: Any, *, seconds: float = _SECONDS, wait: bool = True
    ) -> Answer:
        """One call.

        Args:
            method: Of a stub on `channel`.
            request: Its message.
            seconds: How long it may take.
            wait: Whether a server that is just being started again is waited for.

        Raises:
            MisuseError: The server says that the request is at fault.
            UncertainError: The call may have been carried out.
            CliError: The call failed otherwise.
        """
        try:
            return method(request, timeout=seconds, metadata=self._metadata, wait_for_ready=wait)
        except grpc.RpcError as error:
            raise told(error, self._server) from error


class Replicas:
    """Calls any of several servers that serve alike.

    Args:
        callers: One of each.
        seconds: How long a call may take, with all its repetitions.
    """

    def __init__(self, callers: Sequence[Caller], seconds: float = _SECONDS) -> None:
        self._callers = callers
        self._seconds = seconds

    def call(self, method: Callable[[grpc.Channel], Callable[..., Answer]], request: Any) -> Answer:
        """One call, repeated elsewhere and again while that may help: for what may be done twice unharmed.

        Args:
            method: Finds the method, of a stub on the channel given.
            request: Its message.

        Raises:
            MisuseError: A server says that the request is at fault.
            CliError: The call failed otherwise, or none answered in time.
        """
        deadline = time.monotonic() + self._seconds
        alone = len(self._callers) == 1
        pause = 0.1
        for number, caller in enumerate(itertools.cycle(self._callers), 1):
            left = deadline - time.monotonic()
            seconds = left if alone else min(left, _SECONDS_EACH)
            try:
                return caller.call(method(caller.channel), request, seconds=seconds, wait=alone)
            except UncertainError:
                if time.monotonic() + pause >= deadline:
                    raise
            if number % len(self._callers) == 0:
                time.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret.
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        raise AssertionError  # The cycle has no end.


def told(error: grpc.RpcError, server: str) -> CliError:
    """A failed call as an error for people."""
    # What a stub raises is a grpc.Call too, which the type stubs do not say.
    code: grpc.StatusCode = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    details: str = (error.details() if hasattr(error, "details") else "") or ""
    text = f"{server}: {code.name}" + (f": {details.splitlines()[0]}" if details else "")
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return MisuseError(text)
    return UncertainError(text) if code in _UNCERTAIN else CliError(text)


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


@contextmanager
def connected_to_all(
    targets: Sequence[str], server: str, token: str, *, seconds: float = _SECONDS
) -> Iterator[Replicas]:
    """A caller of the replicas of a server, of whom each call takes at most so long; closed at the end."""
    with ExitStack() as stack:
        callers = [stack.enter_context(connected(target, server, token)) for target in targets]
        yield Replicas(callers, seconds)

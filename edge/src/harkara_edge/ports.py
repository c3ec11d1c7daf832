"""What the edge needs of the world around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from harkara_edge.domain.commands import AddTypes, OpenCursor, Principal, RemoveTypes


class Socket(Protocol):
    """One client's connection, with the WebSocket handshake behind it.

    What is written arrives whole and in order, or the connection ends. Nothing here blocks.
    """

    @property
    def address(self) -> str:
        """The peer's address, for the log."""

    @property
    def write(self) -> Callable[[bytes], object]:
        """What takes whole frames. It takes them even where the peer does not read: see `unsent`."""

    def unsent(self) -> int:
        """Return how many bytes were written that the system has not taken yet."""

    def hold(self, holding: bool) -> None:
        """Read nothing more from the peer, or read again."""

    def schedule(self, when: float) -> None:
        """Ask the service about this client's deadlines at this time, and at no earlier one.

        Args:
            when: Seconds of the monotonic clock.
        """

    def close(self, close_code: int) -> None:
        """Start the closing handshake after all that was written; what comes in is read no more."""


class EventStream(Protocol):
    """The commands to the event-service, sent in order on the Attach stream of now.

    A command without a stream is lost: the next stream starts with an `open` for each session.
    """

    @property
    def attached(self) -> bool:
        """Whether there is a stream."""

    def open(self, session: int, user_id: str, command: OpenCursor) -> None:
        """Start a session's cursor."""

    def change(self, session: int, command: AddTypes | RemoveTypes) -> None:
        """Change what a cursor selects."""

    def written(self, session: int, seq: int) -> None:
        """Report that everything up to `seq` was handed to the connection's transport."""

    def acknowledge(self, session: int, seq: int) -> None:
        """Report what the client acknowledged."""

    def close(self, session: int) -> None:
        """End a cursor."""

    async def room(self) -> None:
        """Wait while more commands are queued than whoever gives many at once should add to.

        Cancelled, it has done nothing.
        """


class TokenVerifier(Protocol):
    """The auth-service."""

    @property
    def crowded(self) -> bool:
        """Whether whoever asks now would wait for too long."""

    async def verify(self, token: str) -> Principal:
        """Say whom a token speaks for.

        Ends within seconds. Cancelled, it leaves nothing behind.

        Raises:
            TokenRefusedError: The token is bad.
            UserRefusedError: Its user may not come in.
            VerifierAwayError: Nobody can say now.
        """

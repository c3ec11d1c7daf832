"""What a client that was here before asks for with its first `auth` (docs/protocol.md, resume).

No fault in it refuses the `auth`: what cannot be understood is as if it were not to be had.

What does not belong here: reading JSON (`messages`), what becomes of it (`session`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harkara_edge.domain import errors, messages, replies
from harkara_edge.domain.commands import Resume


@dataclass(frozen=True, slots=True)
class Return:
    """Where a client wants to go on from, and with which types.

    Args:
        point: The position it names; None where it names none, or a faulty one.
        from_device: Whether it wants to go on after what its device last acknowledged.
        types: Those to subscribe, in the order first asked.
        unknown: Those that there are not.
        beyond: Those that were too many.
    """

    point: Resume | None
    from_device: bool
    types: tuple[str, ...]
    unknown: tuple[str, ...]
    beyond: tuple[str, ...]

    def faults(self) -> list[bytes]:
        """Return the errors to tell the client of."""
        told: list[bytes] = []
        if self.unknown:
            told.append(replies.error(errors.UNKNOWN_EVENT_TYPE, self.unknown))
        if self.beyond:
            told.append(replies.error(errors.TOO_MANY_SUBSCRIPTIONS, self.beyond))
        return told


def read_return(value: object, device_id: str, is_known: Callable[[str], bool], most_types: int) -> Return:
    """Understand a `resume`.

    Args:
        value: Whatever JSON stood there.
        device_id: The client's device; empty where it named none, or a faulty one.
        is_known: Whether there is such a type.
        most_types: How many may be subscribed.
    """
    point, asked = messages.read_resume(value)
    asked = list(dict.fromkeys(asked))
    known = [name for name in asked if is_known(name)]
    return Return(
        point=point,
        from_device=bool(device_id) and messages.names_no_position(value),
        types=tuple(known[:most_types]),
        unknown=tuple(name for name in asked if not is_known(name)),
        beyond=tuple(known[most_types:]),
    )

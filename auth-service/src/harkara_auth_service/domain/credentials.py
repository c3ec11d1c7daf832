"""The list of revoked credentials: names of services and internal parts, one a line.

A credential is revoked by name, so all of that name's tokens end, new ones too, until the name is taken
off the list. Versions of users' changes are not concerned: whoever watches is told the whole list anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harkara_auth_service.domain.token_rules import is_user_id

MAX_LIST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RevokedNames:
    """What a list says.

    Args:
        names: whose credentials are revoked.
        odd_lines: numbers of the lines, from 1, that hold no name.
    """

    names: frozenset[str]
    odd_lines: tuple[int, ...]


def read_revoked_names(text: bytes) -> RevokedNames:
    """Read a list. Empty lines and what follows a "#" say nothing.

    An odd line does not undo the others: a slip of the pen must not let a revoked credential in again.
    """
    names: set[str] = set()
    odd_lines: list[int] = []
    for number, line in enumerate(text.split(b"\n"), start=1):
        name = line.partition(b"#")[0].strip().decode("ascii", "replace")
        if is_user_id(name):
            names.add(name)
        elif name:
            odd_lines.append(number)
    return RevokedNames(frozenset(names), tuple(odd_lines))

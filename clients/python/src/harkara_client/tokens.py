"""Where tokens come from: a text, a file that somebody renews, or whoever mints them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from os import PathLike
from pathlib import Path
from typing import TypeAlias

Token: TypeAlias = str | PathLike[str] | Callable[[], str | Awaitable[str]]
"""A token, the path of a file that holds one, or a function (async or not) that returns one."""


class TokenSource:
    """Asks for a token each time one is needed.

    Args:
        token: See `Token`. A file is read again each time, and a function called again.
    """

    def __init__(self, token: Token) -> None:
        self._token = token

    @property
    def can_renew(self) -> bool:
        """Whether asking again may give another token."""
        return not isinstance(self._token, str)

    async def get(self) -> str:
        """The token of now.

        Raises:
            ValueError: There is none: the file is empty, or the function returned nothing.
            OSError: The file cannot be read.
        """
        if isinstance(self._token, str):
            token = self._token
        elif isinstance(self._token, PathLike):
            token = _read(Path(self._token))
        else:
            made = self._token()
            token = await made if inspect.isawaitable(made) else made
        token = token.strip()
        if not token:
            raise ValueError("there is no token")
        return token


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii")

"""Named places in the code at which a test can let the process die or freeze.

For tests alone: `HARKARA_FAILPOINTS` says what happens where, and nothing happens without it. It is a
list with commas of `name=action` or `name=action:count`:

    event-service.after-commit=kill         the process kills itself the first time it comes there
    event-service.after-commit=kill:40      the 40th time
    event-service.in-transaction=stop       it freezes there, until somebody sends it SIGCONT

Each happens once in the life of a process. A name that no code has never happens.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from functools import cache

from harkara_servicekit.settings import SettingsError

VARIABLE = "HARKARA_FAILPOINTS"

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Failpoints:
    """What is to happen where.

    Args:
        text: as in the variable.

    Raises:
        SettingsError: it is not of that form.
    """

    def __init__(self, text: str) -> None:
        self._planned: dict[str, signal.Signals] = {}
        self._left: dict[str, int] = {}
        for plan in filter(None, (part.strip() for part in text.split(","))):
            name, _, what = plan.partition("=")
            action, counts, count = what.partition(":")
            times = count if counts else "1"
            if not name or action not in _SIGNALS or not times.isdecimal() or int(times) < 1:
                message = f"{VARIABLE}: {plan!r} is not name=kill or name=stop, with :count or without"
                raise SettingsError(message)
            self._planned[name] = _SIGNALS[action]
            self._left[name] = int(times)

    def __bool__(self) -> bool:
        """Whether anything may happen at all."""
        return bool(self._planned)

    def due(self, name: str) -> signal.Signals | None:
        """Count that the process came to this place; the signal that it must get now, if any."""
        left = self._left.get(name)
        if left is None:
            return None
        self._left[name] = left - 1
        return self._planned[name] if left == 1 else None


def planned(environment: Mapping[str, str] = os.environ) -> Failpoints:
    """What the environment says.

    Raises:
        SettingsError: it cannot be understood.
    """
    return Failpoints(environment.get(VARIABLE, ""))


_ours = cache(planned)


def hit(name: str) -> None:
    """Die or freeze here, where a test asked for that; else do nothing.

    Args:
        name: the service and the place, such as `event-service.after-commit`.

    Raises:
        SettingsError: the variable cannot be understood; `runner.run` has said so before.
    """
    number = _ours().due(name)
    if number is not None:
        os.kill(os.getpid(), number)

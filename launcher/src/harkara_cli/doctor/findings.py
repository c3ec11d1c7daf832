"""What a check found: one line each, and what to do where it is not good.

What does not belong here: any check, and how findings are printed.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeAlias

import msgspec

Verdict: TypeAlias = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes:
        name: What was looked at.
        verdict: `warn` will become a trouble, or may be one; `fail` is one.
        found: What is so, in a few words. No secret.
        remedy: What to do about it; empty where nothing need be done.
    """

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


Check: TypeAlias = Callable[[], Iterable[Finding]]


def ok(name: str, found: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", found)


def warn(name: str, found: str, remedy: str) -> Finding:
    """It works, for now."""
    return Finding(name, "warn", found, remedy)


def fail(name: str, found: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(name, "fail", found, remedy)


def findings_of(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Makes checks one after the other.

    Args:
        checks: Each with the name under which it is told where it cannot be made at all.
    """
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 - a check that breaks is a finding, whatever broke.
            text = (str(error).strip().splitlines() or [""])[0]
            yield fail(
                name, f"cannot be checked: {text or type(error).__name__}", "mend that, then run this again"
            )

"""Completion in real shells, as somebody has it who types `./harkara` in a clone with an empty home."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

CLONE = Path(__file__).resolve().parents[3]

PLAIN = {
    "bash": ("bash", "--noprofile", "--norc", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
"""A shell that has read nothing of anybody's."""

LOAD_WHAT_IS_SHOWN = {
    "bash": 'eval "$(./harkara --show-completion)"',
    "zsh": "autoload -Uz compinit; compinit -u -D; source <(./harkara --show-completion)",
    "fish": "./harkara --show-completion | source",
}

AFTER_A_LOGIN = {"bash": ("bash", "-i"), "zsh": ("zsh", "-i"), "fish": ("fish", "-i")}
"""A shell that has read what is installed in the home."""

DOCTOR = "Look at everything that the mesh needs"
"""Of the help of `doctor`: what the whole line `./harkara doctor --help` prints, and no part of it."""

shells = pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])


@dataclass
class Terminal:
    """A shell at a terminal."""

    descriptor: int
    shown: str = ""

    def types(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def shows(self, text: str, *, within: float = 30) -> None:
        """Waits until it shows that."""
        deadline = time.monotonic() + within
        while text not in self.shown:
            ready, _, _ = select.select([self.descriptor], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"{text!r} is not in {self.shown!r}"
            self.shown += os.read(self.descriptor, 65_536).decode(errors="replace")


@contextmanager
def at_a_terminal(command: tuple[str, ...], home: Path) -> Iterator[Terminal]:
    shell, setsid = shutil.which(command[0]), shutil.which("setsid")
    if shell is None or setsid is None:
        pytest.skip(f"no {command[0]} on the PATH")
    ours, theirs = pty.openpty()
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    process = subprocess.Popen(  # noqa: S603 - which() found it.
        [setsid, "--ctty", shell, *command[1:]],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=CLONE,
        # Nothing but what is there after a login; a narrow or dumb terminal would change what is shown.
        env={**kept, "HOME": str(home), "TERM": "xterm", "COLUMNS": "200", "NO_COLOR": "1"},
    )
    os.close(theirs)
    try:
        yield Terminal(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@shells
def test_what_is_shown_makes_a_shell_complete_the_command_on_the_line(shell: str, tmp_path: Path) -> None:
    with at_a_terminal(PLAIN[shell], tmp_path) as terminal:
        terminal.types(f"{LOAD_WHAT_IS_SHOWN[shell]}\r")
        terminal.types("./harkara doc\t --help\r")
        terminal.shows(DOCTOR)


@shells
def test_what_is_installed_into_an_empty_home_completes_after_the_next_login(
    shell: str, tmp_path: Path
) -> None:
    with at_a_terminal(PLAIN[shell], tmp_path) as terminal:
        terminal.types("./harkara --install-completion\r")
        terminal.shows(f"{shell} completion installed in {tmp_path}")
        terminal.shows("once you restart the terminal")
    with at_a_terminal(AFTER_A_LOGIN[shell], tmp_path) as terminal:
        terminal.types("./harkara doc\t --help\r")
        terminal.shows(DOCTOR)


@shells
def test_a_command_in_the_home_is_completed_by_its_tilde(shell: str, tmp_path: Path) -> None:
    (tmp_path / "harkara").symlink_to(CLONE / "harkara")
    with at_a_terminal(PLAIN[shell], tmp_path) as terminal:
        terminal.types(f"{LOAD_WHAT_IS_SHOWN[shell]}\r")
        terminal.types("~/harkara doc\t --help\r")
        terminal.shows(DOCTOR)

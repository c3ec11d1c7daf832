"""Child processes that cannot outlive us, whatever ends us.

On Linux the kernel sends a child its death signal when the *thread* that forked it ends, so `spawn`
must be called from the main thread. A child leads its own process group: a Ctrl-C in the terminal
reaches the launcher alone, which then stops its children in order.

Nothing here knows what the children are.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_NAMESPACE_ID = 1000  # Whom we are inside the namespace; any number but 0.


@dataclass(frozen=True)
class Identity:
    """As whom a child runs.

    Attributes:
        name: For messages.
        namespace: True: as ourselves (root), inside a user namespace in which we are not root.
        uid: The user to become; None to stay who we are.
        gid: That user's group.
    """

    name: str
    namespace: bool = False
    uid: int | None = None
    gid: int | None = None


OURSELVES = Identity("ourselves")
IN_NAMESPACE = Identity("root in a user namespace", namespace=True)


def as_user(entry: pwd.struct_passwd) -> Identity:
    """The identity of a user of this machine; only root can take it."""
    return Identity(f"user {entry.pw_name}", uid=entry.pw_uid, gid=entry.pw_gid)


def spawn(  # noqa: PLR0913 - as subprocess.Popen, whose arguments these are.
    argv: Sequence[str],
    *,
    death_signal: signal.Signals = signal.SIGKILL,
    identity: Identity = OURSELVES,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts a child that dies with us. Call it from the main thread.

    Args:
        argv: The program and its arguments.
        death_signal: What the kernel sends it when we die.
        identity: As whom it runs.
        env: Its whole environment; ours by default.
        cwd: Its working folder; ours by default.
        stdout: As in `subprocess.Popen`.
        stderr: As in `subprocess.Popen`.
        pass_fds: File descriptors that it inherits, beside the three standard ones.

    Raises:
        OSError: The program cannot be executed.
        subprocess.SubprocessError: The identity cannot be taken.
    """
    parent = os.getpid()
    libc = _libc()  # Loaded before the fork: nothing may be loaded between fork and exec.

    def prepare() -> None:
        if identity.namespace:
            _enter_namespace(libc)
        elif identity.uid is not None and identity.gid is not None:
            os.setgroups([])
            os.setgid(identity.gid)
            os.setuid(identity.uid)
        # After the change of identity, which clears it.
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # We died before the line above.
                os._exit(1)

    return subprocess.Popen(  # noqa: S603 - what runs is the caller's choice, never a user's text.
        argv,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        process_group=0,
        preexec_fn=prepare,  # noqa: PLW1509 - forked from the main thread; it takes no lock.
    )


def _enter_namespace(libc: ctypes.CDLL | None) -> None:
    if libc is None or libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError
    # Without "deny" the kernel lets nobody unprivileged write gid_map.
    for name, text in (
        ("setgroups", b"deny"),
        ("gid_map", b"%d 0 1" % _NAMESPACE_ID),
        ("uid_map", b"%d 0 1" % _NAMESPACE_ID),
    ):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, text)
        os.close(descriptor)


@cache
def _libc() -> ctypes.CDLL | None:
    """The C library; None where there is no prctl: there children may outlive a kill -9 of ours."""
    return ctypes.CDLL(None) if sys.platform == "linux" else None

"""Listening sockets of the HTTP servers."""

from __future__ import annotations

import resource
import socket
import sys
from typing import Final

FILES_BESIDES_CLIENTS: Final = 128
"""What a process opens besides the sockets of its clients: listeners, channels, logs, a pool."""


def sockets_of_clients() -> int:
    """How many clients' sockets this process may have open at once, by its limit on files; at least 1."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if files == resource.RLIM_INFINITY else max(1, files - FILES_BESIDES_CLIENTS)


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address, not yet listening.

    Args:
        host: the address.
        port: the port; 0 lets the system choose.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only where it is; without, an answer in
    # two pieces waits 40 ms for the client's acknowledgement of the first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Not SO_REUSEPORT: a second process on this port is a mistake to be told.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.settimeout(0)
    except OSError as error:
        listener.close()
        message = f"cannot listen on {joined(host, port)}: {error.strerror}"
        raise OSError(error.errno, message) from error
    return listener


def joined(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

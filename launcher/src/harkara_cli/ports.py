"""TCP ports: which are free, and which to take when nobody says.

A port is probed without SO_REUSEPORT: with it a second mesh would share the port of the first, unseen.
"""

import errno
import random
import socket
from collections.abc import Collection
from pathlib import Path

from harkara_cli.errors import CliError

LOOPBACK = "127.0.0.1"

_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_RANGE_START = 32768
_LOWEST = 15_000  # Below it are the ports that have names, ours too.


def is_free(host: str, port: int) -> bool:
    """Whether a server can listen there now.

    Raises:
        CliError: The host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # Connections of a former server that linger in TIME_WAIT are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            message = f"port {port} is for root alone"
            raise CliError(message) from error
        except socket.gaierror as error:
            message = f"{host} is no host name known here"
            raise CliError(message) from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                message = f"{host} is no address of this machine"
                raise CliError(message) from error
            return False
    return True


def free_port(taken: Collection[int] = ()) -> int:
    """A port on loopback that nobody has, and none of `taken`.

    From below the range that the system hands to outgoing connections: one of those would otherwise
    sit on it, by accident, before our server or while it restarts.

    Raises:
        CliError: There is none.
    """
    end = _outgoing_range_start()
    start = min(_LOWEST, end // 2)
    # Chance here only keeps two starting meshes apart.
    for port in random.sample(range(start, end), k=min(200, end - start)):
        if port not in taken and is_free(LOOPBACK, port):
            return port
    message = f"no free port found between {start} and {end}"
    raise CliError(message)


def _outgoing_range_start() -> int:
    try:
        start = int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL_RANGE_START
    # An operator may have given nearly everything to outgoing connections.
    return start if start > _LOWEST + 1_000 else _USUAL_RANGE_START


def split_address(text: str, setting: str) -> tuple[str, int]:
    """Takes `host:port` apart; brackets around an IPv6 address are removed.

    Args:
        text: What was given.
        setting: Where it was given, for the message.

    Raises:
        CliError: It is not `host:port`.
    """
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        message = f"{setting}={text} is not host:port"
        raise CliError(message)
    return host.removeprefix("[").removesuffix("]"), int(port)

"""What the system alone takes for a send to an open socket: the floor under every fan-out.

One process sends the same bytes to many loopback connections, one `send` for each and nothing else;
another reads them. The sender's CPU time for each send depends on the machine and the hour, so it is
measured in the same run as the edge's.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time

_ROUNDS = 200


def send_cost_us(sockets: int, size: int) -> float:
    """CPU microseconds of one `send` of `size` bytes to one of `sockets` connections.

    Args:
        sockets: how many connections.
        size: bytes of each send.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(sockets)
        job = json.dumps(
            {"port": listener.getsockname()[1], "sockets": sockets, "bytes": sockets * size * _ROUNDS}
        )
        reader = subprocess.Popen(  # noqa: S603 - this very module.
            [sys.executable, "-m", "harkara_bench.baseline", job]
        )
        connections = [listener.accept()[0] for _ in range(sockets)]
    payload = b"x" * size
    before = os.times()
    for _ in range(_ROUNDS):
        for connection in connections:
            connection.sendall(payload)
        # As between two events: the reader takes what came.
        time.sleep(0.002)
    after = os.times()
    reader.wait()
    for connection in connections:
        connection.close()
    return 1e6 * (after.user - before.user + after.system - before.system) / (_ROUNDS * sockets)


def _read_all(job: dict[str, int]) -> None:
    poll = select.epoll()
    connections: dict[int, socket.socket] = {}
    for _ in range(job["sockets"]):
        connection = socket.create_connection(("127.0.0.1", job["port"]))
        connections[connection.fileno()] = connection
        poll.register(connection.fileno(), select.EPOLLIN)
    left = job["bytes"]
    while left > 0:
        for descriptor, _ in poll.poll():
            data = connections[descriptor].recv(65_536)
            left -= len(data)
            if not data:
                return


if __name__ == "__main__":
    _read_all(json.loads(sys.argv[1]))

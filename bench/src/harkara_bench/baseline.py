"""What the system alone takes for a send to an open socket: the floor under every fan-out.

One process sends the same bytes to many loopback connections, one `send` for each and nothing else;
another reads them. The sender's CPU time for each send depends on the machine and the hour, so it is
measured in the same run as the edge's, and the next round waits until
the last was read, as the fan-out waits.
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
_GO = b"."


def send_cost_us(sockets: int, size: int) -> float:
    """CPU microseconds of one `send` of `size` bytes to one of `sockets` connections.

    Args:
        sockets: how many connections.
        size: bytes of each send.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(sockets)
        job = {"port": listener.getsockname()[1], "sockets": sockets, "size": size}
        reader = subprocess.Popen(  # noqa: S603 - this very module.
            [sys.executable, "-m", "harkara_bench.baseline", json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        connections = [listener.accept()[0] for _ in range(sockets)]
    for connection in connections:
        # As event loops set it: else the system joins sends, and seems to be cheap.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert reader.stdin is not None  # noqa: S101 - they are pipes.
    assert reader.stdout is not None  # noqa: S101
    payload = b"x" * size
    spent = 0.0
    with reader:
        for _ in range(_ROUNDS):
            reader.stdin.write(_GO)
            before = time.process_time()
            for connection in connections:
                connection.sendall(payload)
            spent += time.process_time() - before
            reader.stdout.read(1)
        reader.stdin.close()
    for connection in connections:
        connection.close()
    return 1e6 * spent / (_ROUNDS * sockets)


def _read_rounds(port: int, sockets: int, size: int) -> None:
    poll = select.epoll()
    connections: dict[int, socket.socket] = {}
    for _ in range(sockets):
        connection = socket.create_connection(("127.0.0.1", port))
        connections[connection.fileno()] = connection
        poll.register(connection.fileno(), select.EPOLLIN)
    while os.read(sys.stdin.fileno(), 1):
        left = sockets * size
        while left > 0:
            for descriptor, _ in poll.poll(maxevents=sockets):
                left -= len(connections[descriptor].recv(65_536))
        sys.stdout.buffer.write(_GO)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _read_rounds(**json.loads(sys.argv[1]))

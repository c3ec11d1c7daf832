"""Checks of a mesh on this machine: each service at each of its doors, the ports where none runs, the clock.

What does not belong here: the database (`database`), and what is so without a mesh (`machine`).
"""

import json
import os
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from harkara_cli.addresses import DEFAULT_OPS_PORTS, DEFAULT_PORTS
from harkara_cli.doctor.findings import Finding, fail, ok, warn
from harkara_cli.mesh_state import DEMO_USERS, MeshState
from harkara_cli.ports import LOOPBACK, is_free

CLOCK_WARN_SECONDS = 1.0
CLOCK_FAIL_SECONDS = 5.0
"""The leeway for the times of a token."""

_SECONDS = 5.0
_READ_LOG = "read its log, in the terminal of ./harkara up"
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fixed_ports() -> Iterator[Finding]:
    """Where no mesh runs: whether `up` could have its ports."""
    taken = [
        f"{port} ({service}{use})"
        for ports, use in ((DEFAULT_PORTS, ""), (DEFAULT_OPS_PORTS, " ops"))
        for service, port in ports.items()
        if not is_free(LOOPBACK, port)
    ]
    if taken:
        yield warn("ports", f"taken by others: {', '.join(taken)}", "free them, or ./harkara up --ports auto")
    else:
        yield ok("ports", f"{len(DEFAULT_PORTS) + len(DEFAULT_OPS_PORTS)} are free")


def processes(state: MeshState) -> Iterator[Finding]:
    """Whether each process of a service is there and takes work, by its ops port."""
    for service, urls in state.ops_urls.items():
        pids = state.pids.get(service, [])
        for number, url in enumerate(urls):
            name = service if len(urls) == 1 else f"{service} {number + 1}"
            pid = f", pid {pids[number]}" if number < len(pids) else ""
            yield _process(name, url, pid)


def _process(name: str, url: str, pid: str) -> Finding:
    try:
        with _opener.open(f"{url}/livez", timeout=_SECONDS):
            pass
    except OSError as error:
        return fail(
            name, f"does not answer at {url}: {_why(error)}", f"{_READ_LOG}: it starts what died again"
        )
    try:
        with _opener.open(f"{url}/readyz", timeout=_SECONDS):
            return ok(name, f"ready at {url}{pid}")
    except OSError:
        return fail(
            name, f"lives at {url}{pid}, but is not ready", f"see what else fails here, and {_READ_LOG}"
        )


def code(
    state: MeshState, sources: Sequence[Path], started: Callable[[int], float | None]
) -> Iterator[Finding]:
    """Whether the processes run the code that is there.

    Args:
        state: The mesh.
        sources: Files of which the services consist.
        started: When a process began, in seconds since 1970; None where nobody knows.
    """
    changed = max((path.stat().st_mtime for path in sources), default=0.0)
    begun = {
        service: [when for pid in pids if (when := started(pid)) is not None]
        for service, pids in state.pids.items()
        if service in DEFAULT_PORTS
    }
    old = [service for service, times in begun.items() if times and min(times) < changed]
    if old:
        yield warn("code", f"changed since {', '.join(old)} began", "restart ./harkara up")
    elif any(begun.values()):
        yield ok("code", "the processes run what is here")


def process_start(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None where the system does not tell."""
    try:
        # The name, in brackets, may hold blanks; the 22nd field of all is the 20th behind it.
        ticks = float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        booted = next(
            line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime")
        )
        return float(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def grpc_services(state: MeshState) -> Iterator[Finding]:
    """Whether the services that speak gRPC say that they serve."""
    targets = [("auth-service", state.auth_target)]
    targets += [("event-service", target) for target in state.emit_targets]
    for service, target in targets:
        name = f"{service} gRPC"
        with grpc.insecure_channel(target) as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=_SECONDS
                )
            except grpc.RpcError as error:
                # What a stub raises is a grpc.Call too, which the type stubs do not say.
                status = error.code().name if hasattr(error, "code") else "no answer"
                yield fail(name, f"does not answer at {target}: {status}", _READ_LOG)
                continue
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            yield ok(name, f"serves at {target}")
        else:
            yield fail(name, f"does not serve at {target}", _READ_LOG)


def rest(state: MeshState) -> Iterator[Finding]:
    """Whether REST answers."""
    try:
        with _opener.open(f"{state.rest_url}/openapi.json", timeout=_SECONDS):
            yield ok("REST", f"answers at {state.rest_url}")
    except OSError as error:
        yield fail("REST", f"does not answer at {state.rest_url}: {_why(error)}", _READ_LOG)


def websocket(state: MeshState, token: str) -> Iterator[Finding]:
    """Whether a client is let in, through edge, auth-service, event-service and log; and the edge's clock.

    Args:
        state: The mesh.
        token: Of the first demo user.
    """
    user_id = DEMO_USERS[0][0]
    try:
        began = time.monotonic()
        with connect(
            state.websocket_url, compression=None, open_timeout=_SECONDS, close_timeout=1, proxy=None
        ) as socket:
            socket.send(json.dumps({"type": "auth", "token": token}))
            answer = json.loads(socket.recv(_SECONDS))
            took = time.monotonic() - began
            sent = time.time()
            socket.send('{"type": "heartbeat"}')
            theirs = datetime.fromisoformat(json.loads(socket.recv(_SECONDS))["timestamp"]).timestamp()
            ours = (sent + time.time()) / 2
    except ConnectionClosed as closed:
        how = closed.rcvd.code if closed.rcvd else "without a word"
        yield warn(
            "WebSocket",
            f"{user_id} is not let in ({how})",
            f"./harkara users add {user_id}, if it was disabled or removed; else {_READ_LOG}",
        )
        return
    except (OSError, TimeoutError, InvalidHandshake, ValueError, KeyError) as error:
        yield fail("WebSocket", f"no client gets in at {state.websocket_url}: {_why(error)}", _READ_LOG)
        return
    yield ok(
        "WebSocket", f"lets {answer.get('user_id')} in at {state.websocket_url}, in {took * 1000:.0f} ms"
    )
    yield clock("edge", theirs - ours)


def backplane(state: MeshState) -> Iterator[Finding]:
    """Whether the NATS server that joins several event-services answers."""
    if state.backplane_url is None:
        return
    where = urlsplit(state.backplane_url)
    place = f"{where.hostname}:{where.port}"
    try:
        with socket.create_connection((where.hostname or LOOPBACK, where.port or 0), _SECONDS) as connection:
            hello = connection.recv(5)
    except OSError as error:
        yield fail(
            "NATS",
            f"does not answer at {place}: {_why(error)}",
            "events come up to a second late; " + _READ_LOG,
        )
        return
    if hello.startswith(b"INFO"):
        yield ok("NATS", f"answers at {place}")
    else:
        yield fail("NATS", f"what answers at {place} is no NATS server", "stop it, then restart ./harkara up")


def clock(whose: str, ahead: float) -> Finding:
    """Whether a clock goes as ours does.

    Args:
        whose: Of what.
        ahead: By how many seconds it is ahead of ours.
    """
    name = f"clock of {whose}"
    found = f"{abs(ahead):,.1f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    remedy = "have both clocks set by NTP (timedatectl set-ntp true)"
    if abs(ahead) >= CLOCK_FAIL_SECONDS:
        return fail(name, f"{found}: tokens are refused too early or too late", remedy)
    if abs(ahead) >= CLOCK_WARN_SECONDS:
        return warn(name, found, remedy)
    return ok(name, f"as ours at {datetime.now(UTC):%H:%M:%S} UTC")


def _why(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    text = str(reason or error).strip().splitlines()
    return text[0] if text else type(error).__name__

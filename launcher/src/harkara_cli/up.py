"""`up`: the whole mesh on this machine, from nothing to ready, and down again in order."""

import asyncio
import os
import shlex
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harkara_cli import database, mesh_state
from harkara_cli.addresses import (
    AUTH_SERVICE,
    EDGE,
    EVENT_SERVICE,
    NATS,
    QUERY_SERVICE,
    Addresses,
    choose_addresses,
    connectable,
    prefix,
    service_of,
)
from harkara_cli.console import LogWriter, paint, put, use_colour
from harkara_cli.data_dir import DEFAULT_DATA_DIR, ROOT, DataDir
from harkara_cli.errors import CliError
from harkara_cli.mesh import POSTGRES, Mesh, nats_program, postgres_program, postgres_server
from harkara_cli.mesh_state import DEMO_ADMIN, DEMO_SERVICE, DEMO_USERS, MeshState
from harkara_cli.nats_server import NatsServer
from harkara_cli.supervisor import Supervisor

INTERRUPTED = 130
_SERVICES = (EDGE, EVENT_SERVICE, AUTH_SERVICE, QUERY_SERVICE)
_RENEW_SECONDS = 12 * 3_600
_SAME_REQUEST_SECONDS = 0.5
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class UpOptions:
    """What `up` is asked for.

    Attributes:
        data_dir: The data folder.
        as_json: Print one JSON line once all is ready, instead of a text for people.
        auto_ports: Take free ports instead of the fixed ones.
        edge_workers: How many edge processes share the WebSocket port.
        replicas: How many event-services; several are joined by a NATS server.
    """

    data_dir: Path
    as_json: bool = False
    auto_ports: bool = False
    edge_workers: int = 1
    replicas: int = 1


def run(options: UpOptions, environment: Mapping[str, str] = os.environ) -> int:
    """Runs the mesh until it is asked to stop.

    Returns:
        The exit status: 0 after an orderly stop, 130 where it was interrupted before it was ready or
        stopped in a hurry.

    Raises:
        CliError: It does not start; everything that was started is stopped.
    """
    data = DataDir(options.data_dir)
    with data.locked(), LogWriter() as log:
        return asyncio.run(_Up(options, data, log, environment).run())


class _Up:
    def __init__(
        self, options: UpOptions, data: DataDir, log: LogWriter, environment: Mapping[str, str]
    ) -> None:
        self._options = options
        self._data = data
        self._log = log
        self._environment = environment
        self._state: MeshState | None = None
        self._stop = asyncio.Event()
        self._asked_at = 0.0
        self._status = 0
        self._supervisor = Supervisor(on_line=log.line, on_news=log.news, on_change=self._pids_changed)

    async def run(self) -> int:
        """Up, until asked to stop, and down."""
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._asked_to_stop)
        mesh_state.forget(self._data)  # Of a launcher that was killed.
        stop = asyncio.create_task(self._stop.wait())
        start = asyncio.create_task(self._bring_up())
        renew: asyncio.Task[None] | None = None
        try:
            await asyncio.wait({stop, start}, return_when=asyncio.FIRST_COMPLETED)
            if not start.done():
                self._status = INTERRUPTED
                return self._status
            start.result()
            renew = asyncio.create_task(self._renew_credentials())
            await stop
        finally:
            for task in (stop, start, renew):
                if task is not None:
                    task.cancel()
            self._state = None
            mesh_state.forget(self._data)
            await self._supervisor.stop()
        return self._status

    def _asked_to_stop(self) -> None:
        now = time.monotonic()
        if self._stop.is_set():
            # Wrappers such as timeout(1) signal the process and its group: that is one request.
            if now - self._asked_at < _SAME_REQUEST_SECONDS:
                return
            self._log.news("harkara", "stopping at once")
            self._status = INTERRUPTED
            self._supervisor.hurry()
        else:
            self._asked_at = now
            self._log.news("harkara", "stopping in order; once more stops at once")
            self._stop.set()

    async def _bring_up(self) -> None:
        self._data.make_secrets()
        addresses = choose_addresses(
            self._options.edge_workers,
            auto=self._options.auto_ports,
            environment=self._environment,
            replicas=self._options.replicas,
        )
        server = postgres_server(self._data, addresses.postgres_port, self._environment)
        nats = NatsServer(self._data, addresses.listen[NATS][1]) if NATS in addresses.listen else None
        await self._supervisor.start([postgres_program(server), *([nats_program(nats)] if nats else [])])
        dsns = await asyncio.to_thread(database.prepare, server, self._data)
        mesh = Mesh(self._data, addresses, dsns, self._environment, nats.url if nats else None)
        # Edges come last: they say so in the log each time they find nobody to attach to.
        for side_by_side in ((AUTH_SERVICE, EVENT_SERVICE, QUERY_SERVICE), (EDGE,)):
            programs = [program for service in side_by_side for program in mesh.programs(service)]
            await self._supervisor.start(programs)
        await asyncio.to_thread(_add_demo_users, self._data, addresses.target(AUTH_SERVICE))
        self._state = self._describe(addresses, server.dsn_of(database.DATABASE), mesh.backplane_url)
        mesh_state.save(self._data, self._state)
        if self._options.as_json:
            put(self._state.to_json())
        else:
            put(_welcome(self._state, console=has_console(self._environment)))

    def _describe(self, addresses: Addresses, dsn: str, backplane_url: str | None) -> MeshState:
        minter = self._data.minter()
        users = mesh_state.demo_users(minter)
        return MeshState(
            websocket_url=addresses.websocket_url,
            rest_url=f"http://{addresses.target(QUERY_SERVICE)}",
            emit_target=addresses.target(EVENT_SERVICE),
            emit_targets=addresses.targets(EVENT_SERVICE),
            auth_target=addresses.target(AUTH_SERVICE),
            postgres_dsn=dsn,
            backplane_url=backplane_url,
            data_dir=str(self._data.path),
            ops_urls={
                service: [
                    f"http://{connectable(*address)}"
                    for name, address in addresses.ops.items()
                    if service_of(name) == service
                ]
                for service in _SERVICES
            },
            pids=self._pids(),
            admin_token=mesh_state.admin_token(users),
            service_token=minter.for_service(DEMO_SERVICE, ["*"]),
            users=users,
        )

    def _pids(self) -> dict[str, list[int]]:
        joined = (NATS,) if self._options.replicas > 1 else ()
        pids: dict[str, list[int]] = {service: [] for service in (*_SERVICES, POSTGRES, *joined)}
        for name, pid in self._supervisor.pids.items():
            pids[service_of(name)].append(pid)
        return pids

    def _pids_changed(self) -> None:
        if self._state is None:
            return
        self._state = mesh_state.with_pids(self._state, self._pids())
        try:
            mesh_state.save(self._data, self._state)
        except OSError as error:
            self._log.news("harkara", f"{self._data.run_file} cannot be written: {error.strerror}")

    async def _renew_credentials(self) -> None:
        """Keeps the parts' credentials fresh; they read their files again."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                await asyncio.to_thread(self._data.make_secrets)
            except CliError as error:
                self._log.news("harkara", str(error))


def _add_demo_users(data: DataDir, auth_target: str) -> None:
    """Adds the demo users to a new mesh, once: an operator may remove them for good."""
    if data.demo_users_mark.exists():
        return
    from harkara_cli.calls import connected  # noqa: PLC0415 - gRPC takes a while, and a mesh is new once.
    from harkara_cli.users import Users  # noqa: PLC0415

    with connected(auth_target, AUTH_SERVICE, data.credential("operator")) as caller:
        Users(caller).add(DEMO_USERS)
    data.demo_users_mark.touch(mode=0o600)


def has_console(environment: Mapping[str, str]) -> bool:
    """Whether the query-service is left to serve the web console; what is no yes or no, it refuses itself."""
    return environment.get(f"{prefix(QUERY_SERVICE)}CONSOLE", "").lower() not in {
        "0",
        "f",
        "false",
        "n",
        "no",
        "off",
    }


def _welcome(state: MeshState, *, console: bool) -> str:
    colour = use_colour(1)

    def title(text: str) -> str:
        return paint(text, "1", when=colour)

    # What follows is pasted into a shell, perhaps in another folder than ours.
    script = "./harkara" if Path.cwd() == ROOT else str(ROOT / "harkara")
    more = [] if state.data_dir == str(DEFAULT_DATA_DIR) else ["--data-dir", state.data_dir]
    customer = state.users[0]
    emit = ["--type", "order_created", "--data", '{"order_id":"ord_1","total_amount":130}']
    return "\n".join(
        [
            "",
            title("Harkara is up.") + " Ctrl-C stops it.",
            "",
            *([f"  Console     {state.rest_url}/"] if console else []),
            f"  WebSocket   {state.websocket_url}",
            f"  REST        {state.rest_url}",
            f"  Emit        {', '.join(state.emit_targets)} (gRPC)",
            f"  Users       {state.auth_target} (gRPC)",
            f"  Data        {state.data_dir}",
            "",
            title("See orders live, in another terminal:"),
            f"  {shlex.join([script, 'demo', *more])}",
            "",
            title(f"A token of {customer.user_id}, good for 24 hours:"),
            customer.token,
            "",
            title("Listen:"),
            f"  {shlex.join([script, 'tail', '--user', customer.user_id, *more])}",
            title("Emit, in another terminal:"),
            f"  {shlex.join([script, 'emit', '--user', customer.user_id, *emit, *more])}",
            *(
                [
                    title("Sign in to the console, with what this prints:"),
                    f"  {shlex.join([script, 'token', '--user', DEMO_ADMIN, *more])}",
                ]
                if console
                else []
            ),
            "",
        ]
    )

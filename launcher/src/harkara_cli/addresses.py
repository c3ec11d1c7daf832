"""Where each process of a mesh listens: the fixed ports, the settings' ones, or free ones."""

from collections.abc import Mapping
from dataclasses import dataclass

from harkara_cli.errors import CliError
from harkara_cli.ports import LOOPBACK, free_port, is_free, split_address

EDGE = "edge"
EVENT_SERVICE = "event-service"
AUTH_SERVICE = "auth-service"
QUERY_SERVICE = "query-service"
NATS = "nats"

DEFAULT_PORTS = {EDGE: 8080, QUERY_SERVICE: 8000, EVENT_SERVICE: 50051, AUTH_SERVICE: 50052}
DEFAULT_OPS_PORTS = {EDGE: 9101, EVENT_SERVICE: 9102, AUTH_SERVICE: 9103, QUERY_SERVICE: 9104}
FIRST_FURTHER_EDGE_OPS_PORT = 9111
FIRST_FURTHER_REPLICA_PORT = 50061
FIRST_FURTHER_REPLICA_OPS_PORT = 9121
NATS_PORT = 4222
WEBSOCKET_PATH = "/api/websocket/ws"

_SERVICES = tuple(DEFAULT_PORTS)


@dataclass(frozen=True)
class Addresses:
    """Where everything of a mesh listens: `(host, port)` each.

    Attributes:
        listen: Of each process, by its name, where it serves; all edge workers share theirs, under "edge".
            NATS is there where several event-services are.
        ops: Of each process, by its name, where its health and metrics are.
        postgres_port: Where Postgres listens on loopback.
    """

    listen: Mapping[str, tuple[str, int]]
    ops: Mapping[str, tuple[str, int]]
    postgres_port: int

    def target(self, service: str) -> str:
        """`host:port` to connect to; of an event-service, of the first replica."""
        return connectable(*self.listen[service])

    @property
    def websocket_url(self) -> str:
        """Where clients connect."""
        return f"ws://{self.target(EDGE)}{WEBSOCKET_PATH}"

    def targets(self, service: str) -> list[str]:
        """`host:port` of every replica of a service."""
        return [connectable(*address) for name, address in self.listen.items() if service_of(name) == service]


def joined(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def connectable(host: str, port: int) -> str:
    """`host:port` where a client on this machine connects: every address means loopback too."""
    return joined({"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host), port)  # noqa: S104 - not bound.


def prefix(service: str) -> str:
    """What the names of a service's settings begin with."""
    return f"HARKARA_{service.upper().replace('-', '_')}_"


def edge_names(workers: int) -> list[str]:
    """The names of the edge workers."""
    return [f"{EDGE}-{number}" for number in range(1, workers + 1)]


def replica_names(replicas: int) -> list[str]:
    """The names of the event-services."""
    return [EVENT_SERVICE, *(f"{EVENT_SERVICE}-{number}" for number in range(2, replicas + 1))]


def service_of(name: str) -> str:
    """The service that a process belongs to, by the process's name."""
    stem, _, number = name.rpartition("-")
    return stem if number.isdigit() else name


def choose_addresses(
    workers: int, *, auto: bool, environment: Mapping[str, str], replicas: int = 1
) -> Addresses:
    """Where each process shall listen.

    Args:
        workers: How many edge workers.
        replicas: How many event-services; several have a NATS server beside them.
        auto: Take free ports; else the fixed ones, or what the settings say.
        environment: The settings.

    Raises:
        CliError: A port is taken, or a setting is no address.
    """
    further_replicas = replica_names(replicas)[1:]
    further_edges = edge_names(workers)[1:]
    names = [
        *(EVENT_SERVICE, *further_replicas, AUTH_SERVICE, QUERY_SERVICE),
        *(f"{EDGE}-1", *further_edges),
    ]
    also_listening = [*further_replicas, NATS] if further_replicas else []
    if auto:
        taken: set[int] = set()

        def take() -> tuple[str, int]:
            taken.add(port := free_port(taken))
            return LOOPBACK, port

        return Addresses(
            {name: take() for name in (*_SERVICES, *also_listening)},
            {name: take() for name in names},
            take()[1],
        )

    def given(service: str, setting: str, port: int) -> tuple[str, int]:
        variable = f"{prefix(service)}{setting}"
        text = environment.get(variable)
        return split_address(text, variable) if text else (LOOPBACK, port)

    listen = {service: given(service, "LISTEN_ADDRESS", port) for service, port in DEFAULT_PORTS.items()}
    for index, name in enumerate(further_replicas):
        listen[name] = (listen[EVENT_SERVICE][0], FIRST_FURTHER_REPLICA_PORT + index)
    if further_replicas:
        listen[NATS] = (LOOPBACK, NATS_PORT)
    ops = {
        name: given(service_of(name), "OPS_ADDRESS", DEFAULT_OPS_PORTS[service_of(name)])
        for name in names
        if name not in (*further_edges, *further_replicas)
    }
    for index, name in enumerate(further_edges):
        ops[name] = (ops[f"{EDGE}-1"][0], FIRST_FURTHER_EDGE_OPS_PORT + index)
    for index, name in enumerate(further_replicas):
        ops[name] = (ops[EVENT_SERVICE][0], FIRST_FURTHER_REPLICA_OPS_PORT + index)
    _refuse_taken(listen, ops)
    used = {port for _, port in (*listen.values(), *ops.values())}
    return Addresses(listen, ops, free_port(used))


def _refuse_taken(listen: Mapping[str, tuple[str, int]], ops: Mapping[str, tuple[str, int]]) -> None:
    wanted = [
        *((service, "LISTEN_ADDRESS", address) for service, address in listen.items()),
        *((name, "OPS_ADDRESS", address) for name, address in ops.items()),
    ]
    seen: set[int] = set()
    for name, setting, (host, port) in wanted:
        if port in seen or not is_free(host, port):
            use = "edge's WebSocket" if (name, setting) == (EDGE, "LISTEN_ADDRESS") else name
            use = f"{use} ops" if setting == "OPS_ADDRESS" else use
            # Those beyond the first of a service, and NATS, have no setting of their own.
            movable = name in {*_SERVICES, f"{EDGE}-1"}
            otherwise = f", set {prefix(service_of(name))}{setting}," if movable else ""
            message = f"port {port} ({use}) is taken: free it{otherwise} or use --ports auto"
            raise CliError(message)
        seen.add(port)

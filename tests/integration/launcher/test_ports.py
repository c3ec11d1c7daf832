"""Ports against the sockets of this machine."""

import socket
from collections.abc import Iterator

import pytest

from harkara_cli.addresses import choose_addresses
from harkara_cli.errors import CliError
from harkara_cli.ports import free_port, is_free, split_address

FREE = {
    f"HARKARA_{service}_{setting}": ""
    for service in ("EDGE", "EVENT_SERVICE", "AUTH_SERVICE", "QUERY_SERVICE")
    for setting in ("LISTEN_ADDRESS", "OPS_ADDRESS")
}


@pytest.fixture
def environment() -> dict[str, str]:
    """Settings that give every address a free port."""
    taken: list[int] = []
    for _ in FREE:
        taken.append(free_port(taken))
    return {name: f"127.0.0.1:{port}" for name, port in zip(FREE, taken, strict=True)}


@pytest.fixture
def sharer() -> Iterator[int]:
    """The port of a server that would share it."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_whose_owner_would_share_it_is_taken(sharer: int) -> None:
    assert is_free("127.0.0.1", sharer) is False


def test_a_port_that_lingers_after_its_connections_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # The server's end closes first, and waits in TIME_WAIT.
        client.close()
    assert is_free("127.0.0.1", port) is True


def test_a_free_port_is_not_among_those_that_the_system_gives_to_outgoing_connections() -> None:
    port = free_port()
    assert 1024 < port < 32768
    with socket.create_server(("127.0.0.1", port)):
        assert is_free("127.0.0.1", port) is False


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(CliError, match=r"192\.0\.2\.1 is no address of this machine"):
        is_free("192.0.2.1", 80)


@pytest.mark.parametrize("text", ["8080", "host:", ":80", "host:0", "host:70000", "host:8o"])
def test_what_is_no_address_is_told_with_its_setting(text: str) -> None:
    with pytest.raises(CliError, match=f"^HARKARA_X={text} is not host:port$"):
        split_address(text, "HARKARA_X")


def test_automatic_ports_are_all_different() -> None:
    addresses = choose_addresses(3, auto=True, environment={})
    ports = [port for _, port in (*addresses.listen.values(), *addresses.ops.values())]
    assert len({*ports, addresses.postgres_port}) == 4 + 6 + 1


def test_automatic_ports_of_several_event_services_and_their_nats_are_all_different() -> None:
    addresses = choose_addresses(1, auto=True, environment={}, replicas=3)
    assert [name for name in addresses.listen if name.startswith("event-service")] == [
        *("event-service", "event-service-2", "event-service-3")
    ]
    ports = [port for _, port in (*addresses.listen.values(), *addresses.ops.values())]
    assert len({*ports, addresses.postgres_port}) == len(ports) + 1 == (4 + 2 + 1) + (4 + 2) + 1


def test_fixed_ports_of_further_event_services_and_of_nats_are_known(environment: dict[str, str]) -> None:
    wanted = {
        "listen": {"event-service-2": 50061, "event-service-3": 50062, "nats": 4222},
        "ops": {"event-service-2": 9121, "event-service-3": 9122},
    }
    if not all(is_free("127.0.0.1", port) for ports in wanted.values() for port in ports.values()):
        pytest.skip("another mesh has them")
    addresses = choose_addresses(1, auto=False, environment=environment, replicas=3)
    listen = {name: addresses.listen[name][1] for name in wanted["listen"]}
    ops = {name: addresses.ops[name][1] for name in wanted["ops"]}
    assert {"listen": listen, "ops": ops} == wanted
    assert addresses.targets("event-service") == [
        environment["HARKARA_EVENT_SERVICE_LISTEN_ADDRESS"],
        "127.0.0.1:50061",
        "127.0.0.1:50062",
    ]


def test_a_taken_port_that_no_setting_moves_is_told_without_one(environment: dict[str, str]) -> None:
    environment["HARKARA_EDGE_LISTEN_ADDRESS"] = "127.0.0.1:4222"
    if not all(is_free("127.0.0.1", port) for port in (4222, 50061, 9121)):
        pytest.skip("another mesh has them")
    with pytest.raises(CliError) as told:
        choose_addresses(1, auto=False, environment=environment, replicas=2)
    assert str(told.value) == "port 4222 (nats) is taken: free it or use --ports auto"


def test_one_event_service_needs_no_nats() -> None:
    assert "nats" not in choose_addresses(1, auto=True, environment={}).listen


def test_fixed_ports_are_what_the_settings_say(environment: dict[str, str]) -> None:
    addresses = choose_addresses(1, auto=False, environment=environment)
    assert addresses.target("edge") == environment["HARKARA_EDGE_LISTEN_ADDRESS"]
    host, port = addresses.ops["event-service"]
    assert f"{host}:{port}" == environment["HARKARA_EVENT_SERVICE_OPS_ADDRESS"]


def test_a_taken_port_is_told_with_the_setting_that_moves_it(
    environment: dict[str, str], sharer: int
) -> None:
    environment["HARKARA_AUTH_SERVICE_OPS_ADDRESS"] = f"127.0.0.1:{sharer}"
    with pytest.raises(CliError) as told:
        choose_addresses(1, auto=False, environment=environment)
    assert str(told.value) == (
        f"port {sharer} (auth-service ops) is taken: free it, set HARKARA_AUTH_SERVICE_OPS_ADDRESS,"
        " or use --ports auto"
    )


def test_one_port_for_two_things_is_taken_too(environment: dict[str, str]) -> None:
    environment["HARKARA_QUERY_SERVICE_LISTEN_ADDRESS"] = environment["HARKARA_EDGE_LISTEN_ADDRESS"]
    with pytest.raises(CliError, match=r"\(query-service\) is taken"):
        choose_addresses(1, auto=False, environment=environment)

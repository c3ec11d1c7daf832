"""What each process of a mesh is told."""

from pathlib import Path

import pytest

from harkara_cli.addresses import Addresses, connectable, joined
from harkara_cli.data_dir import DataDir
from harkara_cli.mesh import Mesh
from harkara_cli.mesh_state import MeshState, demo_users
from harkara_cli.tokens import Minter

ADDRESSES = Addresses(
    listen={
        "edge": ("0.0.0.0", 8080),  # noqa: S104 - as an operator may wish.
        "query-service": ("127.0.0.1", 8000),
        "event-service": ("127.0.0.1", 50051),
        "auth-service": ("::", 50052),
    },
    ops={
        "event-service": ("127.0.0.1", 9102),
        "auth-service": ("127.0.0.1", 9103),
        "query-service": ("127.0.0.1", 9104),
        "edge-1": ("127.0.0.1", 9101),
        "edge-2": ("127.0.0.1", 9111),
    },
    postgres_port=5432,
)
DSNS = {"event-service": "postgresql://event", "auth-service": "postgresql://auth"}


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(DataDir(tmp_path), ADDRESSES, DSNS, {})


def test_an_edge_worker_is_told_the_shared_port_its_own_ops_port_and_how_many_share(
    mesh: Mesh, tmp_path: Path
) -> None:
    assert mesh.settings("edge-2") == {
        "HARKARA_EDGE_LISTEN_ADDRESS": "0.0.0.0:8080",
        "HARKARA_EDGE_OPS_ADDRESS": "127.0.0.1:9111",
        "HARKARA_EDGE_LOG_FORMAT": "console",
        "HARKARA_EDGE_AUTH_TARGET": "[::1]:50052",
        "HARKARA_EDGE_CREDENTIAL_FILE": str(tmp_path / "secrets" / "edge.token"),
        "HARKARA_EDGE_EVENT_TARGETS": "127.0.0.1:50051",
        "HARKARA_EDGE_WORKER": "edge-2",
        "HARKARA_EDGE_WORKERS": "2",
        "HARKARA_EDGE_DRAIN_SECONDS": "1",
    }


def test_auth_service_is_told_its_key_and_its_database_and_serves_reflection(
    mesh: Mesh, tmp_path: Path
) -> None:
    assert mesh.settings("auth-service") == {
        "HARKARA_AUTH_SERVICE_LISTEN_ADDRESS": "[::]:50052",
        "HARKARA_AUTH_SERVICE_OPS_ADDRESS": "127.0.0.1:9103",
        "HARKARA_AUTH_SERVICE_LOG_FORMAT": "console",
        "HARKARA_AUTH_SERVICE_POSTGRES_DSN": "postgresql://auth",
        "HARKARA_AUTH_SERVICE_HS256_KEY_FILE": str(tmp_path / "secrets" / "hs256.key"),
        "HARKARA_AUTH_SERVICE_REFLECTION": "true",
    }


def test_several_event_services_are_told_their_backplane_and_others_where_all_of_them_are(
    tmp_path: Path,
) -> None:
    second = ("127.0.0.1", 50061)
    addresses = Addresses(
        {**ADDRESSES.listen, "event-service-2": second, "nats": ("127.0.0.1", 4222)},
        {**ADDRESSES.ops, "event-service-2": ("127.0.0.1", 9121)},
        5432,
    )
    url = "nats://harkara:secret@127.0.0.1:4222"
    mesh = Mesh(DataDir(tmp_path), addresses, DSNS, {}, url)
    assert [program.name for program in mesh.programs("event-service")] == [
        *("event-service", "event-service-2")
    ]
    for name, port in (("event-service", 50051), ("event-service-2", 50061)):
        told = mesh.settings(name)
        assert told["HARKARA_EVENT_SERVICE_LISTEN_ADDRESS"] == f"127.0.0.1:{port}"
        assert told["HARKARA_EVENT_SERVICE_BACKPLANE"] == url
    assert mesh.settings("edge-1")["HARKARA_EDGE_EVENT_TARGETS"] == "127.0.0.1:50051,127.0.0.1:50061"
    targets = mesh.settings("query-service")["HARKARA_QUERY_SERVICE_EVENT_TARGETS"]
    assert targets == "127.0.0.1:50051,127.0.0.1:50061"


def test_an_event_service_that_is_alone_is_told_of_no_backplane(mesh: Mesh) -> None:
    assert "HARKARA_EVENT_SERVICE_BACKPLANE" not in mesh.settings("event-service")


def test_a_query_service_is_told_where_the_consoles_browsers_connect_unless_the_operator_says(
    mesh: Mesh, tmp_path: Path
) -> None:
    variable = "HARKARA_QUERY_SERVICE_WEBSOCKET_URL"
    assert mesh.settings("query-service")[variable] == "ws://127.0.0.1:8080/api/websocket/ws"
    told = Mesh(DataDir(tmp_path), ADDRESSES, DSNS, {variable: "wss://live.example/api/websocket/ws"})
    assert variable not in told.settings("query-service")


def test_a_log_format_of_the_operators_choice_stays(tmp_path: Path) -> None:
    mesh = Mesh(DataDir(tmp_path), ADDRESSES, DSNS, {"HARKARA_EDGE_LOG_FORMAT": "json"})
    assert "HARKARA_EDGE_LOG_FORMAT" not in mesh.settings("edge-1")


def test_a_process_may_take_as_long_to_stop_as_its_settings_say_and_a_little_longer(tmp_path: Path) -> None:
    environment = {"HARKARA_EDGE_DRAIN_SECONDS": "20", "HARKARA_EVENT_SERVICE_SHUTDOWN_SECONDS": "3"}
    mesh = Mesh(DataDir(tmp_path), ADDRESSES, DSNS, environment)
    assert "HARKARA_EDGE_DRAIN_SECONDS" not in mesh.settings("edge-1")
    seconds = {
        service: mesh.programs(service)[0].stop_seconds
        for service in ("edge", "event-service", "auth-service")
    }
    assert seconds == {"edge": 35, "event-service": 8, "auth-service": 15}


def test_postgres_is_not_among_the_programs_and_edges_stop_first(mesh: Mesh) -> None:
    services = ["auth-service", "event-service", "query-service", "edge"]
    programs = [program for service in services for program in mesh.programs(service)]
    assert [program.name for program in programs] == [*services[:3], "edge-1", "edge-2"]
    assert [program.rank for program in programs] == [1, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("host", "target"),
    [("127.0.0.1", "127.0.0.1:1"), ("0.0.0.0", "127.0.0.1:1"), ("::", "[::1]:1"), ("::1", "[::1]:1")],  # noqa: S104
)
def test_every_address_of_the_machine_is_reached_over_loopback(host: str, target: str) -> None:
    assert connectable(host, 1) == target


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert joined("::", 80) == "[::]:80"


def test_tokens_for_people_are_renewed_only_when_they_end_within_the_hour() -> None:
    minter = Minter(bytes(32))
    users = demo_users(minter)
    state = MeshState("", "", "", [], "", "", None, "", {}, {}, users[3].token, "", users)
    assert state.with_fresh_tokens(minter) is state
    old = [*users[:3], type(users[3])("demo_admin", "admin", minter.for_user("demo_admin", "admin", 3_000))]
    stale = MeshState("", "", "", [], "", "", None, "", {}, {}, old[3].token, "", old)
    fresh = stale.with_fresh_tokens(minter)
    assert fresh.admin_token == fresh.users[3].token != old[3].token

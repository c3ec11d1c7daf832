"""What a running mesh says of itself: the one line of `up --json`, and `run.json` in the data folder.

The file holds tokens and a password: mode 0600. It is there while the mesh is ready; one that a killed
launcher left behind is known by the folder's lock, which nobody holds.
"""

from typing import Final

import msgspec

from harkara_cli.data_dir import DataDir
from harkara_cli.errors import CliError
from harkara_cli.private_files import write_private
from harkara_cli.tokens import MAX_USER_SECONDS, Minter

DEMO_SERVICE: Final = "demo_service"
DEMO_ADMIN: Final = "demo_admin"
DEMO_USERS: Final = (
    ("demo_customer", "customer"),
    ("demo_rider", "delivery_boy"),
    ("demo_shop", "shop"),
    (DEMO_ADMIN, "admin"),
)

_FRESH_SECONDS = 3_600


class DemoUser(msgspec.Struct, frozen=True):
    """One of the users that every new mesh has."""

    user_id: str
    user_role: str
    token: str


class MeshState(msgspec.Struct, frozen=True):
    """A ready mesh. The order of the fields is the order in the JSON.

    Attributes:
        websocket_url: Where clients connect.
        rest_url: The query-service, without a path.
        emit_target: `host:port` of event-service's gRPC; of several, of the first.
        emit_targets: That of each event-service.
        auth_target: `host:port` of auth-service's gRPC.
        postgres_dsn: A superuser's libpq URL of the mesh's database.
        backplane_url: Of the NATS server that joins several event-services; null where there is one.
        data_dir: The data folder.
        ops_urls: Of each service, one URL for each process.
        pids: Of each service, one pid for each process.
        admin_token: demo_admin's.
        service_token: May emit every type as source demo_service.
        users: The demo users.
    """

    websocket_url: str
    rest_url: str
    emit_target: str
    emit_targets: list[str]
    auth_target: str
    postgres_dsn: str
    backplane_url: str | None
    data_dir: str
    ops_urls: dict[str, list[str]]
    pids: dict[str, list[int]]
    admin_token: str
    service_token: str
    users: list[DemoUser]

    def to_json(self) -> str:
        """One line."""
        return msgspec.json.encode(self).decode()

    def with_fresh_tokens(self, minter: Minter) -> "MeshState":
        """The same, with new tokens for people where the old ones end within the hour."""
        if all(minter.is_ours(user.token, _FRESH_SECONDS) for user in self.users):
            return self
        users = demo_users(minter)
        return msgspec.structs.replace(self, users=users, admin_token=admin_token(users))


def demo_users(minter: Minter) -> list[DemoUser]:
    """The demo users, each with a new token."""
    return [
        DemoUser(user_id, role, minter.for_user(user_id, role, MAX_USER_SECONDS))
        for user_id, role in DEMO_USERS
    ]


def admin_token(users: list[DemoUser]) -> str:
    """The admin's token among them."""
    return next(user.token for user in users if user.user_id == DEMO_ADMIN)


def with_pids(state: MeshState, pids: dict[str, list[int]]) -> MeshState:
    """The same mesh with the processes of now."""
    return msgspec.structs.replace(state, pids=pids)


def save(data: DataDir, state: MeshState) -> None:
    """Tells other commands where the mesh is.

    Raises:
        OSError: The file cannot be written.
    """
    write_private(data.run_file, state.to_json())


def forget(data: DataDir) -> None:
    """Takes the file away."""
    data.run_file.unlink(missing_ok=True)


def load(data: DataDir) -> MeshState:
    """The mesh that runs on a folder.

    Raises:
        CliError: None does, or it is not ready.
    """
    if not data.is_locked():
        message = f"no mesh runs on {data.path}: start it with ./harkara up"
        raise CliError(message)
    try:
        return msgspec.json.decode(data.run_file.read_bytes(), type=MeshState)
    except FileNotFoundError as error:
        message = f"the mesh on {data.path} is not ready yet (or is just stopping)"
        raise CliError(message) from error
    except (OSError, msgspec.MsgspecError) as error:
        message = f"{data.run_file} cannot be read: {error}"
        raise CliError(message) from error

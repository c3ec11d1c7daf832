"""The data folder of one mesh: where everything lies in it, its lock, its secrets.

lock                          held by the running `up`; its pid
run.json                      what the running mesh says of itself (mesh_state)
postgres/                     the embedded Postgres
secrets/hs256.key             signs every token of this mesh
secrets/NAME.token            the credential of a part of the mesh, as a file for it
secrets/postgres-NAME.password
secrets/nats.password
nats.conf                     of the NATS server that joins several event-services; holds its password
demo-users                    a mark: the demo users were added once
"""

import base64
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harkara_cli.errors import CliError
from harkara_cli.private_files import write_private
from harkara_cli.tokens import INTERNAL_NAMES, Minter

ROOT = Path(__file__).resolve().parents[3]
"""The checkout."""

DEFAULT_DATA_DIR = ROOT / ".harkara"

_KEY_BYTES = 32
_LOCK_SECONDS = 0.5
_LOCK_POLL_SECONDS = 0.02


class DataDir:
    """One data folder.

    Args:
        path: Where it is; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.run_file = self.path / "run.json"
        self.postgres = self.path / "postgres"
        self.secrets = self.path / "secrets"
        self.key_file = self.secrets / "hs256.key"
        self._nats_password_file = self.secrets / "nats.password"
        self.nats_configuration = self.path / "nats.conf"
        self.demo_users_mark = self.path / "demo-users"
        self._lock_file = self.path / "lock"

    def make(self) -> None:
        """Makes the folder where it is missing.

        Raises:
            CliError: It cannot be made or written.
        """
        with self._told():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.secrets.mkdir(mode=0o700, exist_ok=True)
            self._lock_file.touch(mode=0o600)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process alone; the system lets go of it when the process ends.

        Raises:
            CliError: Another process holds it, or it cannot be made.
        """
        self.make()
        with self._told():
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # A short patience: `is_locked` of another command takes the lock for an instant.
            deadline = time.monotonic() + _LOCK_SECONDS
            while not _take(descriptor):
                if time.monotonic() > deadline:
                    pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                    message = f"another ./harkara up (pid {pid}) runs on {self.path}"
                    raise CliError(message)
                time.sleep(_LOCK_POLL_SECONDS)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Whether some process holds the folder."""
        try:
            descriptor = os.open(self._lock_file, os.O_RDONLY)
        except OSError:
            return False
        try:
            return not _take(descriptor)
        finally:
            os.close(descriptor)

    def minter(self) -> Minter:
        """Mints this mesh's tokens.

        Raises:
            MisuseError: A setting of auth-service is none.
            CliError: No mesh ever ran on this folder, or its key cannot be read.
        """
        try:
            return Minter.from_key_text(self.key_file.read_text().strip())
        except FileNotFoundError as error:
            message = f"no mesh in {self.path} yet: start one with ./harkara up"
            raise CliError(message) from error
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            message = f"the key {self.key_file} cannot be used: {why}"
            raise CliError(message) from error

    def make_secrets(self) -> None:
        """Makes the secrets that are missing, and renews credentials that end soon.

        Raises:
            CliError: They cannot be written, or the key that is there cannot be used.
        """
        from harkara_schema.logins import LOGINS  # noqa: PLC0415 - psycopg takes a while; only `up` needs it.

        with self._told():
            if not self.key_file.exists():
                key = base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).rstrip(b"=")
                write_private(self.key_file, key.decode())
            for user in LOGINS:
                if not self.password_file(user).exists():
                    write_private(self.password_file(user), secrets.token_urlsafe(32))
            minter = self.minter()
            for name in INTERNAL_NAMES:
                file = self.credential_file(name)
                usual, longest = minter.usual_service_seconds, minter.longest_service_seconds
                if not (
                    file.exists()
                    and minter.is_ours(file.read_text(errors="replace").strip(), usual / 2, longest)
                ):
                    write_private(file, minter.for_internal(name))

    def nats_password(self) -> str:
        """The password of the mesh's NATS server; made when it is first asked for.

        Raises:
            CliError: It cannot be read or written.
        """
        with self._told():
            if not self._nats_password_file.exists():
                write_private(self._nats_password_file, secrets.token_urlsafe(32))
            return self._nats_password_file.read_text().strip()

    def credential(self, name: str) -> str:
        """The token of a part of the mesh.

        Raises:
            CliError: It cannot be read.
        """
        try:
            return self.credential_file(name).read_text().strip()
        except OSError as error:
            message = f"cannot read {self.credential_file(name)}: {error.strerror}"
            raise CliError(message) from error

    def credential_file(self, name: str) -> Path:
        """The file with the token of a part of the mesh."""
        return self.secrets / f"{name}.token"

    def password_file(self, user: str) -> Path:
        """The file with the password of a Postgres user."""
        return self.secrets / f"postgres-{user}.password"

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tells a failure of the file system as one line."""
        try:
            yield
        except OSError as error:
            message = f"cannot write in {self.path}: {error.strerror}"
            raise CliError(message) from error


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

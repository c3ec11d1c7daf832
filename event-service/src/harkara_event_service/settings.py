"""What the event-service can be told, by environment variables `HARKARA_EVENT_SERVICE_…`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from harkara_servicekit.settings import Address, GrpcSettings

LOCAL: Final = "local"


def _checked_backplane(text: str) -> str:
    if text == LOCAL:
        return text
    servers = [part.strip() for part in text.split(",")]
    # What is faulty is not told: a password may be in it.
    if not all(map(_is_server, servers)):
        raise ValueError("neither local nor nats://host:port, with commas between several")
    return ",".join(servers)


def _is_server(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_address = bool(parts.hostname) and bool(parts.port)
    except ValueError:
        return False
    return parts.scheme == "nats" and has_address and not (parts.path or parts.query or parts.fragment)


class Settings(GrpcSettings):
    """The event-service's settings."""

    env_prefix: ClassVar[str] = "HARKARA_EVENT_SERVICE_"

    ops_address: Address = Field("127.0.0.1:9102", description="Where health and metrics answer.")
    listen_address: Address = Field("127.0.0.1:50051", description="Where gRPC answers.")
    auth_target: Address = Field("127.0.0.1:50052", description="auth-service's gRPC.")
    credential_file: Path = Field(description="The file with this service's own token, mode 0600.")
    postgres_dsn: SecretStr = Field(description="postgresql://user:password@host:port/database")
    retention_days: int = Field(30, ge=7, le=3650, description="How long events are kept, in days.")
    max_connections_per_user: int = Field(
        20, ge=1, le=1_000_000, description="Open connections of one user, over all edges of a replica."
    )
    write_lanes: int = Field(1, ge=1, le=16, description="Transactions that may be in flight at once.")
    collapse_ms: int = Field(
        250,
        ge=0,
        le=60_000,
        description="How often at most a session gets an event of one collapse key, in ms; 0: each at once.",
    )
    backplane: Annotated[str, AfterValidator(_checked_backplane)] = Field(
        LOCAL,
        description=(
            "What joins the replicas: `local` where this one is alone, or the NATS servers, as"
            " `nats://[user:password@]host:port` with commas between several. The same for all replicas."
        ),
    )
    catalogue_file: Path | None = Field(None, description="A deployment's own event types, as JSON.")

    @property
    def backplane_servers(self) -> list[str]:
        """The NATS servers; none where this replica is alone."""
        return [] if self.backplane == LOCAL else self.backplane.split(",")

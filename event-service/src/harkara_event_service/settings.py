"""What the event-service can be told, by environment variables `HARKARA_EVENT_SERVICE_…`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from harkara_servicekit.settings import Address, GrpcSettings


class Settings(GrpcSettings):
    """The event-service's settings."""

    model_config = SettingsConfigDict(
        env_prefix="HARKARA_EVENT_SERVICE_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    ops_address: Address = Field("127.0.0.1:9102", description="Where health and metrics answer.")
    listen_address: Address = Field("127.0.0.1:50051", description="Where gRPC answers.")
    auth_target: Address = Field("127.0.0.1:50052", description="auth-service's gRPC.")
    credential_file: Path = Field(description="The file with this service's own token, mode 0600.")
    postgres_dsn: SecretStr = Field(description="postgresql://user:password@host:port/database")
    retention_days: int = Field(30, ge=7, le=3650, description="How long events are kept, in days.")
    max_connections_per_user: int = Field(
        20, ge=1, le=1_000_000, description="Open connections of one user, over all edges."
    )
    write_lanes: int = Field(1, ge=1, le=16, description="Transactions that may be in flight at once.")
    collapse_ms: int = Field(
        250,
        ge=0,
        le=60_000,
        description="How often at most a session gets an event of one collapse key, in ms; 0: each at once.",
    )
    catalogue_file: Path | None = Field(None, description="A deployment's own event types, as JSON.")

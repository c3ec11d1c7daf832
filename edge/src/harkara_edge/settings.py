"""What an edge worker can be told: `HARKARA_EDGE_…` in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from harkara_edge.domain.deadlines import LATEST_SECONDS
from harkara_edge.domain.limits import Limits
from harkara_servicekit.origins import OriginRule
from harkara_servicekit.settings import Address, ServiceSettings, Targets


def _checked_origins(text: str) -> str:
    OriginRule.parse(text)
    return text


class EdgeSettings(ServiceSettings):
    """One worker's settings."""

    env_prefix: ClassVar[str] = "HARKARA_EDGE_"

    ops_address: Address = Field("127.0.0.1:9101", description="Where /livez, /readyz and /metrics answer.")
    listen_address: Address = Field("127.0.0.1:8080", description="Where clients connect.")
    worker: str = Field(
        "edge-1", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="This worker's name, in logs and stats."
    )
    workers: int = Field(
        1, ge=1, le=256, description="How many workers share the address; divides the limit per peer address."
    )
    auth_target: Address = Field("127.0.0.1:50052", description="The auth-service.")
    event_targets: Targets = Field(
        ("127.0.0.1:50051",),
        description="Every replica of the event-service, with commas: attached to one, and to another when it"
        " is lost.",
    )
    credential_file: Path = Field(description="File with this service's internal token, mode 0600.")
    catalogue_file: Path | None = Field(None, description="JSON file with a deployment's own event types.")
    allowed_origins: Annotated[str, AfterValidator(_checked_origins)] = Field(
        "loopback",
        description="Origins that browsers may connect from, with commas between; loopback for any on this "
        "machine.",
    )
    drain_seconds: float = Field(
        10.0,
        ge=0,
        le=300,
        description="Over how long clients are told to go elsewhere when the worker stops; comes before"
        " SHUTDOWN_SECONDS. A second signal ends it.",
    )
    loop: Literal["uvloop", "asyncio"] = Field("uvloop", description="Which event loop runs the worker.")

    max_connections: int = Field(
        50_000, ge=1, description="Connections of this worker; fewer where it may open fewer files."
    )
    max_connections_per_address: int = Field(
        1_000, ge=1, description="Connections of one peer address, over all workers of the address."
    )
    handshake_seconds: float = Field(10.0, gt=0, description="For the opening request of HTTP.")
    auth_seconds: float = Field(10.0, gt=0, description="For the first auth.")
    open_seconds: float = Field(
        3.0, gt=0, description="How long a new connection waits at most while no event-service is attached."
    )
    heartbeat_interval_seconds: int = Field(
        30, ge=1, description="How often clients are asked to say something."
    )
    silence_seconds: float = Field(75.0, gt=0, description="Without a frame of any kind a connection ends.")
    stall_seconds: float = Field(60.0, gt=0, description="How long a slow reader may take nothing at all.")
    close_seconds: float = Field(5.0, gt=0, description="For the closing handshake.")
    max_message_bytes: int = Field(64 * 1024, ge=1_024, le=1024 * 1024, description="Of one message.")
    messages_per_second: int = Field(20, ge=1, description="Of one connection, on average over the window.")
    window_seconds: float = Field(10.0, ge=1, description="Over which rates are averaged.")
    max_subscriptions: int = Field(200, ge=1, le=10_000, description="Entries of one connection.")
    max_unsent_bytes: int = Field(
        256 * 1024, ge=1_024, description="Of one connection; more, and it is paused."
    )
    max_unsent_bytes_total: int = Field(
        256 * 1024 * 1024, ge=1_024, description="Of all connections of this worker."
    )

    def limits(self) -> Limits:
        """Return the limits among these settings."""
        return Limits(
            handshake_seconds=self.handshake_seconds,
            auth_seconds=self.auth_seconds,
            # "At most": this one is a promise to the client, who goes elsewhere after it.
            open_seconds=max(0.0, self.open_seconds - LATEST_SECONDS),
            heartbeat_interval_seconds=self.heartbeat_interval_seconds,
            silence_seconds=self.silence_seconds,
            stall_seconds=self.stall_seconds,
            close_seconds=self.close_seconds,
            max_message_bytes=self.max_message_bytes,
            messages_per_second=self.messages_per_second,
            window_seconds=self.window_seconds,
            max_subscriptions=self.max_subscriptions,
            max_unsent_bytes=self.max_unsent_bytes,
            max_unsent_bytes_crowded=min(64 * 1024, self.max_unsent_bytes),
            max_unsent_bytes_total=self.max_unsent_bytes_total,
        )

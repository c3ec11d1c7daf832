"""What the query-service can be told: in the environment, each name behind `HARKARA_QUERY_SERVICE_`."""

import re
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from harkara_servicekit.origins import OriginRule
from harkara_servicekit.settings import Address, ServiceSettings, Targets


def _checked_origins(text: str) -> str:
    OriginRule.parse(text)
    return text


def _checked_dsn(dsn: SecretStr) -> SecretStr:
    if urlsplit(dsn.get_secret_value()).scheme not in {"postgresql", "postgres"}:
        raise ValueError("is not postgresql://user:password@host:port/database")
    return dsn


_WEBSOCKET_URL = re.compile(r"wss?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")


def _checked_websocket_url(url: str) -> str:
    # It goes into a header and a page: nothing that means something there.
    if _WEBSOCKET_URL.fullmatch(url) is None:
        raise ValueError("is not ws://host:port/path or wss://host:port/path")
    return url


class QueryServiceSettings(ServiceSettings):
    """The query-service's settings."""

    env_prefix: ClassVar[str] = "HARKARA_QUERY_SERVICE_"

    ops_address: Address = Field("127.0.0.1:9104", description="Where /livez, /readyz and /metrics answer.")
    listen_address: Address = Field("127.0.0.1:8000", description="Where REST answers.")
    postgres_dsn: Annotated[SecretStr, AfterValidator(_checked_dsn)] = Field(
        description="libpq URL of the database; its role needs SELECT and nothing else."
    )
    auth_target: Address = Field("127.0.0.1:50052", description="The auth-service.")
    event_targets: Targets = Field(
        ("127.0.0.1:50051",),
        description="Every replica of the event-service, with commas: live counts are of all of them.",
    )
    credential_file: Path = Field(description="File (mode 0600) with our token for the other services.")
    catalogue_file: Path | None = Field(
        None, description="JSON file with a deployment's own event types; the event-service's."
    )
    allowed_origins: Annotated[str, AfterValidator(_checked_origins)] = Field(
        "loopback",
        description="Whose pages a browser lets read answers: 'loopback', or origins with commas.",
    )
    console: bool = Field(default=True, description="Whether the web console is served, at /.")
    websocket_url: Annotated[str, AfterValidator(_checked_websocket_url)] | None = Field(
        None, description="Where the console's browsers connect, as ws:// or wss://; none: its own origin."
    )
    pool_size: int = Field(8, ge=1, le=100, description="Connections to Postgres at most.")
    pool_wait_seconds: float = Field(
        1.0, gt=0, le=30, description="How long a question may wait for a connection, before 503."
    )
    statement_seconds: float = Field(
        2.0, gt=0, le=60, description="How long a statement may take, before 503."
    )
    max_connections: int = Field(
        4_096, ge=1, description="Connections at most; fewer where it may open fewer files; beyond, 503."
    )
    max_requests: int = Field(256, ge=1, le=100_000, description="Requests in flight at most; beyond, 503.")

"""What auth-service can be told, by environment variables that begin with HARKARA_AUTH_SERVICE_."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from harkara_servicekit.settings import Address, GrpcSettings, is_loopback


def _checked_dsn(dsn: SecretStr) -> SecretStr:
    text = dsn.get_secret_value()
    try:
        if not text.startswith(("postgresql://", "postgres://")):
            raise ValueError
        conninfo_to_dict(text)
    except (ValueError, psycopg.Error):
        # The driver's own text may repeat the password.
        message = "must be a libpq URL, postgresql://user:password@host:port/database"
        raise ValueError(message) from None
    return dsn


def _checked_url(text: str) -> str:
    message = "must be an https URL; plain http only on loopback"
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError(message) from None
    if not host or not (url.scheme == "https" or (url.scheme == "http" and is_loopback(host))):
        raise ValueError(message)
    return text


class AuthServiceSettings(GrpcSettings):
    """The settings of auth-service."""

    env_prefix: ClassVar[str] = "HARKARA_AUTH_SERVICE_"

    ops_address: Address = Field("127.0.0.1:9103", description="Where /livez, /readyz and /metrics answer.")
    listen_address: Address = Field("127.0.0.1:50052", description="Where gRPC is served.")
    postgres_dsn: Annotated[SecretStr, AfterValidator(_checked_dsn)] = Field(
        description="libpq URL of a login that is a member of harkara_auth_service."
    )
    hs256_key_file: Path | None = Field(
        None,
        description=(
            "File, mode 0600, with 32 or more random bytes as base64url: the key of our own tokens. Only it"
            " signs internal credentials, so a mesh cannot run without."
        ),
    )
    jwks_file: Path | None = Field(
        None, description="JWKS with keys of RS256, ES256 and EdDSA; read again when it changed."
    )
    jwks_url: Annotated[str, AfterValidator(_checked_url)] | None = Field(
        None, validate_default=True, description="https URL of such a JWKS (http on loopback)."
    )
    jwks_refresh_seconds: float = Field(
        300, ge=1, le=86_400, description="How often the URL is read; an unknown kid makes it sooner."
    )
    jwks_service_tokens: bool = Field(
        default=False, description="Whether keys of a JWKS may sign services' credentials too."
    )
    issuer: str | None = Field(None, description='What "iss" must be, in every token; absent: anything.')
    audience: str | None = Field(
        None, description='What "aud" must be or hold, in every token; absent: anything.'
    )
    revoked_credentials_file: Path | None = Field(
        None,
        description="Names of services and internal parts whose tokens are refused, one a line.",
    )
    service_token_max_days: float = Field(
        400, gt=0, le=3_660, description="The longest life, from now, of a service or internal credential."
    )

    # Of a field and not of the whole, as with `allow_plain_text`: of the last of the three, where the others
    # are known.
    @field_validator("jwks_url")
    @classmethod
    def _has_a_key(cls, url: str | None, info: ValidationInfo) -> str | None:
        # One that is faulty is not among the data; its own fault is told.
        if url is None and not any(info.data.get(name, ...) for name in ("hs256_key_file", "jwks_file")):
            message = "one of HS256_KEY_FILE, JWKS_FILE and JWKS_URL is required"
            raise ValueError(message)
        return url

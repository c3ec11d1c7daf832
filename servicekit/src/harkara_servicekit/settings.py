"""Settings from the environment: one frozen class for each service, checked whole at start.

A service derives its class from `ServiceSettings` with its own `env_prefix`; meaning and default
stand beside each field. No secret has a default.
"""

from __future__ import annotations

import ipaddress
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

MISUSE = 2
"""Exit status of a process whose settings are faulty."""


class SettingsError(Exception):
    """A setting, or the file that one names, cannot be used. The text is one line for people."""


def split_address(text: str) -> tuple[str, int]:
    """Take `host:port` apart.

    Args:
        text: a host name or address (an IPv6 address in brackets) and a port of 0 to 65535.

    Raises:
        ValueError: `text` is not of that form.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        message = f"{text!r} is not host:port"
        raise ValueError(message)
    return host, int(port)


def _checked_address(text: str) -> str:
    split_address(text)
    return text


Address = Annotated[str, AfterValidator(_checked_address)]
"""`host:port`; port 0 lets the system choose."""


class ServiceSettings(BaseSettings):
    """What every service can be told. Only the environment speaks; the values given win."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    ops_address: Address = Field(description="Where /livez, /readyz and /metrics answer.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe record that is written."
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="One JSON object a line, or lines for people."
    )
    shutdown_seconds: float = Field(
        10.0, gt=0, le=300, description="How long an orderly stop may take before the process ends hard."
    )

    @classmethod
    def settings_customise_sources(  # noqa: D102 - pydantic's own hook.
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, dotenv_settings, file_secret_settings
        return init_settings, env_settings


class GrpcSettings(ServiceSettings):
    """What every service with a gRPC server can be told."""

    listen_address: Address = Field(description="Where gRPC answers.")
    reflection: bool = Field(default=False, description="Whether gRPC reflection is served.")
    allow_plain_text: bool = Field(
        default=False,
        description=(
            "Whether gRPC may listen beyond loopback, where its plain text, credentials included, can be read"
            " on the way: only behind something that encrypts, or on a network of the mesh's own."
        ),
    )

    @model_validator(mode="after")
    def _keeps_plain_text_at_home(self) -> Self:
        host = split_address(self.listen_address)[0]
        if not (self.allow_plain_text or is_loopback(host)):
            message = (
                "LISTEN_ADDRESS is beyond loopback, and gRPC is plain text: set ALLOW_PLAIN_TEXT to agree"
            )
            raise ValueError(message)
        return self


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


S = TypeVar("S", bound=ServiceSettings)


def load(cls: type[S], environment: Mapping[str, str] | None = None) -> S:
    """Read a service's settings, or end the process with every fault named.

    Args:
        cls: the service's settings class.
        environment: what to read instead of the process's own environment.

    Raises:
        SystemExit: with status 2, after one line for each fault on standard error.
    """
    prefix = cls.model_config.get("env_prefix", "")
    try:
        if environment is None:
            return cls()
        given = {
            name: environment[prefix + name.upper()]
            for name in cls.model_fields
            if environment.get(prefix + name.upper())
        }
        return cls.model_validate(given)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = prefix + "_".join(str(part) for part in fault["loc"]).upper()
            print(f"{name}: {fault['msg']}", file=sys.stderr)  # noqa: T201 - no log is set up yet.
        raise SystemExit(MISUSE) from None


def read_secret_file(path: Path) -> str:
    """Read a secret, stripped of white space around it.

    Args:
        path: a regular file that only its owner may read or write (mode 0600 or narrower).

    Raises:
        SettingsError: it is missing, empty, not text, or others may read it.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                message = f"{path}: a secret must not be open to others: mode is {mode:04o}, use 0600"
                raise SettingsError(message)
            text = file.read().decode().strip()
    except UnicodeDecodeError:
        message = f"{path}: not text"
        raise SettingsError(message) from None
    except OSError as error:
        message = f"{path}: {error.strerror or 'cannot be read'}"
        raise SettingsError(message) from None
    if not text:
        message = f"{path}: empty"
        raise SettingsError(message)
    return text

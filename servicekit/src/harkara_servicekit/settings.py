"""Settings from the environment: one frozen class for each service, checked whole at start.

A service derives its class from `ServiceSettings` with its own `env_prefix`; meaning and default
stand beside each field. No secret has a default. Not on pydantic-settings: its other sources, of which we
want none, take a tenth of a service's start to import.
"""

from __future__ import annotations

import ipaddress
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

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
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    # Brackets stand around an IPv6 address, and around nothing else: else "::1" were port 1 of ":".
    of_one_kind = bracketed == (":" in host) and not {"[", "]"} & set(host)
    if not host or not of_one_kind or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        message = f"{text!r} is not host:port"
        raise ValueError(message)
    return host, int(port)


def _checked_address(text: str) -> str:
    split_address(text)
    return text


Address = Annotated[str, AfterValidator(_checked_address)]
"""`host:port`; port 0 lets the system choose."""


def _parted(value: object) -> object:
    return tuple(item.strip() for item in value.split(",")) if isinstance(value, str) else value


def _each_once(targets: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(targets)) != len(targets):
        raise ValueError("names a replica twice")
    return targets


Targets = Annotated[
    tuple[Address, ...],
    BeforeValidator(_parted),
    AfterValidator(_each_once),
    Field(min_length=1),
]
"""Every replica of another service: `host:port`, with commas between."""


class ServiceSettings(BaseModel):
    """What every service can be told; `load` reads it from the environment."""

    model_config = ConfigDict(frozen=True)

    env_prefix: ClassVar[str]
    """What the names of a service's variables begin with."""

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


class GrpcSettings(ServiceSettings):
    """What every service with a gRPC server can be told."""

    listen_address: Address = Field(description="Where gRPC answers.")
    reflection: bool = Field(default=False, description="Whether gRPC reflection is served.")
    allow_plain_text: bool = Field(
        default=False,
        validate_default=True,
        description=(
            "Whether gRPC may listen beyond loopback, where its plain text, credentials included, can be read"
            " on the way: only behind something that encrypts, or on a network of the mesh's own."
        ),
    )

    # Of a field and not of the whole: pydantic asks the whole only once no field is faulty, and a fault of
    # the whole has no variable's name.
    @field_validator("allow_plain_text")
    @classmethod
    def _keeps_plain_text_at_home(cls, agreed: bool, info: ValidationInfo) -> bool:
        address = info.data.get("listen_address")
        if not agreed and address is not None and not is_loopback(split_address(address)[0]):
            message = "LISTEN_ADDRESS is beyond loopback, and gRPC is plain text: set this to true to agree"
            raise ValueError(message)
        return agreed


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
    if environment is None:
        environment = os.environ
    prefix = cls.env_prefix
    given = {name: environment.get(prefix + name.upper()) for name in cls.model_fields}
    try:
        # An empty variable counts as one that is not set.
        return cls.model_validate({name: text for name, text in given.items() if text})
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            # A fault of the whole is at no field; of an item, at the field that has it.
            name = (prefix + "".join(map(str, fault["loc"][:1]))).upper().rstrip("_")
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

"""Questions to the query-service over REST, as an operator asks them; faults told as one line."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from harkara_cli.errors import CliError, MisuseError

_SECONDS = 15.0
_MAX_BYTES = 64 * 1024 * 1024
_UNAUTHENTICATED = 401
_NOT_FOUND = 404
_INVALID = 422
# A proxy that the environment names is not meant for a mesh on this machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Answer = TypeVar("Answer")


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]


class _One(msgspec.Struct):
    data: msgspec.Raw


class _Fault(msgspec.Struct):
    message: str = ""


class _Failure(msgspec.Struct):
    error: _Fault


def serves_pages(url: str) -> bool:
    """Whether a query-service serves the console, which may be off.

    Args:
        url: The query-service, without a path. Where it does not answer, nothing says that it is off.
    """
    try:
        with _opener.open(f"{url}/journey.html", timeout=_SECONDS):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code != _NOT_FOUND
    except (OSError, HTTPException):
        return True


def _read(body: bytes, kind: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f"query-service: its answer cannot be read: {error}"
        raise CliError(message) from error


@dataclass(frozen=True)
class Rest:
    """The query-service of a mesh.

    Attributes:
        url: Where it is, without a path.
        token: Of somebody who may read everybody's events.
        reader: Who that is, for messages.
    """

    url: str
    token: str
    reader: str

    def event(self, event_id: str) -> bytes:
        """One event's JSON.

        Args:
            event_id: Of the form of one.

        Raises:
            CliError: There is no such event, or it cannot be asked.
        """
        return bytes(_read(self._get(f"/api/websocket/events/{event_id}", {}), _One).data)

    def history(
        self, user_id: str, *, limit: int, event_type: str | None = None, before_seq: int | None = None
    ) -> list[bytes]:
        """A page of a user's events, newest first, each one's JSON.

        Args:
            user_id: Of the form of one.
            limit: 1 to 100.
            event_type: Only these.
            before_seq: Only what is before this number.

        Raises:
            MisuseError: The event type is unknown.
            CliError: It cannot be asked.
        """
        asked = {"limit": limit, "event_type": event_type, "before_seq": before_seq}
        body = self._get(f"/api/websocket/events/user/{user_id}", asked)
        return [bytes(event) for event in _read(body, _Page).data]

    def _get(self, path: str, parameters: Mapping[str, object | None]) -> bytes:
        query = urlencode({name: value for name, value in parameters.items() if value is not None})
        request = urllib.request.Request(  # noqa: S310 - our own mesh's http address.
            f"{self.url}{path}{'?' if query else ''}{query}",
            headers={"Authorization": f"Bearer {self.token}"},
        )
        try:
            with _opener.open(request, timeout=_SECONDS) as answer:
                body: bytes = answer.read(_MAX_BYTES)
                return body
        except urllib.error.HTTPError as error:
            with error:
                raise self._told(error.code, error.read(_MAX_BYTES)) from error
        except urllib.error.URLError as error:
            message = f"query-service: {error.reason}"
            raise CliError(message) from error
        except (OSError, HTTPException) as error:
            message = f"query-service: {str(error) or type(error).__name__}"
            raise CliError(message) from error

    def _told(self, status: int, body: bytes) -> CliError:
        if status == _UNAUTHENTICATED:
            return CliError(
                f"query-service refuses {self.reader}'s token: is {self.reader} still an admin?"
                f" (./harkara users add {self.reader} --role admin)"
            )
        try:
            said = msgspec.json.decode(body, type=_Failure).error.message
        except (msgspec.MsgspecError, UnicodeDecodeError):
            said = f"HTTP status {status}"
        kind = MisuseError if status == _INVALID else CliError
        return kind(f"query-service: {said.rstrip('.')}")

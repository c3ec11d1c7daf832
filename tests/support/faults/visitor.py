"""Somebody who comes in from outside while a mesh is hurt: a new connection, or a question over REST."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.faults.mesh import FaultMesh
from tests.support.plain_client import connected


@dataclass
class Rest:
    """What REST answered to one request.

    Attributes:
        status: Of HTTP; 0 where nobody answered.
        retry_after: The header.
        event_ids: Of a list of events, as it stands there.
    """

    status: int
    retry_after: str | None = None
    event_ids: list[str] = field(default_factory=list, repr=False)


async def come_in(mesh: FaultMesh, user_id: str) -> str:
    """Connect as somebody new does.

    Returns:
        How it began: "authenticated", a close code, a status of HTTP, or "none" where nobody listens.
    """
    try:
        async with connected(mesh.mesh.websocket_url) as client:
            answer = await client.authenticate(mesh.mesh.token_of(user_id))
            while answer["type"] == "error":
                answer = await client.receive()
            return str(answer["type"])
    except ConnectionClosed as closed:
        return str(closed.rcvd.code if closed.rcvd is not None else "lost")
    except InvalidStatus as refused:
        return str(refused.response.status_code)
    except OSError:
        return "none"


def rest(url: str, path: str, token: str) -> Rest:
    """One request.

    Args:
        url: Of a query-service.
        path: What is asked for.
        token: Who asks.
    """
    request = urllib.request.Request(  # noqa: S310 - our own.
        f"{url}/api/websocket/{path}", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            data = json.load(answer)["data"]
            events = data if isinstance(data, list) else []
            return Rest(answer.status, event_ids=[event["event_id"] for event in events])
    except urllib.error.HTTPError as error:
        with error:
            return Rest(error.code, error.headers.get("Retry-After"))
    except (urllib.error.URLError, OSError):
        return Rest(0)


def history(mesh: FaultMesh, user_id: str, url: str = "") -> Rest:
    """A user reads its own history.

    Args:
        mesh: Whose user.
        user_id: Who.
        url: Of a query-service beside the mesh's own.
    """
    return rest(url or mesh.mesh.rest_url, f"events/user/{user_id}", mesh.mesh.token_of(user_id))

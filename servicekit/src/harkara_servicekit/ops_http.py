"""The ops port of every service: `/livez`, `/readyz`, `/metrics`.

Live says that the process should be left alone; ready, that it should be sent work. Both are asked
of the service at each request: a health check that always says yes is worth nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from harkara_servicekit.http_server import HttpServer
from harkara_servicekit.settings import split_address


class OpsServer:
    """Serves a service's health and metrics.

    Args:
        address: `host:port` to listen on.
        registry: whose metrics are shown.
        live: whether the process works at all.
        ready: whether it can take work now.
    """

    def __init__(
        self,
        address: str,
        registry: CollectorRegistry,
        *,
        live: Callable[[], bool],
        ready: Callable[[], bool],
    ) -> None:
        async def livez(_: Request) -> Response:
            return _verdict(live())

        async def readyz(_: Request) -> Response:
            return _verdict(live() and ready())

        async def metrics(_: Request) -> Response:
            return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

        routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
        self._http = HttpServer(Starlette(routes=routes), *split_address(address), close_seconds=1)

    async def start(self) -> str:
        """Listen, and return the bound `host:port`.

        Raises:
            OSError: the address cannot be had.
        """
        return await self._http.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._http.stop()


def _verdict(good: bool) -> Response:
    return PlainTextResponse("ok\n" if good else "not ok\n", status_code=200 if good else 503)

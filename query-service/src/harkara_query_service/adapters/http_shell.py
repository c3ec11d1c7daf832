"""What stands around every request, whatever it asks for.

- A bound on requests in flight: beyond it 503 at once. It bounds every queue behind it, too.
- CORS: pages of the allowed origins may read answers. The bearer token is not sent by a browser on its own,
  so this guards nothing else, and a request from elsewhere is answered, only not readable there.
- Headers that keep a browser from taking an answer for anything but what it is, and from keeping it.
- Counting, and the last resort: an error nobody foresaw becomes a 500 with an id that the log repeats.
"""

import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harkara_query_service.adapters.answers import failure
from harkara_query_service.metrics import Metrics
from harkara_servicekit.origins import OriginRule

_PREFLIGHT_SECONDS = 600

_HEADERS = {
    # Personal data: not in any cache, neither a browser's nor one on the way.
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_log = structlog.get_logger()


class HttpShell:
    """ASGI middleware.

    Args:
        app: What answers.
        origins: Whose pages may read answers.
        max_requests: How many requests may be in flight.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, origins: OriginRule, max_requests: int, metrics: Metrics) -> None:
        self._app = app
        self._origins = origins
        self._max_requests = max_requests
        self._metrics = metrics
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        status = 0
        origin = Headers(scope=scope).get("origin")
        allowed = origin if origin is not None and self._origins.allows(origin) else None

        async def send_dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _dress(MutableHeaders(scope=message), allowed)
            await send(message)

        self._in_flight += 1
        self._metrics.in_flight.inc()
        try:
            if self._in_flight > self._max_requests:
                self._metrics.refused.inc()
                answer: Response = failure("overloaded", "Too many requests; try again shortly.")
                await answer(scope, receive, send_dressed)
            elif origin is not None and _is_preflight(scope):
                answer = _preflight(allowed)
                await answer(scope, receive, send_dressed)
            else:
                await self._app(scope, receive, send_dressed)
        except Exception as error:
            if status:  # Too late for another answer: the server cuts the connection.
                raise
            error_id = secrets.token_hex(8)
            _log.error("request_failed", error_id=error_id, route=_route(scope), exc_info=error)
            answer = failure("internal_error", f"This is our fault. If you report it, quote {error_id}.")
            await answer(scope, receive, send_dressed)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.dec()
            route = _route(scope)
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - started_at)


def _route(scope: Scope) -> str:
    """The path as routed: never as asked, which has as many values as there are users."""
    return getattr(scope.get("route"), "path", "none")


def _dress(headers: MutableHeaders, allowed_origin: str | None) -> None:
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)  # The console's files have their own.
    headers.add_vary_header("Origin")
    if allowed_origin is not None:
        headers["Access-Control-Allow-Origin"] = allowed_origin
        headers["Access-Control-Expose-Headers"] = "Retry-After"


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope)


def _preflight(allowed_origin: str | None) -> Response:
    if allowed_origin is None:
        return failure("forbidden", "Pages of this origin may not read answers.")
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "GET",
            "Access-Control-Allow-Headers": "Authorization",
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        },
    )

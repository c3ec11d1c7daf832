"""The routes: HTTP in, one call of the service, HTTP out.

FastAPI routes and describes. It reads no parameters, since it takes ` 10`, `10.0` and the last of two
values: query strings go to `domain/parameters.py` as they came. So it has nothing to validate either, and
the only failures are ours.
"""

import re
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from harkara_catalogue.asyncapi import DEFAULT_WEBSOCKET_URL, asyncapi_document
from harkara_catalogue.event_types import Catalogue
from harkara_query_service.adapters import answers, openapi
from harkara_query_service.adapters.console import Console
from harkara_query_service.adapters.http_shell import HttpShell
from harkara_query_service.domain import access
from harkara_query_service.domain.errors import (
    BadParameterError,
    NotFoundError,
    OverloadedError,
    QueryError,
    UnauthenticatedError,
    UnavailableError,
)
from harkara_query_service.domain.events import EVENT_ID_PATTERN, USER_ID_PATTERN
from harkara_query_service.domain.paging import BEFORE_SEQ, LIMIT, SKIP
from harkara_query_service.domain.parameters import Query, split_query
from harkara_query_service.domain.windows import CRITICAL_LIMIT, HOURS
from harkara_query_service.metrics import Metrics
from harkara_query_service.service import Permit, QueryService
from harkara_servicekit.origins import OriginRule

VERSION = "1.0.0"
"""Of the REST contract, not of this software."""

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]+)")


def create_app(  # noqa: PLR0913 - what an application consists of.
    service: QueryService,
    *,
    catalogue: Catalogue,
    websocket_url: str | None = None,
    origins: OriginRule,
    max_requests: int,
    metrics: Metrics,
    console: Console | None = None,
) -> FastAPI:
    """The ASGI application.

    Args:
        service: What answers.
        catalogue: The event types, for the documents.
        websocket_url: Where clients connect, for the AsyncAPI document; None for where a mesh on one machine
            has it.
        origins: Whose pages may read answers.
        max_requests: How many requests may be in flight.
        metrics: Where requests are counted.
        console: The web console's files; None where it is not served.
    """
    app = FastAPI(
        title="Harkara REST",
        version=VERSION,
        description=openapi.DESCRIPTION,
        openapi_url=access.OPENAPI,
        # Both load scripts from a third party's host.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(HttpShell, origins=origins, max_requests=max_requests, metrics=metrics)
    _add_failures(app, metrics)
    _add_routes(app, service, catalogue)
    _add_asyncapi(app, asyncapi_document(catalogue, websocket_url or DEFAULT_WEBSOCKET_URL))
    _add_security_scheme(app)
    if console is not None:
        console.add_to(app)
    return app


def _add_routes(app: FastAPI, service: QueryService, catalogue: Catalogue) -> None:
    async def admit(request: Request) -> Permit:
        return await service.admit(request.scope["route"].path, bearer_token(request))

    Permitted = Annotated[Permit, Depends(admit)]  # noqa: N806 - a type, though a local one.

    @app.get(
        access.STATS,
        operation_id="getStats",
        summary="What is connected now",
        response_class=answers.JsonAnswer,
        responses=openapi.responses(openapi.StatsAnswer),
        openapi_extra=openapi.operation(),
    )
    async def stats(_: Permitted) -> Response:
        return answers.stats_answer(await service.stats())

    @app.get(
        access.EVENT,
        operation_id="getEvent",
        summary="One event",
        response_class=answers.JsonAnswer,
        responses=openapi.responses(openapi.EventAnswer, NotFoundError),
        openapi_extra=openapi.operation(openapi.identifier("event_id", EVENT_ID_PATTERN)),
    )
    async def event(request: Request, permit: Permitted) -> Response:
        return answers.event_answer(await service.event(permit, request.path_params["event_id"]))

    @app.get(
        access.USER_EVENTS,
        operation_id="listUserEvents",
        summary="A user's events, newest first",
        response_class=answers.JsonAnswer,
        responses=openapi.responses(openapi.HistoryAnswer, NotFoundError, BadParameterError),
        openapi_extra=openapi.operation(
            openapi.identifier("user_id", USER_ID_PATTERN),
            openapi.event_type(catalogue.types),
            openapi.integer(LIMIT),
            openapi.integer(SKIP),
            openapi.integer(BEFORE_SEQ),
        ),
    )
    async def user_events(request: Request, permit: Permitted) -> Response:
        user_id = request.path_params["user_id"]
        return answers.history_answer(await service.user_history(permit, user_id, _query(request)))

    # After the history: /events/user/delivery is the history of the user "delivery".
    @app.get(
        access.DELIVERY,
        operation_id="getEventDelivery",
        summary="What is kept of one event's delivery",
        response_class=answers.JsonAnswer,
        responses=openapi.responses(openapi.DeliveryAnswer, NotFoundError),
        openapi_extra=openapi.operation(openapi.identifier("event_id", EVENT_ID_PATTERN)),
    )
    async def delivery(request: Request, permit: Permitted) -> Response:
        return answers.delivery_answer(await service.delivery(permit, request.path_params["event_id"]))

    @app.get(
        access.SUMMARY,
        operation_id="getAnalyticsSummary",
        summary="A day in numbers",
        response_class=answers.JsonAnswer,
        responses=openapi.responses(openapi.SummaryAnswer, BadParameterError),
        openapi_extra=openapi.operation(openapi.day()),
    )
    async def summary(request: Request, _: Permitted) -> Response:
        return answers.summary_answer(await service.summary(_query(request)))

    @app.get(
        access.CRITICAL_EVENTS,
        operation_id="listCriticalEvents",
        summary="The critical events of the last hours, newest first",
        response_class=answers.JsonAnswer,
        responses=openapi.responses(openapi.CriticalEventsAnswer, BadParameterError),
        openapi_extra=openapi.operation(openapi.integer(HOURS), openapi.integer(CRITICAL_LIMIT)),
    )
    async def critical_events(request: Request, _: Permitted) -> Response:
        return answers.critical_answer(await service.critical_events(_query(request)))


def _add_asyncapi(app: FastAPI, document: dict[str, Any]) -> None:
    body = msgspec.json.encode(document)

    # It belongs to the other API: the OpenAPI document does not describe it.
    @app.get(access.ASYNCAPI, include_in_schema=False)
    async def asyncapi() -> Response:
        return answers.JsonAnswer(body)


def bearer_token(request: Request) -> str:
    """The one bearer token of a request.

    Raises:
        UnauthenticatedError: there is none, or more than one, or it cannot be one.
    """
    given = request.headers.getlist("authorization")
    match = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    if match is None:
        raise UnauthenticatedError
    return match[1]


def _query(request: Request) -> Query:
    raw: bytes = request.scope["query_string"]
    return split_query(raw)


def _add_failures(app: FastAPI, metrics: Metrics) -> None:
    by_status = {
        404: ("not_found", "There is nothing at this path."),
        405: ("method_not_allowed", "This path only answers GET."),
    }

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, QueryError)  # noqa: S101 - registered for that class only.
        if isinstance(error, UnavailableError):
            reason = "overloaded" if isinstance(error, OverloadedError) else "away"
            metrics.unavailable.labels(error.dependency, reason).inc()
        return answers.query_failure(error)

    async def frameworks(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - as above.
        if error.status_code not in by_status:
            raise error
        return answers.failure(*by_status[error.status_code], error.headers)

    app.add_exception_handler(QueryError, ours)
    app.add_exception_handler(HTTPException, frameworks)


def _add_security_scheme(app: FastAPI) -> None:
    made = app.openapi

    def with_scheme() -> dict[str, Any]:
        document = made()
        document["components"]["securitySchemes"] = openapi.SECURITY_SCHEME
        return document

    app.openapi = with_scheme  # type: ignore[method-assign]  # FastAPI's documented way.

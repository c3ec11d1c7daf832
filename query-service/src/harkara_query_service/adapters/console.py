"""The web console's files over HTTP: a fixed list, read once, each with headers that leave a page no way out.

- Only what was found at the start is served. A path is looked up, never joined to a folder.
- The Content-Security-Policy allows scripts and styles of our own origin and nothing inline, so what is put
  into a page cannot run; and connections to our own origin and the WebSocket's.
- A browser asks each time whether it has the newest (`no-cache` and an ETag): after an upgrade no page runs
  with half of its modules of the release before.

What does not belong here: what the pages do (`console/`). They hold nothing about anybody, and get what they
show from the API, with the reader's own token.
"""

import asyncio
import gzip
import hashlib
import html
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import metadata, resources
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.responses import Response

from harkara_client_javascript import MODULES
from harkara_query_service.domain import access
from harkara_query_service.domain.errors import NotFoundError

CHARTS = ("instaui-echarts", "instaui_echarts/static/echarts.esm.min.js")
"""The distribution that carries Apache ECharts, as it is released, and where. It is not imported."""

_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""What is served at all; a file of another kind in one of the folders is not."""

_URL_MARK = b'<meta name="harkara-websocket-url" content="">'
_WORTH_COMPRESSING = 1_024


class ConsoleFile:
    """One file, as it is answered.

    Args:
        content: Its bytes.
        content_type: With its charset.
    """

    def __init__(self, content: bytes, content_type: str) -> None:
        self.content = content
        self.content_type = content_type
        self.etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    @cached_property
    def compressed(self) -> bytes:
        """Its bytes, with gzip. Nothing secret is in them, so their length tells nobody anything."""
        return gzip.compress(self.content, mtime=0)


class Console:
    """The console's files, by the path that each is served at.

    Args:
        websocket_url: Where browsers connect; None for the page's own origin.

    Raises:
        OSError: A file cannot be read.
        importlib.metadata.PackageNotFoundError: The charts are not installed.
    """

    def __init__(self, websocket_url: str | None) -> None:
        self._headers = _headers(websocket_url)
        self.files = dict(_find(websocket_url))

    def add_to(self, app: FastAPI) -> None:
        """Serve it, behind all that the application has already."""
        for path in sorted(access.CONSOLE):
            app.add_api_route(path, self.answer, methods=["GET", "HEAD"], include_in_schema=False)

    async def answer(self, request: Request) -> Response:
        """Answer with the file at the request's path.

        Raises:
            NotFoundError: There is none.
        """
        file = self.files.get(request.scope["path"])
        if file is None:
            raise NotFoundError("page")
        headers = {**self._headers, "ETag": file.etag, "Vary": "Accept-Encoding"}
        if file.etag in _tags(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        content = file.content
        if len(content) > _WORTH_COMPRESSING and _takes_gzip(request.headers):
            content = await asyncio.to_thread(lambda: file.compressed)
            headers["Content-Encoding"] = "gzip"
        # Starlette leaves a given Content-Type as it is; the server leaves the body of a HEAD out.
        return Response(content, headers={**headers, "Content-Type": file.content_type})


def _tags(header: str) -> set[str]:
    """The tags of an If-None-Match. A proxy that compresses makes ours weak."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}


def _takes_gzip(headers: Headers) -> bool:
    offers = [offer.strip().replace(" ", "") for offer in headers.get("accept-encoding", "").split(",")]
    return any(offer == "gzip" or (offer.startswith("gzip;") and offer != "gzip;q=0") for offer in offers)


def _headers(websocket_url: str | None) -> Mapping[str, str]:
    connections = "'self'"
    if websocket_url is not None:
        parts = urlsplit(websocket_url)
        connections += f" {parts.scheme}://{parts.netloc}"
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": connections,
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _find(websocket_url: str | None) -> Iterator[tuple[str, ConsoleFile]]:
    told = html.escape(websocket_url or "").encode()
    with resources.as_file(resources.files("harkara_query_service") / "console") as pages:
        for name, content in _read(pages):
            # Only pages have the mark.
            filled = content.replace(_URL_MARK, _URL_MARK.replace(b'""', b'"' + told + b'"'))
            file = ConsoleFile(filled, _TYPES[Path(name).suffix])
            yield f"/{name}", file
            if name == "index.html":
                yield "/", file
    for name, content in _read(MODULES):
        yield f"/client/{name}", ConsoleFile(content, _TYPES[Path(name).suffix])
    distribution, charts = CHARTS
    content = Path(str(metadata.distribution(distribution).locate_file(charts))).read_bytes()
    yield f"/vendor/{Path(charts).name}", ConsoleFile(content, _TYPES[".js"])


def _read(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each file of a folder that is of a known kind: its name below the folder, and its bytes."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in _TYPES and path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()

"""A web site on loopback for a test: a few pages, folders beside them, and a strict Content-Security-Policy.

It stands where an application's own server would. What the query-service serves is asked of the
query-service.
"""

from __future__ import annotations

import mimetypes
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

# No inline script, no eval, nothing from elsewhere; `connect-src` is where the mesh may be.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; worker-src 'self';"
    " connect-src 'self' ws://127.0.0.1:* http://127.0.0.1:*"
)
_TYPES = {".js": "text/javascript", ".html": "text/html"}


@dataclass
class Site:
    """What is served; a test may put pages in at any time.

    Attributes:
        origin: Such as `http://127.0.0.1:4711`.
        pages: Text by path, such as `/index.html`.
        folders: Folders by the path that they are served under, such as `/client/`.
    """

    origin: str
    pages: dict[str, str] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)

    def put(self, path: str, text: str) -> str:
        """Serve a text, and say where."""
        self.pages[path] = text
        return self.origin + path

    def read(self, path: str) -> bytes | None:
        """What stands at a path; None where nothing does."""
        if path in self.pages:
            return self.pages[path].encode()
        for under, folder in self.folders.items():
            if path.startswith(under):
                file = (folder / path.removeprefix(under)).resolve()
                return file.read_bytes() if file.is_relative_to(folder.resolve()) and file.is_file() else None
        return None


@contextmanager
def running_site(folders: Mapping[str, Path]) -> Iterator[Site]:
    """A site on a free port of loopback, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = site.read(path)
            suffix = PurePosixPath(path).suffix
            kind = _TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
            self.send_response(HTTPStatus.NOT_FOUND if body is None else HTTPStatus.OK)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there.
            pass  # The browser's console says what could not be had.

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        site = Site(f"http://127.0.0.1:{server.server_port}", folders=folders)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()

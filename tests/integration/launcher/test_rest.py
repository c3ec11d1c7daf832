"""Questions over REST, and how their failures are told: against a server that answers what a test says."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harkara_cli.errors import CliError, MisuseError
from harkara_cli.ports import free_port
from harkara_cli.rest import Rest


class Answering(ThreadingHTTPServer):
    """Answers everything alike; notes what was asked."""

    status = 200
    body = b""
    asked: list[tuple[str, str | None]]


class Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))
        if self.server.status == 0:
            return
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Keep silent."""


@pytest.fixture
def server() -> Iterator[Answering]:
    with Answering(("127.0.0.1", 0), Handler) as answering:
        answering.asked = []
        thread = threading.Thread(target=answering.serve_forever, args=(0.01,))
        thread.start()
        yield answering
        answering.shutdown()
        thread.join()


def rest(server: Answering) -> Rest:
    return Rest(f"http://127.0.0.1:{server.server_port}", "a.token", "the_admin")


def test_an_event_is_given_byte_for_byte(server: Answering) -> None:
    server.body = b'{"status":"success","data":{"event_id":"evt_1","data":{"x": 1e999}}}'
    assert rest(server).event("evt_1") == b'{"event_id":"evt_1","data":{"x": 1e999}}'
    assert server.asked == [("/api/websocket/events/evt_1", "Bearer a.token")]


def test_a_page_is_asked_for_with_what_is_given_and_no_more(
    server: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # Not meant for us.
    server.body = b'{"status":"success","data":[{"seq":2},{"seq":1}],"count":2,"limit":5,"skip":0}'
    assert rest(server).history("anna", limit=5) == [b'{"seq":2}', b'{"seq":1}']
    rest(server).history("anna", limit=5, event_type="order_ready", before_seq=9)
    assert [path for path, _ in server.asked] == [
        "/api/websocket/events/user/anna?limit=5",
        "/api/websocket/events/user/anna?limit=5&event_type=order_ready&before_seq=9",
    ]


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (404, b'{"error":{"code":"not_found","message":"No such event."}}', CliError, "No such event"),
        (422, b'{"error":{"message":"event_type is none"}}', MisuseError, "event_type is none"),
        (503, b"<html>busy</html>", CliError, "HTTP status 503"),
        (500, b'{"error":{"message":"\xff"}}', CliError, "HTTP status 500"),
    ],
)
def test_a_refusal_is_one_line(
    status: int, body: bytes, kind: type[CliError], said: str, server: Answering
) -> None:
    server.status, server.body = status, body
    with pytest.raises(CliError) as caught:
        rest(server).event("evt_1")
    assert (type(caught.value), str(caught.value)) == (kind, f"query-service: {said}")


def test_a_token_that_is_refused_brings_what_to_do(server: Answering) -> None:
    server.status = 401
    with pytest.raises(CliError) as caught:
        rest(server).event("evt_1")
    assert str(caught.value) == (
        "query-service refuses the_admin's token: is the_admin still an admin?"
        " (./harkara users add the_admin --role admin)"
    )


@pytest.mark.parametrize("body", [b"", b"[]", b'{"status":"success"}', b"\xff"])
def test_an_answer_that_is_none_is_one_line(body: bytes, server: Answering) -> None:
    server.body = body
    with pytest.raises(CliError, match=r"^query-service: its answer cannot be read: "):
        rest(server).event("evt_1")


def test_a_server_that_hangs_up_or_is_not_there_is_one_line(server: Answering) -> None:
    server.status = 0
    with pytest.raises(CliError, match=r"^query-service: .+"):
        rest(server).event("evt_1")
    with pytest.raises(CliError, match=r"^query-service: .*refused"):
        Rest(f"http://127.0.0.1:{free_port()}", "a.token", "the_admin").event("evt_1")

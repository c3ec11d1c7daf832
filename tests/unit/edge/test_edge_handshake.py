"""Who may open a WebSocket."""

from __future__ import annotations

import pytest

from harkara_edge.domain.handshake import PATH, refusal
from harkara_servicekit.origins import OriginRule

ANYBODY_HERE = OriginRule.parse("loopback")


def judge(**request: object) -> int | None:
    fields: dict[str, object] = {
        "method": "GET",
        "target": PATH,
        "hosts": ["localhost:8080"],
        "origins": [],
        "rule": ANYBODY_HERE,
    }
    return refusal(**{**fields, **request})  # type: ignore[arg-type]


def test_the_documented_path_may_be_opened_with_or_without_a_query() -> None:
    assert judge() is None
    assert judge(target=f"{PATH}?x=1") is None


@pytest.mark.parametrize(
    "target", ["/", "/api/websocket", f"{PATH}/", "/API/websocket/ws", "*", f"http://x{PATH}"]
)
def test_any_other_path_is_not_there_whatever_else_is_wrong(target: str) -> None:
    assert judge(target=target, hosts=[], origins=["http://evil.example"], method="POST") == 404


@pytest.mark.parametrize("method", ["POST", "HEAD", "get"])
def test_any_other_method_is_not_allowed(method: str) -> None:
    assert judge(method=method) == 405


@pytest.mark.parametrize("hosts", [[], [""], [" "], ["a", "a"]])
def test_exactly_one_host_is_required(hosts: list[str]) -> None:
    assert judge(hosts=hosts) == 400


def test_two_origins_are_a_broken_request() -> None:
    assert judge(origins=["http://localhost", "http://localhost"]) == 400


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:3000",
        "HTTPS://LocalHost:8443",
        "http://app.localhost:5173",
        "http://127.0.0.1:8080",
        "http://127.8.8.8",
        "http://[::1]:3000",
    ],
)
def test_loopback_allows_every_origin_on_this_machine(origin: str) -> None:
    assert judge(origins=[origin]) is None


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example/localhost",
        "http://localhost@evil.example",
        "http://10.0.0.1",
        "http://128.0.0.1",
        "file://",
        "null",
        "",
    ],
)
def test_loopback_allows_no_origin_elsewhere(origin: str) -> None:
    assert judge(origins=[origin]) == 403


def test_a_list_allows_its_origins_and_requests_without_one() -> None:
    rule = OriginRule.parse("https://Shop.example, https://rider.example:8443")
    assert judge(rule=rule) is None
    assert judge(rule=rule, origins=["https://shop.example"]) is None
    assert judge(rule=rule, origins=["https://rider.example:8443"]) is None
    assert judge(rule=rule, origins=["https://rider.example"]) == 403
    assert judge(rule=rule, origins=["http://shop.example"]) == 403
    assert judge(rule=rule, origins=["http://localhost"]) == 403


def test_a_list_may_hold_loopback_too() -> None:
    rule = OriginRule.parse("loopback,https://shop.example")
    assert judge(rule=rule, origins=["http://localhost"]) is None
    assert judge(rule=rule, origins=["https://shop.example"]) is None


@pytest.mark.parametrize("text", ["shop.example", "*", "https://shop.example/path", "https://"])
def test_a_setting_that_names_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        OriginRule.parse(text)

"""Whose web pages may speak to a service."""

import pytest

from harkara_servicekit.origins import OriginRule


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True), ("http://localhost:5173", True), ("https://127.0.0.1:8443", True),
        ("http://127.8.9.1:1", True), ("http://[::1]:3000", True),
        ("null", False), ("", False), ("http://localhost.evil.example", False),
        ("http://evil-localhost", False),
        ("http://127.0.0.1.evil.example", False), ("http://evil.example/?http://localhost", False),
        ("file://", False), ("http://localhost:5173\n", False), ("ftp://localhost", False),
    ],
)  # fmt: skip
def test_loopback_allows_pages_of_this_machine_only(origin: str, allowed: bool) -> None:
    assert OriginRule.parse("loopback").allows(origin) is allowed


def test_a_list_allows_exactly_its_origins() -> None:
    origins = OriginRule.parse("https://shop.example, https://admin.example:8443")
    assert origins.allows("https://shop.example")
    assert origins.allows("https://admin.example:8443")
    assert not origins.allows("https://admin.example")
    assert not origins.allows("http://shop.example")
    assert not origins.allows("http://localhost")


@pytest.mark.parametrize("text", ["*", "https://shop.example/", "shop.example", "null"])
def test_what_is_no_origin_is_refused_at_start(text: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        OriginRule.parse(text)

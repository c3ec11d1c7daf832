"""The tables of the docs."""

from __future__ import annotations

from markdown_it import MarkdownIt

from harkara_catalogue import (
    CLOSE_CODES,
    ERROR_CODES,
    Catalogue,
    EventType,
    catalogue_markdown,
    codes_markdown,
)
from harkara_catalogue.shapes import NUMBER, STRING, ArrayShape, fields


def cells(text: str) -> list[list[str]]:
    """The rows of every table in a Markdown text, heads included, as a reader of Markdown sees them."""
    rows: list[list[str]] = []
    for token in MarkdownIt().enable("table").parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and token.level > 2:
            rows[-1].append(token.content)
    return rows


def test_the_codes_page_has_a_row_for_every_close_and_every_error() -> None:
    rows = cells(codes_markdown())
    assert ["4401", "`unauthenticated`", CLOSE_CODES[4401].when, "new token, then reconnect"] in rows
    assert ["1009", "", "message over 64 KiB; no error frame precedes it", "stop"] in rows
    meaning = ERROR_CODES["rate_limited"].meaning
    assert ["`rate_limited`", meaning, "stays open, or 4429", "RESOURCE_EXHAUSTED", "429"] in rows
    assert len(rows) == 2 + len(CLOSE_CODES) + len(ERROR_CODES)


def test_the_page_of_the_types_has_every_type_with_its_fields() -> None:
    text = catalogue_markdown(Catalogue.reference())
    assert [line for line in text.splitlines() if line.startswith("### ")] == [
        "### Earnings",
        "### Delivery",
        "### Order",
        "### Payment",
        "### Location",
    ]
    assert "#### payment_failed\n\nLevel critical. Payment failed.\n" in text
    assert text.count("\n#### ") == 17
    rows = cells(text)
    assert ["`items`", "array of object"] in rows
    assert ["`items[].price`", "number"] in rows
    assert ["`location.latitude`", "number"] in rows


def test_a_type_that_is_added_to_a_group_stands_in_it() -> None:
    added = EventType("tip_given", "low", "Earnings", "", fields(tags=ArrayShape(STRING), **{"a|b": NUMBER}))
    text = catalogue_markdown(Catalogue.of([*Catalogue.reference().types.values(), added]))
    assert text.count("### Earnings\n") == 1
    assert text.index("#### tip_given") < text.index("### Delivery")
    assert "#### tip_given\n\nLevel low.\n" in text
    assert ["`tags`", "array of string"] in cells(text)
    assert ["`a|b`", "number"] in cells(text)


def test_a_page_ends_with_one_line_end() -> None:
    for text in (codes_markdown(), catalogue_markdown(Catalogue.reference())):
        assert text.endswith("\n")
        assert not text.endswith("\n\n")

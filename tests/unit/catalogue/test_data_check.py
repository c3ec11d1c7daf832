"""The check of `data`: what passes, what does not, and what it says of the place."""

from __future__ import annotations

import json
from dataclasses import astuple

import pytest

from harkara_catalogue import MAX_DATA_BYTES, MAX_DATA_DEPTH, Catalogue, DataFault, check_data

CATALOGUE = Catalogue.reference()


def fault(text: str, event_type: str = "order_created") -> tuple[str, str] | None:
    found = check_data(CATALOGUE, event_type, text)
    return None if found is None else (found.path, found.message)


def nested(depth: int) -> str:
    """An object that nests so deep, itself included."""
    return '{"x":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        ' \t\r\n{"order_id" : "ord_1" } \n',
        '{"order_id":null,"items":null,"total_amount":null}',
        '{"items":[]}',
        '{"items":[{},{"name":null,"quantity":1.5,"colour":"red"}]}',
        '{"colour":"red","more":{"items":7,"order_id":[]}}',
        '{"total_amount":-0}',
        '{"total_amount":1e400,"delivery_fee":-1E-400}',
        '{"total_amount":9223372036854775808,"delivery_fee":-18446744073709551617}',
        '{"order_id":"\\u00e9 \\ud83d\\ude00 \\n \\" \\\\ \\/","\\u006frder_id":"again"}',
        '{"order_id":"é 😀 \u2028 \x7f \uffff"}',
        '{"order_id":"\\\\u0000 is no escape","x":"\\\\ud800"}',
        '{"total_amount":1,"total_amount":2}',
        pytest.param('{"order_id":"' + "{[" * 100 + '"}', id="brackets in a string"),
    ],
)
def test_these_pass(text: str) -> None:
    assert fault(text) is None


@pytest.mark.parametrize("digits", [19, 20, 300, 400, 4300, 4301, 65000])
def test_a_number_may_have_any_number_of_digits(digits: int) -> None:
    for name in ("total_amount", "unknown"):
        assert fault(f'{{"{name}":{"9" * digits}}}') is None
        assert fault(f'{{"{name}":-0.{"9" * digits}}}') is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "{}}",
        "{} {}",
        "{},",
        "\ufeff{}",
        "\x00",
        "{}\x00",
        "\x0c{}",
        "{'order_id':1}",
        "{order_id:1}",
        '{"x":1,}',
        '{"x":[1,]}',
        '{"x":01}',
        '{"x":+1}',
        '{"x":1.}',
        '{"x":.5}',
        '{"x":1e}',
        '{"x":0x1}',
        '{"x":NaN}',
        '{"x":Infinity}',
        '{"x":-Infinity}',
        '{"total_amount":NaN}',
        '{"x":True}',
        '{"x":nul}',
        '{"x":1 // one\n}',
        '{"x":"a\tb"}',
        '{"x":"a\nb"}',
        '{"x":"\x00"}',
        '{"x":"\x1f"}',
        '{"x":"\\x41"}',
        '{"x":"\\u12"}',
        '{"x":"\\u+123"}',
        '{"\\q":1}',
        '{"x":\xa01}',
        '{"x":"abc}',
        pytest.param("[" * 60_000, id="deep array"),
        pytest.param('{"x":' * 10_000, id="deep object"),
    ],
)
def test_what_is_not_json_does_not_pass(text: str) -> None:
    found = fault(text)
    assert found is not None
    assert found[0] == "data"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[]", "an array"),
        ('"{}"', "a string"),
        ("1", "a number"),
        ("1e400", "a number"),
        ("true", "a boolean"),
        ("null", "null"),
    ],
)
def test_data_is_an_object(text: str, kind: str) -> None:
    assert fault(text) == ("data", f"must be an object, not {kind}")


@pytest.mark.parametrize(
    ("event_type", "text", "path", "message"),
    [
        ("order_created", '{"order_id":7}', "data.order_id", "must be a string, not a number"),
        ("order_created", '{"total_amount":"100"}', "data.total_amount", "must be a number, not a string"),
        ("order_created", '{"total_amount":true}', "data.total_amount", "must be a number, not a boolean"),
        ("order_created", '{"items":{}}', "data.items", "must be an array, not an object"),
        ("order_created", '{"items":[{},null]}', "data.items[1]", "must be an object, not null"),
        ("order_created", '{"items":[{"price":60},{"price":"60"}]}', "data.items[1].price",
         "must be a number, not a string"),
        ("payment_failed", '{"retry_available":1}', "data.retry_available",
         "must be a boolean, not a number"),
        ("payment_failed", '{"retry_available":"true"}', "data.retry_available",
         "must be a boolean, not a string"),
        ("earning_recorded", '{"breakdown":[]}', "data.breakdown", "must be an object, not an array"),
        ("earning_recorded", '{"breakdown":{"base":{}}}', "data.breakdown.base",
         "must be a number, not an object"),
    ],
)  # fmt: skip
def test_a_known_field_of_the_wrong_type_is_named_with_its_place(
    event_type: str, text: str, path: str, message: str
) -> None:
    assert fault(text, event_type) == (path, message)


@pytest.mark.parametrize(
    "text",
    [
        '{"total_amount":1,"total_amount":"2"}',
        '{"total_amount":"1","total_amount":2}',
        '{"total_amount":1,"tot\\u0061l_amount":"2"}',
    ],
)
def test_a_field_that_occurs_twice_must_be_right_twice(text: str) -> None:
    assert fault(text) == ("data.total_amount", "must be a number, not a string")


def test_a_wrong_field_is_found_beside_a_number_that_the_decoder_cannot_hold() -> None:
    assert fault('{"total_amount":1e400,"order_id":7}') == ("data.order_id", "must be a string, not a number")


@pytest.mark.parametrize("name", ["order_id", "unknown"])
@pytest.mark.parametrize("escape", ["\\ud800", "\\udc00", "\\ud83dx", "\\ud83d\\u0041", "\\ude00\\ud83d"])
def test_a_lone_surrogate_is_refused_in_every_string(name: str, escape: str) -> None:
    assert fault(f'{{"{name}":"{escape}"}}') == (f"data.{name}", "holds a lone surrogate")
    assert fault(f'{{"x":[{{"y":"{escape}"}}]}}') == ("data.x[0].y", "holds a lone surrogate")


@pytest.mark.parametrize(
    "text", ['{"order_id":"\ud800"}', '{"x":"\udfff"}', '{"x":"\ud83d\ude00"}', '{"\ud800":1}']
)
def test_a_text_that_has_no_utf_8_is_refused(text: str) -> None:
    found = fault(text)
    assert found is not None
    assert found[1] == "holds a lone surrogate"


def test_an_escaped_nul_is_refused_in_every_string() -> None:
    assert fault('{"order_id":"a\\u0000b"}') == ("data.order_id", "holds NUL")
    assert fault('{"x":[[],["\\\\\\u0000"]]}') == ("data.x[1][0]", "holds NUL")
    assert fault('{"\\u0000":1}') == ('data["\\u0000"]', "holds NUL")


def test_data_nests_32_deep_and_no_deeper() -> None:
    assert MAX_DATA_DEPTH == 32
    assert fault(nested(32)) is None
    assert fault(nested(33)) == ("data.x" + "[0]" * 31, "nested more than 32 deep")
    assert fault(nested(5000)) == ("data", "nested more than 32 deep")


def test_depth_counts_what_is_open_not_what_was() -> None:
    items = [{"name": "]}{[", "tags": [[], {}]} for _ in range(200)]
    assert fault(json.dumps({"items": items})) is None


@pytest.mark.parametrize("character", ["a", "é", "€", "😀"])
def test_data_has_65536_bytes_of_utf_8_and_no_more(character: str) -> None:
    assert MAX_DATA_BYTES == 65_536
    room = MAX_DATA_BYTES - len('{"x":""}')
    width = len(character.encode())
    filling = character * (room // width) + "a" * (room % width)
    assert fault(f'{{"x":"{filling}"}}') is None
    assert fault(f'{{"x":"{filling}a"}}') == ("data", "longer than 65536 bytes of UTF-8")


def test_a_path_is_short_plain_ascii_whatever_the_names_are() -> None:
    found = fault(json.dumps({"naïve \n name": {"é" * 10_000: ["\0"]}}))
    assert found is not None
    assert found[0].isascii()
    assert found[0].isprintable()
    assert len(found[0]) < 500
    assert found[0].startswith('data["na\\u00efve \\n name"]["\\u00e9')


def test_a_fault_holds_no_value_of_the_data() -> None:
    for text in ('{"total_amount":"s3cret"}', '{"order_id":"s3cret\\u0000"}', '{"x":s3cret}', '"s3cret"'):
        found = check_data(CATALOGUE, "order_created", text)
        assert isinstance(found, DataFault)
        assert "s3cret" not in "".join(astuple(found))


def test_a_type_that_the_catalogue_does_not_have_is_the_caller_s_mistake() -> None:
    with pytest.raises(KeyError):
        check_data(CATALOGUE, "order_eaten", "{}")

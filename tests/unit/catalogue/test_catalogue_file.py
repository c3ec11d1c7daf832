"""A deployment's own event types."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harkara_catalogue import Catalogue, CatalogueFileError, EventType, check_data, load_catalogue
from harkara_catalogue.shapes import ANY, BOOLEAN, NUMBER, STRING, ArrayShape, fields

COUPON = {
    "level": "low",
    "group": "Marketing",
    "when": "A coupon is granted",
    "data": {
        "coupon_id": "string",
        "amount": "number",
        "transferable": "boolean",
        "shop": {"shop_id": "string", "location": {"latitude": "number"}},
        "items": [{"name": "string"}],
        "grid": [["number"]],
        "extra": "any",
        "anything": {},
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "types.json"


def write(file: Path, types: object) -> Path:
    file.write_text(json.dumps({"event_types": types}))
    return file


def faults_of(file: Path) -> tuple[str, ...]:
    with pytest.raises(CatalogueFileError) as caught:
        load_catalogue(file)
    return caught.value.faults


def test_without_a_file_the_catalogue_is_the_reference_s() -> None:
    assert load_catalogue(None) is Catalogue.reference()


def test_types_of_a_file_come_after_those_of_the_reference(file: Path) -> None:
    catalogue = load_catalogue(write(file, {"coupon_granted": COUPON, "a": {"level": "critical"}}))
    assert list(catalogue.types) == [*Catalogue.reference().types, "coupon_granted", "a"]
    assert catalogue.types["coupon_granted"] == EventType(
        name="coupon_granted",
        default_level="low",
        group="Marketing",
        when="A coupon is granted",
        data=fields(
            coupon_id=STRING,
            amount=NUMBER,
            transferable=BOOLEAN,
            shop=fields(shop_id=STRING, location=fields(latitude=NUMBER)),
            items=ArrayShape(fields(name=STRING)),
            grid=ArrayShape(ArrayShape(NUMBER)),
            extra=ANY,
            anything=fields(),
        ),
    )
    assert catalogue.types["a"] == EventType("a", "critical", "Other", "", fields())


def test_data_of_such_a_type_is_checked_as_its_file_says(file: Path) -> None:
    catalogue = load_catalogue(write(file, {"coupon_granted": COUPON}))

    def place(data: object) -> str | None:
        fault = check_data(catalogue, "coupon_granted", json.dumps(data))
        return None if fault is None else fault.path

    assert place({"coupon_id": "c", "shop": {"location": None}, "grid": [[1, 2], []], "extra": [1]}) is None
    assert place({"shop": {"location": {"latitude": "north"}}}) == "data.shop.location.latitude"
    assert place({"grid": [[1], ["2"]]}) == "data.grid[1][0]"
    assert place({"anything": 1}) == "data.anything"


def test_a_field_may_have_any_name_that_people_can_read(file: Path) -> None:
    names = ["class", "order-id", "prix €", "क", "@type", "a.b", "f0", "{}[]:", "self", "__init__", "9"]
    catalogue = load_catalogue(write(file, {"t": {"level": "low", "data": dict.fromkeys(names, "number")}}))
    for name in names:
        for ensure_ascii in (True, False):
            assert check_data(catalogue, "t", json.dumps({name: 1}, ensure_ascii=ensure_ascii)) is None
            assert check_data(catalogue, "t", json.dumps({name: "1"}, ensure_ascii=ensure_ascii)) is not None


def test_the_reference_s_own_catalogue_is_left_alone(file: Path) -> None:
    load_catalogue(write(file, {"coupon_granted": COUPON}))
    assert "coupon_granted" not in Catalogue.reference().types


def test_all_faults_are_told_at_once_with_their_places(file: Path) -> None:
    write(
        file,
        {
            "order_created": {"level": "low"},
            "Bad-Name": {"level": "low"},
            "no_level": {},
            "odd_level": {"level": "urgent", "levle": "low"},
            "no_object": "low",
            "odd_texts": {"level": "low", "group": 7, "when": "two\nlines"},
            "odd_data": {"level": "low", "data": ["string"]},
            "odd_shapes": {
                "level": "low",
                "data": {"a": "integer", "b": [], "c": ["string", "number"], "d": {"e": None}, "": "any"},
            },
        },
    )
    rule = "a field's name is 1 to 128 printable characters without quotes and backslashes"
    choice = "must be one of string, number, boolean, any, an object of fields, or an array of one shape"
    assert faults_of(file) == (
        "event_types.order_created: is a type of the reference and cannot be defined again",
        'event_types["Bad-Name"]: a type\'s name is a-z, then up to 63 of a-z, 0-9 and _',
        "event_types.no_level.level: is missing",
        'event_types.odd_level: "levle" is not known here; known are level, group, when, data',
        "event_types.odd_level.level: must be one of low, medium, high, critical",
        "event_types.no_object: must be an object",
        "event_types.odd_texts.group: must be one line of text",
        "event_types.odd_texts.when: must be one line of text",
        "event_types.odd_data.data: must be an object",
        f"event_types.odd_shapes.data.a: {choice}",
        f"event_types.odd_shapes.data.b: {choice}",
        f"event_types.odd_shapes.data.c: {choice}",
        f"event_types.odd_shapes.data.d.e: {choice}",
        f'event_types.odd_shapes.data[""]: {rule}',
    )


def test_the_error_s_text_has_a_line_with_the_file_for_each_fault(file: Path) -> None:
    write(file, {"a": {}, "b": {}})
    with pytest.raises(CatalogueFileError) as caught:
        load_catalogue(str(file))
    assert str(caught.value) == (
        f"{file}: event_types.a.level: is missing\n{file}: event_types.b.level: is missing"
    )


@pytest.mark.parametrize("name", ["", "A", "1a", "_a", "a-b", "a b", "a\n", "é", "a" * 65, "a.b", "*"])
def test_a_type_s_name_is_lower_case_letters_digits_and_underscores(file: Path, name: str) -> None:
    assert len(faults_of(write(file, {name: {"level": "low"}}))) == 1


def test_a_type_s_name_has_up_to_64_characters(file: Path) -> None:
    assert "a" * 64 in load_catalogue(write(file, {"a" * 64: {"level": "low"}})).types


@pytest.mark.parametrize(
    "name", ["", pytest.param("a" * 129, id="long"), 'a"b', "a\\b", "a\nb", "a\0", "\ud800"]
)
def test_a_field_s_name_is_one_that_can_be_found_in_a_text(file: Path, name: str) -> None:
    assert len(faults_of(write(file, {"t": {"level": "low", "data": {name: "string"}}}))) == 1


def test_a_name_that_stands_twice_is_refused(file: Path) -> None:
    file.write_text(
        '{"event_types":{"a":{"level":"low","level":"high"},'
        '"b":{"level":"low","data":{"x":"string","x":"number","y":{"z":"any","z":"any"}}},"b":{"level":"low"}}}'
    )
    assert faults_of(file) == (
        'event_types: "b" stands there twice',
        'event_types.a: "level" stands there twice',
    )


def test_a_field_that_stands_twice_is_refused(file: Path) -> None:
    file.write_text(
        '{"event_types":{"b":{"level":"low","data":{"x":"string","x":"number","y":[{"z":"any","z":"any"}]}}}}'
    )
    assert faults_of(file) == (
        'event_types.b.data: "x" stands there twice',
        'event_types.b.data.y[0]: "z" stands there twice',
    )


def test_a_shape_is_no_deeper_than_data_may_be(file: Path) -> None:
    def nested(depth: int) -> object:
        shape: object = "string"
        for _ in range(depth - 1):
            shape = [shape]
        return {"x": shape}

    load_catalogue(write(file, {"t": {"level": "low", "data": nested(32)}}))
    assert (
        "is deeper than data may be (32)"
        in faults_of(write(file, {"t": {"level": "low", "data": nested(33)}}))[0]
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff", "is not UTF-8"),
        pytest.param(b"[" * 100_000, "is nested too deep", id="deep"),
        (b"[]", "the file: must be an object"),
        (b"{}", '"event_types" is missing'),
        (b'{"event_types":[]}', "event_types: must be an object"),
        (b'{"event_types":{},"types":{}}', 'the file: "types" is not known here; known are event_types'),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused(file: Path, content: bytes, fault: str) -> None:
    file.write_bytes(content)
    assert faults_of(file) == (fault,)


def test_a_file_that_is_not_there_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "none.json") == ("cannot be read: No such file or directory",)
    assert faults_of(tmp_path) == ("cannot be read: Is a directory",)


json_values: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["string", "low", "any"]),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(
            st.sampled_from(["event_types", "level", "data", "when", "a"]) | st.text(max_size=3), part
        )
    ),
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(json_values)
def test_any_content_makes_a_catalogue_or_faults(file: Path, content: object) -> None:
    file.write_text(json.dumps({"event_types": {"own": content}}))
    with suppress(CatalogueFileError):
        assert check_data(load_catalogue(file), "own", "{}") is None

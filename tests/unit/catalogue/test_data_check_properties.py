"""The check of `data` against an oracle that shares nothing with it but the shapes."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from harkara_catalogue import Catalogue, EventType, check_data
from harkara_catalogue.shapes import ANY, BOOLEAN, NUMBER, STRING, ArrayShape, fields
from tests.support.strict_json import may_be_data

SHAPE = fields(
    text=STRING,
    number=NUMBER,
    flag=BOOLEAN,
    anything=ANY,
    part=fields(text=STRING, number=NUMBER, parts=ArrayShape(fields(flag=BOOLEAN))),
    texts=ArrayShape(STRING),
    numbers=ArrayShape(NUMBER),
    rows=ArrayShape(ArrayShape(NUMBER)),
    things=ArrayShape(ANY),
)
CATALOGUE = Catalogue.of([EventType("sample", "low", "Tests", "A test runs", SHAPE)])
KNOWN_NAMES = ["text", "number", "flag", "anything", "part", "parts", "texts", "numbers", "rows", "things"]


# The machine may be busy: how long an example takes says nothing here.
more = settings(max_examples=150)


def passes(text: str) -> bool:
    return check_data(CATALOGUE, "sample", text) is None


def assert_right(text: str) -> None:
    assert passes(text) is may_be_data(SHAPE, text), text


# Texts, written piece by piece, so that every way of writing the same value occurs.

space = st.sampled_from(["", "", "", " ", "\n", "\t\r\n "])
hex_digit = st.sampled_from("0123456789abcdefABCDEF")


def escaped(character: str) -> str:
    """Write each UTF-16 unit of a character as an escape."""
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


valid_character = st.characters(codec="utf-8", exclude_characters='"\\\0', min_codepoint=0x20)
any_character = st.characters(codec="utf-8", exclude_characters="\0")
valid_piece = st.one_of(
    valid_character,
    any_character.map(escaped),
    st.sampled_from([r"\"", r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t", r"\\u0000", r"{[", "}]"]),
)
odd_piece = st.one_of(
    st.sampled_from(
        ["\0", "\n", "\x1f", r"\u0000", r"\ud800", r"\udfff", r"\ud83d\u0041", r"\x", r"\u12", "\\"]
    ),
    st.lists(hex_digit, min_size=4, max_size=4).map(lambda digits: "\\u" + "".join(digits)),
    st.characters(categories=["Cs"]),
)
valid_string = st.lists(valid_piece, max_size=6).map(lambda pieces: f'"{"".join(pieces)}"')
odd_string = st.lists(valid_piece | odd_piece, max_size=4).map(lambda pieces: f'"{"".join(pieces)}"')
number = st.one_of(
    st.integers().map(str),
    st.integers(min_value=2**62).map(lambda n: f"-{n}"),
    st.integers(min_value=1, max_value=6000).map(lambda length: "7" * length),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
    st.sampled_from(["-0", "-0.0", "1e400", "-1E+400", "1e-400", "0e0", "1.5e3", "18446744073709551616"]),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,5})?", fullmatch=True),
)
odd_number = st.sampled_from(
    ["01", "+1", "1.", ".5", "-", "1e", "1e+", "0x1", "NaN", "Infinity", "-Infinity", "1_0"]
)
word = st.sampled_from(["true", "false", "null"])
odd_word = st.sampled_from(["True", "nul", "nulll", "undefined", "''", ""])


@st.composite
def name_texts(draw: st.DrawFn, string: st.SearchStrategy[str]) -> str:
    name = draw(st.sampled_from(KNOWN_NAMES) | st.none())
    if name is None:
        return draw(string)
    return "".join(
        ['"', *(escaped(letter) if draw(st.integers(0, 9)) == 0 else letter for letter in name), '"']
    )


@st.composite
def joined(draw: st.DrawFn, opening: str, parts: st.SearchStrategy[list[str]], closing: str) -> str:
    inside = ",".join(f"{draw(space)}{part}{draw(space)}" for part in draw(parts))
    return f"{opening}{inside}{closing}"


def arrays(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return joined("[", st.lists(part, max_size=4), "]")


def objects(name: st.SearchStrategy[str], part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(name, space, part).map(lambda pair: f"{pair[0]}{pair[1]}:{pair[2]}")
    return joined("{", st.lists(pairs, max_size=4), "}")


def any_values(scalar: st.SearchStrategy[str], string: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(scalar, lambda part: arrays(part) | objects(name_texts(string), part), max_leaves=8)


valid_value = any_values(valid_string | number | word, valid_string)
odd_value = any_values(
    valid_string | number | word | odd_string | odd_number | odd_word, valid_string | odd_string
)
deep_value = st.tuples(st.integers(1, 40), st.booleans(), valid_value).map(
    lambda drawn: ("[" if drawn[1] else '{"x":') * drawn[0] + drawn[2] + ("]" if drawn[1] else "}") * drawn[0]
)


@st.composite
def well_shaped(draw: st.DrawFn) -> str:
    """Draw a text that must pass: every known field has its shape, or is null."""

    def field(name: str, value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.tuples(st.just(f'"{name}"'), space, value | st.just("null")).map(
            lambda pair: f"{pair[0]}{pair[1]}:{pair[2]}"
        )

    def of(*pairs: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        unknown = st.tuples(valid_string, valid_value).map(lambda pair: f'"_{pair[0][1:]}:{pair[1]}')
        return joined("{", st.lists(st.one_of(*pairs, unknown), max_size=5), "}")

    flag = field("flag", st.sampled_from(["true", "false"]))
    text, amount = field("text", valid_string), field("number", number)
    parts = field("parts", arrays(of(flag)))
    return draw(
        of(
            text,
            amount,
            flag,
            field("anything", valid_value),
            field("part", of(text, amount, parts)),
            field("texts", arrays(valid_string)),
            field("numbers", arrays(number)),
            field("rows", arrays(arrays(number))),
            field("things", arrays(valid_value)),
        )
    )


@st.composite
def mutated(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """Draw a text and then insert, delete, repeat or replace pieces of it."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 4)))
        piece = draw(
            st.sampled_from(
                ['"', "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", "u", "\n", "\0", " ", "t"]
            )
            | st.characters()
            | st.just(text[start:end] * 2)
            | st.just("")
        )
        text = text[:start] + piece + text[end:]
    return text


@given(well_shaped())
def test_a_text_of_the_right_shape_passes_however_it_is_written(text: str) -> None:
    assert may_be_data(SHAPE, text)
    assert passes(text)


@more
@given(objects(name_texts(odd_string), odd_value) | odd_value)
@example('{"text":"\\ud83d\\ude00"}')
@example('{"text":"\\ud83d","text":"\\ude00"}')
@example('{"number":1,"number":"1"}')
@example('{"number":"1","number":1}')
def test_any_text_is_judged_as_the_oracle_judges_it(text: str) -> None:
    assert_right(text)


@more
@given(mutated(well_shaped()))
def test_a_right_text_with_a_few_changes_is_judged_as_the_oracle_judges_it(text: str) -> None:
    assert_right(text)


@given(deep_value)
def test_depth_is_judged_as_the_oracle_judges_it(value: str) -> None:
    assert_right(f'{{"anything":{value}}}')


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_text_of_unicode_may_stand_in_a_string_unless_it_holds_nul(content: str) -> None:
    for name in ("text", "unknown"):
        assert passes(json.dumps({name: content}, ensure_ascii=False)) is ("\0" not in content)
        assert passes(json.dumps({name: content}, ensure_ascii=True)) is ("\0" not in content)


@given(st.text(max_size=30))
def test_any_text_at_all_gets_an_answer(text: str) -> None:
    assert_right(text)

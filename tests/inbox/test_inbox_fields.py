"""A call's arguments as fields: what is shown comes back as it was, and what is typed is checked."""

import hypothesis
import pytest
from hypothesis import strategies as st

from mainspring.core.canonical import Json
from mainspring.inbox.fields import edited, fields_of
from tests.inbox.asked import SCHEMA, asked

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KINDS: list[dict[str, Json]] = [
    {},
    {"type": "string"},
    {"type": "integer"},
    {"type": "number"},
    {"type": "boolean"},
    {"enum": ["a", "b"], "type": "string"},
    {"anyOf": [{"type": "string"}, {"type": "null"}]},
]


def request_of(value: Json, schema: dict[str, Json]):
    """A request with one argument."""
    return asked(args={"it": value}, input_schema={"type": "object", "properties": {"it": schema}})


@hypothesis.settings(max_examples=60)
@hypothesis.given(VALUES, st.sampled_from(KINDS))
@hypothesis.example("two\nlines", {"type": "string"})
@hypothesis.example("two\r\nlines", {"type": "string"})
def test_what_was_not_touched_is_no_change(value: Json, schema: dict[str, Json]):
    """A field that comes back as it was shown changes nothing, whatever browsers do to the ends of lines."""
    request = request_of(value, schema)
    typed = {field.key: field.value.replace("\r\n", "\n").replace("\n", "\r\n") for field in fields_of(request)}

    assert edited(request, typed) == ({}, {})


@hypothesis.given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Zl", "Zp", "Zs"))))
def test_a_text_is_taken_as_it_was_typed(text: str):
    """A field for a text takes every text."""
    request = request_of("before", {"type": "string"})

    assert edited(request, {"arg.it": text}) == (({} if text == "before" else {"it": text}), {})


@pytest.mark.parametrize(
    ("schema", "typed", "value"),
    [
        ({"type": "integer"}, " 42 ", 42),
        ({"type": "number"}, "4.5", 4.5),
        ({"type": "number"}, "4", 4),
        ({"type": "boolean"}, "true", True),
        ({"enum": ["a", "b"]}, "b", "b"),
        ({"type": "array"}, "[1, 2]", [1, 2]),
        ({}, '"text"', "text"),
    ],
)
def test_a_value_is_read_by_its_type(schema: dict[str, Json], typed: str, value: Json):
    """Numbers, choices and JSON are what they say."""
    args, wrong = edited(request_of(None, schema), {"arg.it": typed})

    assert (args, wrong) == ({"it": value}, {})
    assert type(args["it"]) is type(value)


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("order", "ten", "'ten' is no whole number, such as 4000."),
        ("order", "0", "order: 0 is less than the minimum of 1."),
        ("reason", "because", "'because' is not one of 'damaged', 'not_arrived', 'other'."),
        ("amount_cents", "40.5", "'40.5' is no whole number, such as 4000."),
        ("amount_cents", "9" * 400, "is no whole number"),
    ],
)
def test_what_does_not_fit_is_said_at_its_field(name: str, typed: str, said: str):
    """A wrong value is named, and so is what would be right."""
    wrong = edited(asked(input_schema=SCHEMA), {f"arg.{name}": typed}).wrong

    assert list(wrong) == [name]
    assert said in wrong[name]


def test_what_cannot_be_changed_has_no_field():
    """A call that a graph makes has no schema, so nothing of it is taken."""
    assert fields_of(asked()) == []
    assert edited(asked(), {"arg.order": "7"}) == ({}, {})

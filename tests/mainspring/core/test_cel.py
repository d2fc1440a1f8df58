"""CEL through our wrapper: mistakes are found at load, and nothing that is not true passes."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.canonical import Json
from mainspring.core.cel import CelError, Expression, fields_of, kind_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=8,
)


def compile_error(text: str, **variables: str) -> str:
    """What compiling `text` complains of."""
    with pytest.raises(CelError) as caught:
        Expression(text, variables, want=["bool"])
    return str(caught.value)


class TestCompiling:
    def test_unknown_names_are_found(self):
        """A name that is not declared is refused with its place."""
        assert compile_error("tol == 'x'", tool="string").startswith("1:1: undeclared reference to 'tol'")

    def test_a_typo_in_a_dotted_name_is_found(self):
        """A declared `args.amount` makes `args.amuont` an error at load."""
        with pytest.raises(CelError, match=r"undeclared reference to 'args\.amuont'"):
            Expression("args.amuont > 1", {"args.amount": "int"})

    def test_clashing_types_are_found(self):
        """Comparing an integer with a string is refused at load."""
        assert "no matching overload for '_>_'" in compile_error("n > 'x'", n="int")

    def test_bad_syntax_is_found(self):
        """The message names the place, and spares the reader the list of CEL's tokens."""
        message = compile_error("n > ", n="int")

        assert message.startswith("1:5: Syntax error")
        assert "expecting" not in message

    def test_a_result_of_the_wrong_kind_is_found(self):
        """A condition that cannot give true or false is refused at load."""
        assert compile_error("n + 1", n="int") == "gives INT, but must give bool"

    def test_has_of_a_declared_name_is_refused(self):
        """CEL would take `has(args.flag)` for the flag itself."""
        with pytest.raises(CelError, match=r"'args\.flag' is always there"):
            Expression("has( args.flag )", {"args.flag": "bool"})

    def test_has_of_a_field_is_allowed(self):
        """`has` keeps its meaning for a field of a value."""
        expression = Expression("has(args.address.city)", {"args.address": "map"})

        assert expression.holds({"args.address": {"city": "Ghent"}})
        assert not expression.holds({"args.address": {}})


class TestEvaluating:
    @pytest.mark.parametrize(("amount", "expected"), [(5001, True), (5000, False)])
    def test_a_condition_is_true_or_false(self, amount: int, expected: bool):
        """`holds` gives a plain boolean (a CEL value itself is always truthy)."""
        assert Expression("args.amount > 5000", {"args.amount": "int"}).holds({"args.amount": amount}) is expected

    @pytest.mark.parametrize("value", ["5001", None, 50.0, [], 2**70, 10**400])
    def test_a_value_of_the_wrong_type_is_an_error(self, value: Json):
        """What does not fit its declaration is never compared."""
        with pytest.raises(CelError):
            Expression("args.amount > 5000", {"args.amount": "int"}).holds({"args.amount": value})

    def test_a_missing_fact_is_an_error(self):
        """A declared name without a value is not taken for anything."""
        with pytest.raises(CelError, match=r"args\.amount"):
            Expression("args.amount > 5000", {"args.amount": "int"}).holds({})

    @pytest.mark.parametrize("text", ["m.b == 1", "1 / m.a == 1", "m.a.c == 1"])
    def test_a_failed_evaluation_is_an_error(self, text: str):
        """A missing key, a division by zero and a field of a number raise instead of passing."""
        with pytest.raises(CelError):
            Expression(text, {"m": "map"}).holds({"m": {"a": 0}})

    def test_only_a_boolean_holds(self):
        """A value of unknown type that turns out to be no boolean is an error, not true."""
        with pytest.raises(CelError, match="must give true or false"):
            Expression("m.a", {"m": "map"}, want=["bool"]).holds({"m": {"a": 1}})

    def test_an_endless_expression_gives_up(self):
        """CEL's step limit ends as an error like any other."""
        nested = Expression("l.exists(a, l.exists(b, a + b == -1))", {"l": "list"})

        with pytest.raises(CelError, match="budget"):
            nested.holds({"l": list(range(3000))})

    def test_text_is_not_cut_at_nul(self):
        """`a` followed by NUL and more is not `a`."""
        assert not Expression("to in ['a']", {"to": "string"}).holds({"to": "a\0@evil"})
        assert not Expression("'a' in m", {"m": "map"}).holds({"m": {"a\0": 1}})

    def test_half_a_surrogate_pair_is_read(self):
        """Text that is not valid Unicode can still be judged."""
        assert Expression("size(m.a) == 1", {"m": "map"}).holds({"m": {"a": "\ud800"}})

    @pytest.mark.parametrize("huge", [2**63, 2**70, 10**400])
    def test_a_huge_integer_in_a_value_is_compared(self, huge: int):
        """An integer CEL cannot hold counts as a number of that size."""
        expression = Expression("m.a > 5000", {"m": "map"})

        assert expression.holds({"m": {"a": huge}})
        assert not expression.holds({"m": {"a": -huge}})

    def test_facts_that_are_nested_too_deeply_are_an_error(self):
        """Nesting that would crash the native library is refused before it gets there."""
        deep: Json = 1
        for _ in range(20_000):
            deep = [deep]

        with pytest.raises(CelError):
            Expression("size(l) == 1", {"l": "list"}).holds({"l": deep})

    @given(JSON)
    def test_any_fact_gives_a_boolean_or_a_cel_error(self, value: Json):
        """No JSON value makes the library raise anything else."""
        with contextlib.suppress(CelError):
            assert Expression("m == 1 || m.a > 2", {"m": "any"}).holds({"m": value}) in (True, False)


class TestSchemas:
    def test_an_object_schema_gives_dotted_variables(self):
        """Each property becomes a variable of its own kind."""
        schema = {"properties": {"order": {"type": "integer"}, "note": {"anyOf": []}, "lines": {"type": "array"}}}

        assert fields_of(schema, "args") == {"args.order": "int", "args.note": "any", "args.lines": "list"}

    def test_a_choice_of_types_is_any(self):
        """A schema without one type leaves the check to run time."""
        assert kind_of({"type": ["integer", "null"]}) == "any"

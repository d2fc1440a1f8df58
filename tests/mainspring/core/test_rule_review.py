"""Rules that are of no use: about a tool that nobody has, or plainly without effect."""

import pytest

from mainspring.core.rule_review import check_reach, idle
from mainspring.core.spec import AgentSpec, RuleText, ToolSpec
from mainspring.errors import PolicyError


def agent(name: str, tools: str, *parts: RuleText, rules: str = "") -> AgentSpec:
    """An agent with tools of these names."""
    made = tuple(
        ToolSpec.model_validate({"name": each, "description": each, "effect": "read", "input_schema": {}})
        for each in tools.split()
    )
    return AgentSpec(
        name=name, instructions="Work.", models=(), tools=made, parts=parts, rules=rules, rules_source="own.yaml"
    )


def shared(*rules: str, role: str = "included", source: str = "s.yaml") -> RuleText:
    """A file that agents share."""
    return RuleText.model_validate({"source": source, "text": file(*rules), "role": role})


def file(*rules: str) -> str:
    """A rule file of these rules, a line each."""
    return "rules:\n" + "".join(f"  - {each}\n" for each in rules)


def rule(name: str, when: str = "'true'", verdict: str = "deny", tool: str = "pay", more: str = "") -> str:
    """A rule on one line."""
    named = f"tool: {tool}, " if tool else ""
    return f"{{id: {name}, point: tool_call, {named}when: {when}, verdict: {verdict}, reason: No.{more}}}"


def noted(*rules: str) -> list[str]:
    """The ids of the rules of a file that change nothing."""
    return [each.id for each, _ in idle([agent("a", "pay find", rules=file(*rules))])]


class TestReach:
    def test_one_agent_with_the_tool_is_enough(self) -> None:
        """A shared file may name what only some of its agents have."""
        check_reach([agent("a", "find", shared(rule("x"))), agent("b", "pay", shared(rule("x")))])

    def test_a_tool_of_an_agent_with_another_file_is_none(self) -> None:
        """Such a rule would never be asked."""
        with pytest.raises(PolicyError) as caught:
            check_reach([agent("a", "find", shared(rule("x"))), agent("b", "pay", rules=file(rule("y")))])

        assert str(caught.value) == "s.yaml:2:5: rule 'x': no agent with this file has a tool 'pay'. There is: 'find'."

    def test_all_are_told(self) -> None:
        """Of every file, each once."""
        one = shared(rule("x", tool="pya"), rule("y", tool="pya"))
        other = shared(rule("z", tool="fnid"), role="overlay", source="t.yaml")
        with pytest.raises(PolicyError) as caught:
            check_reach([agent("a", "find pay", one), agent("a", "find pay", one, other)])

        assert [line.partition(": no")[0] for line in str(caught.value).splitlines()] == [
            "s.yaml:2:5: rule 'x'",
            "s.yaml:3:5: rule 'y'",
            "t.yaml:2:5: rule 'z'",
        ]

    def test_routes(self) -> None:
        """A route to nowhere in a shared file is told too."""
        one = RuleText(
            source="who.yaml", text="approvals:\n  routes:\n    - {id: r, tool: pya}\n    - {id: s}\n", role="included"
        )
        with pytest.raises(PolicyError) as caught:
            check_reach([agent("a", "find pay", one)])

        assert str(caught.value) == (
            "who.yaml:3:7: route 'r': no agent with this file has a tool 'pya'. Did you mean 'pay'?"
        )


class TestIdle:
    def test_a_condition_that_is_false(self) -> None:
        """It never matches."""
        assert noted(rule("a", "'false'")) == ["a"]

    @pytest.mark.parametrize(
        ("first", "second", "said"),
        [
            (rule("a"), rule("b", "user == ''"), ["b"]),
            (rule("a"), rule("b", "user == ''", "ask"), ["b"]),
            (rule("a", "user == ''"), rule("b", "user == ''"), ["b"]),
            (rule("a", "user == ''", "ask"), rule("b", "user == ''"), ["a"]),
            (rule("a", verdict="ask"), rule("b", "user == ''"), []),
            (rule("a"), rule("b", verdict="allow"), []),
            (rule("a", more=", shadow: true"), rule("b"), []),
            (rule("a"), rule("b", more=", shadow: true"), []),
            (rule("a", tool=""), rule("b"), []),
            (rule("a"), rule("b", tool="find"), []),
            (rule("a", "user == ''"), rule("b", "user == 'x'"), []),
        ],
    )
    def test_one_that_another_covers(self, first: str, second: str, said: list[str]) -> None:
        """Only where the other matches whenever it does, for the same tool, and is as strict."""
        assert noted(first, second) == said

    def test_it_must_be_so_for_all(self) -> None:
        """What a tenant's rule covers still acts for everybody else."""
        own, overlay = file(rule("a", "user == ''")), shared(rule("t"), role="overlay")

        assert idle([agent("a", "pay", rules=own), agent("a", "pay", overlay, rules=own)]) == []
        assert [each.id for each, _ in idle([agent("a", "pay", overlay, rules=own)])] == ["a"]

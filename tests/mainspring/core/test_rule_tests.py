"""The tables of tests in rule files: each line is held to the facts there are, and says what is wrong with it."""

import pytest

from mainspring.core import base_rules
from mainspring.core.policy import Rule
from mainspring.core.rule_tests import Tried, half_tested, try_rules
from mainspring.core.spec import AgentSpec, RuleText, ToolSpec

PAY = ToolSpec.model_validate(
    {
        "name": "pay",
        "description": "Pay.",
        "effect": "once",
        "input_schema": {
            "type": "object",
            "properties": {"cents": {"type": "integer"}, "share": {"type": "number"}, "to": {"type": "string"}},
        },
    }
)


def agent(rules: str, *parts: RuleText, name: str = "clerk", tools: tuple[ToolSpec, ...] = (PAY,)) -> AgentSpec:
    """An agent over a rule file."""
    given = {"name": name, "instructions": "Work.", "models": (), "tools": tools, "base": base_rules.TEXT}
    return AgentSpec(**given, rules=rules, rules_source="r.yaml", parts=parts)


def file(when: str, tests: str, point: str = "tool_call") -> str:
    """A rule file with one rule and its table."""
    tool = "    tool: pay\n" if point.startswith("tool") else ""
    about = f"rules:\n  - id: a\n    point: {point}\n{tool}    when: {when}\n"
    return f"{about}    verdict: deny\n    reason: No.\n    tests: {tests}\n"


def problems(when: str, tests: str, point: str = "tool_call") -> list[str]:
    """What is wrong with the lines of a table."""
    tried, _ = try_rules([agent(file(when, tests, point))])
    return [each.problem for each in tried]


def test_every_line_is_tried_with_its_place() -> None:
    """A line is a place in the file, and a problem where the rule says something else."""
    matches = "\n      match:\n        - {args.cents: 5}\n        - {args.cents: 1}\n"
    tests = f"{matches}      miss: [{{args.cents: 2}}, {{args.cents: 9}}]"
    tried, untested = try_rules([agent(file("args.cents > 3", tests))])

    assert [(each.place, each.problem) for each in tried] == [
        ("r.yaml:10:11", ""),
        ("r.yaml:11:11", 'does not match {"args.cents":1}, but should'),
        ("r.yaml:12:14", ""),
        ("r.yaml:12:31", 'matches {"args.cents":9}, but should not'),
    ]
    assert untested == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{args.cent: 1}", "there is no fact 'args.cent' here. Did you mean 'args.cents'?"),
        ("{cents: 1}", "there is no fact 'cents' here. Did you mean 'args.cents'?"),
        ("{input.text: x}", "there is no fact 'input.text' here."),
        ("{args: {cent: 1}}", "there is no fact 'args.cent' here."),
        ("{args: 3}", "there is no fact 'args' here."),
        ('{args.cents: "5"}', """'args.cents' is a whole number, but "5" is a text. Leave out the quotes."""),
        ("{args.cents: 5.5}", "'args.cents' is a whole number, but 5.5 is a number."),
        ("{args.cents: true}", "'args.cents' is a whole number, but true is true or false."),
        ("{args.cents: null}", "'args.cents' is a whole number, but null is nothing."),
        ("{args.to: 7}", "'args.to' is a text, but 7 is a whole number. Put it in quotes."),
        ("{user: 7}", "'user' is a text, but 7 is a whole number. Put it in quotes."),
        ("{roles: boss}", """'roles' is a list, but "boss" is a text."""),
        ("{results: yes}", """'results' is a list, but "yes" is a text."""),
        ("{results: [7]}", "call 1 of 'results' must be a mapping"),
        ("{results: [{tool: pay}, {tol: pay}]}", "call 2 of 'results' has no field 'tol'. Did you mean 'tool'?"),
        ("{results: [{args: {}}]}", "call 1 of 'results' names no tool of this agent: ''."),
        ("{results: [{tool: pya}]}", "call 1 of 'results' names no tool of this agent: 'pya'. Did you mean 'pay'?"),
        (
            "{results: [{tool: pay, args: {cent: 1}}]}",
            "call 1 of 'results' has an argument 'cent', which 'pay' does not",
        ),
        ("{results: [{tool: pay, args: 1}]}", "call 1 of 'results' has 'args' that are no mapping."),
        ("{results: [{tool: pay, status: good}]}", "call 1 of 'results' has the status 'good'."),
    ],
)
def test_facts_that_there_are_not(given: str, said: str) -> None:
    """A line with a fact, type or call that no run can have is a mistake, and says what would be right."""
    (problem,) = problems("'true'", f"{{miss: [{given}]}}")

    assert problem.startswith(f"cannot be tried: {said}")


def test_a_fact_that_a_line_does_not_give() -> None:
    """An argument that the rule reads must be there; what is no argument is neutral."""
    assert problems("args.cents > 3 && user == ''", "{miss: [{}]}") == [
        "could not be evaluated with {}: the line does not give 'args.cents'"
    ]
    assert problems("user == '' && size(results) == 0", "{match: [{}]}") == [""]


def test_a_number_may_be_whole() -> None:
    """A whole number is a number too."""
    assert problems("args.share > 0.5", "{match: [{args.share: 1}, {args: {share: 0.75}}]}") == ["", ""]


def test_sums_count_earlier_calls() -> None:
    """The calls of a line are added up as those of a run; one that was denied is not counted."""
    call = "{{args.cents: 3, results: [{{tool: pay, args: {{cents: 3}}{}}}]}}"

    assert problems(
        "total.cents > 5", f"{{match: [{call.format('')}], miss: [{call.format(', status: denied')}]}}"
    ) == ["", ""]


def test_results_and_answers() -> None:
    """Facts of every point can be given."""
    assert problems("'''card'' in found'", "{match: [{found: [card]}], miss: [{}]}", "output") == ["", ""]
    assert problems("input.length > 3", "{match: [{input.length: 4}]}", "input") == [""]


def test_long_facts_are_cut_short() -> None:
    """A line of the report stays one that can be read."""
    (problem,) = problems("args.to == 'x'", f"{{match: [{{args.to: {'y' * 500}}}]}}")

    assert len(problem) < 150


def test_a_rule_that_several_agents_share() -> None:
    """It is tried once; for an agent without its tool it is not, and what fails for one is told."""
    text = file("model == 'x' || size(results) > 0", "{match: [{results: [{tool: other}]}]}", "input").replace(
        "input", "output"
    )
    shared = RuleText(source="s.yaml", text=text, role="included")
    other = PAY.model_copy(update={"name": "other"})
    tried, _ = try_rules([agent("rules: []", shared, tools=(other,)), agent("rules: []", shared, name="b")])

    assert [(each.place, "names no tool" in each.problem) for each in tried] == [("s.yaml:7:21", True)]
    assert [each.problem for each in _of(agent("rules: []", _included(PAY), tools=()))] == []


def _included(tool: ToolSpec) -> RuleText:
    return RuleText(source="s.yaml", text=file("args.cents > 1", "{match: [{args.cents: 2}]}"), role="included")


def _of(spec: AgentSpec) -> list[Tried]:
    return try_rules([spec])[0]


def test_rules_without_tests() -> None:
    """They are told once, however many agents have them; those of the engine and Python functions are not."""
    rules = (
        "rules:\n  - {id: a, point: input, when: 'true', verdict: deny, reason: No.}\n"
        "  - {id: b, point: input, check: odd, verdict: deny, reason: No.}\n"
    )
    _, untested = try_rules([agent(rules), agent(rules, name="b")])

    assert [rule.id for rule in untested] == ["a"]


def test_tables_with_one_side() -> None:
    """A table that only shows matches could as well be of a rule that always matches."""

    def rule(when: str, tests: str) -> Rule:
        return next(each.rule for each in _of(agent(file(when, tests))))

    one, other = (
        rule("args.cents > 1", "{match: [{args.cents: 2}]}"),
        rule("args.cents > 1", "{miss: [{args.cents: 1}]}"),
    )

    assert [side for _, side in half_tested([one, other])] == ["miss", "match"]
    assert list(half_tested([rule("'true'", "{match: [{}]}")])) == []

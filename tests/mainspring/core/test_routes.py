"""Routes together: of several files, over an agent's tools, and in its definition."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import StateGraph

from mainspring import Agent, Graph, tool
from mainspring.core.facts import Facts
from mainspring.core.flow import Flow
from mainspring.core.policy import Policy, joined
from mainspring.core.routes import Delegation, People, first_of
from mainspring.core.rule_file import parse
from mainspring.core.rules import Judge
from mainspring.core.spec import ToolSpec
from mainspring.errors import PolicyError


class State(TypedDict, total=False):
    """What the graphs of this file pass on."""

    input: str


REFUND = ToolSpec(
    name="issue_refund",
    description="Refunds.",
    effect="once",
    input_schema={"properties": {"order": {"type": "integer"}, "amount_cents": {"type": "integer"}}},
)


def routes(*lines: str) -> str:
    """A rule file of routes, a line each."""
    return "approvals:\n  routes:\n" + "".join(f"    - {{{line}}}\n" for line in lines)


class TestJoined:
    def test_own_routes_come_first(self) -> None:
        """The first route that holds counts, and the file nearest to the agent knows best."""
        deep, left, own = (parse(routes(f"id: {name}1", f"id: {name}2"), f"{name}.yaml") for name in "abc")

        assert [each.id for each in joined([deep, left, own]).routes] == ["c1", "c2", "b1", "b2", "a1", "a2"]

    def test_the_own_deadline_wins(self) -> None:
        """Each route keeps what its own file says."""
        shared, own = (
            parse(f"approvals: {{deadline: {each}, routes: [{{id: r{each}}}]}}\n", each) for each in ("1h", "2h")
        )

        policy = joined([shared, own])

        assert policy.deadline == 7_200
        assert [(each.id, each.deadline) for each in policy.routes] == [("r2h", 7_200), ("r1h", 3_600)]

    def test_people_are_those_of_all_files(self) -> None:
        """Two files may have one group, if it is of the same people."""
        shared = parse("approvals: {groups: {a: [x@x, y@x], b: z@x}}\n", "shared.yaml")
        own = parse(
            "approvals: {groups: {a: [y@x, x@x]}, delegations: [{from: x@x, to: y@x, until: 2026-01-01}]}\n", "own.yaml"
        )

        people = joined([shared, own]).people

        assert people.groups == {"a": ("x@x", "y@x"), "b": ("z@x",)}
        assert [each.giver for each in people.delegations] == ["x@x"]

    def test_one_group_of_other_people(self) -> None:
        """It is refused, with both places."""
        shared = parse("approvals:\n  groups:\n    a: x@x\n", "shared.yaml")
        own = parse("rules: []\napprovals:\n  groups:\n    a: [x@x, y@x]\n", "own.yaml")

        with pytest.raises(PolicyError) as caught:
            joined([shared, own])

        assert str(caught.value) == "own.yaml:4:5: group 'a' has other people in shared.yaml:3."

    def test_one_id_in_two_files(self) -> None:
        """It is refused, with both places."""
        with pytest.raises(PolicyError) as caught:
            joined([parse(routes("id: r"), "shared.yaml"), parse(routes("id: q", "id: r"), "own.yaml")])

        assert str(caught.value) == "shared.yaml:3:7: route 'r' has the id of a route in own.yaml:4."


def judge(*lines: str, tools: tuple[ToolSpec, ...] = (REFUND,)) -> Judge:
    """A judge over routes, a line each."""
    return Judge(parse(routes(*lines), "p.yaml"), tools, "desk")


def call(amount_cents: Any = 6000) -> Facts:
    """What is known of a call."""
    args = {"order": 7, "amount_cents": amount_cents}
    return Facts(agent="desk", tool="issue_refund", effect="once", args=args, flow=Flow())


def chosen(judged: Judge, facts: Facts, point: Any = "tool_call") -> str:
    """The id of the route that a request goes."""
    route = judged.route(point, facts)
    return route.id if route else ""


class TestJudge:
    @pytest.mark.parametrize(("amount", "route"), [(50_000, "rest"), (50_001, "large"), (100_001, "huge")])
    def test_the_first_that_holds(self, amount: int, route: str) -> None:
        """Their order in the file is their order."""
        judged = judge(
            "id: huge, when: args.amount_cents > 100000, tool: issue_refund",
            "id: large, when: args.amount_cents > 50000, tool: issue_refund",
            "id: rest",
        )

        assert chosen(judged, call(amount)) == route

    def test_none_holds(self) -> None:
        """Then everybody may decide."""
        judged = judge("id: a, when: user == 'x'", "id: b, point: output", "id: c, point: outcome")

        assert judged.route("tool_call", call()) is None

    def test_one_that_cannot_be_evaluated_holds(self) -> None:
        """What is not known lets nobody decide who may not."""
        judged = judge("id: a, tool: issue_refund, when: args.amount_cents > 100000", "id: b")

        assert chosen(judged, call("many")) == "a"

    def test_answers_have_their_own(self) -> None:
        """A route is for one point."""
        judged = judge("id: calls", "id: long, point: output, when: output.length > 5", "id: answers, point: output")
        said = [
            Facts(agent="desk", tool="", effect="read", args={}, flow=Flow(), text=text) for text in ("long one", "one")
        ]

        assert [chosen(judged, each, "output") for each in said] == ["long", "answers"]

    def test_what_is_read(self) -> None:
        """By routes alone: their facts are made where there is a request, not for every call."""
        judged = judge("id: a, when: time.hour > 17", "id: b, point: output, when: user == 'x'")

        assert (judged.route_reads("tool_call", "issue_refund"), judged.route_reads("output")) == (
            frozenset({"time.hour"}),
            frozenset({"user"}),
        )
        assert judged.reads("tool_call", "issue_refund") == frozenset()

    @pytest.mark.parametrize(
        ("when", "said"),
        [
            ("args.amount > 1", "6:17: route 'r': tool 'issue_refund' has no argument 'amount'. Did you mean 'amount_"),
            ("args.order > 1 && usr == 'x'", "6:31: route 'r': there is no name or function 'usr' here. Did you mean"),
            ("args.order", "6:13: route 'r': "),
            ("args.order >", "6:25: route 'r': "),
            ("args.order == 'x'", "6:24: route 'r': '==' does not go with int and string"),
            (
                "|\n        args.order > 1\n          && usr == 'x'",
                "8:14: route 'r': there is no name or function 'usr'",
            ),
        ],
    )
    def test_a_condition_that_is_wrong(self, when: str, said: str) -> None:
        """It has the line and the column where it is wrong."""
        text = f"# Who may.\napprovals:\n  routes:\n    - id: r\n      tool: issue_refund\n      when: {when}\n"
        with pytest.raises(PolicyError) as caught:
            Judge(parse(text, "p.yaml"), (REFUND,), "desk")

        assert str(caught.value).startswith(f"p.yaml:{said}")

    def test_a_tool_that_the_agent_lacks(self) -> None:
        """In its own file it is a mistake; a file that agents share may name it, and nothing goes there."""
        text = routes("id: r, tool: isue_refund")
        with pytest.raises(PolicyError) as caught:
            Judge(parse(text, "p.yaml"), (REFUND,), "desk")
        assert str(caught.value) == (
            "p.yaml:3:7: route 'r': agent 'desk' has no tool 'isue_refund'. Did you mean 'issue_refund'?"
        )

        shared = joined([parse(text, "shared.yaml", "included"), Policy(source="p.yaml")])
        assert Judge(shared, (REFUND,), "desk").route("tool_call", call()) is None


class TestNotJudged:
    def test_the_first_for_an_outcome(self) -> None:
        """Where nothing is judged, tool and point choose."""
        found = parse(routes("id: a", "id: b, point: outcome, tool: x", "id: c, point: outcome"), "p.yaml").routes

        assert [
            route.id if route else "" for route in (first_of(found, "outcome", "x"), first_of(found, "outcome"))
        ] == [
            "b",
            "c",
        ]
        assert first_of(found, "output") is None


@tool(effect="once", returns="trusted")
def pay(cents: int) -> str:
    """Pay."""
    return f"paid {cents}"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a rule file; gives its path."""

    def write(text: str) -> Path:
        path = tmp_path / "own.yaml"
        path.write_text(text)
        return path

    return write


async def work(state: dict[str, Any]) -> dict[str, Any]:
    """Do nothing."""
    return state


class TestDefinitions:
    def test_a_playbook_that_is_not_there(self, written: Callable[[str], Path]) -> None:
        """What goes on by a playbook needs one."""
        with pytest.raises(PolicyError, match=r":3:7: route 'r': 'clerk' has no playbook that could go on\."):
            Agent("clerk", instructions="Work.", tools=[pay], rules=written(routes("id: r, then: playbook")))

    def test_a_condition_on_what_a_graphs_node_gives(self, written: Callable[[str], Path]) -> None:
        """It would never be asked, so it is refused."""
        nodes = StateGraph(State)
        nodes.add_node("work", work)
        nodes.set_entry_point("work")
        with pytest.raises(PolicyError, match=r":3:7: route 'r': 'flow' is a graph: what its nodes give is not judged"):
            Graph("flow", nodes, rules=written(routes("id: r, point: output, when: user == 'x'")))

    def test_routes_of_included_files(self, written: Callable[[str], Path], tmp_path: Path) -> None:
        """An agent has its own routes, then those of files it includes, and the people of all."""
        (tmp_path / "who.yaml").write_text(routes("id: shared") + "  groups: {finance: ada@example.com}\n")

        agent = Agent(
            "clerk",
            instructions="Work.",
            tools=[pay],
            rules=written(f"include: {tmp_path}/who.yaml\n{routes('id: own')}"),
        )

        assert [each.id for each in agent.spec("m").routes] == ["own", "shared"]
        assert agent.people.groups_of("ada@example.com") == ("finance",)


class TestPeople:
    def test_until_and_with_the_day(self) -> None:
        """A delegation holds on its last day, and not on the next."""
        given = Delegation(giver="ada@example.com", taker="cy@example.com", until="2026-12-31")
        people = People(delegations=(given,))

        days = ("2026-01-01", "2026-12-31", "2027-01-01")
        assert [people.decides_for("cy@example.com", day) for day in days] == [("ada@example.com",)] * 2 + [()]
        assert people.decides_for("bo@example.com", "2026-01-01") == ()

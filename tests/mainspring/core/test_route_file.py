"""The section `approvals` of a rule file: what is right is read, and every mistake has its place and its sentence."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import StateGraph

from mainspring import Agent, Graph, tool
from mainspring.core.facts import Facts
from mainspring.core.flow import Flow
from mainspring.core.policy import Policy, joined
from mainspring.core.route_file import first_of
from mainspring.core.routes import Delegation, Hours, People, Route
from mainspring.core.rule_file import parse
from mainspring.core.rules import Judge
from mainspring.core.spec import ToolSpec
from mainspring.errors import PolicyError

RIGHT = """\
approvals:
  deadline: 12h
  deny_reasons: [not enough evidence]
  groups:
    finance: [ada@example.com, bo@example.com]
    risk: cy@example.com
  delegations:
    - {from: ada@example.com, to: cy@example.com, until: 2026-12-31}
  routes:
    - id: large-refunds
      tool: issue_refund
      when: args.amount_cents > 100000
      need: [finance, risk]
      verified: true
      hours: mon-fri 09:00-17:00 Europe/Berlin
      remind: 1h
      escalate: {after: 4h, to: [managers, eve@example.com]}
      deadline: 3d
      then: {hand over: board}
      notify: [finance-mail]
    - id: answers
      point: output
      who: finance
      need: 2
      own: true
      remind: 30m
      then: playbook
    - id: everything-else
"""
REFUND = ToolSpec(
    name="issue_refund",
    description="Refunds.",
    effect="once",
    input_schema={"properties": {"order": {"type": "integer"}, "amount_cents": {"type": "integer"}}},
)


def routes(*lines: str) -> str:
    """A rule file of routes, a line each."""
    return "approvals:\n  routes:\n" + "".join(f"    - {{{line}}}\n" for line in lines)


def one(line: str) -> Route:
    """The route that a line says."""
    [route] = parse(routes(f"id: r, {line}"), "p.yaml").routes
    return route


def refusal(text: str) -> str:
    """What a file is refused with."""
    with pytest.raises(PolicyError) as caught:
        parse(text, "p.yaml")
    return str(caught.value)


def changed(old: str, new: str) -> str:
    """The right file with one thing changed."""
    assert RIGHT.count(old) == 1
    return RIGHT.replace(old, new)


class TestRight:
    def test_a_full_file(self) -> None:
        """Everything is read into what it says, with the places of what is checked later."""
        policy = parse(RIGHT, "p.yaml")

        assert (policy.deadline, policy.deny_reasons) == (43_200, ("not enough evidence",))
        assert policy.people == People(
            groups={"finance": ("ada@example.com", "bo@example.com"), "risk": ("cy@example.com",)},
            delegations=(Delegation(giver="ada@example.com", taker="cy@example.com", until="2026-12-31"),),
            at={"finance": (5, 5), "risk": (6, 11)},
        )
        assert policy.routes == (
            Route(
                id="large-refunds",
                tool="issue_refund",
                when="args.amount_cents > 100000",
                each=("finance", "risk"),
                verified=True,
                hours=Hours(days=(1, 2, 3, 4, 5), start=540, end=1020, zone="Europe/Berlin"),
                remind=3_600,
                escalate=14_400,
                to=("managers", "eve@example.com"),
                deadline=259_200,
                then="hand over",
                hand_to=("board",),
                notify=("finance-mail",),
                source="p.yaml",
                at=(10, 7),
                when_at=(12, 13),
                is_literal=True,
            ),
            Route(
                id="answers",
                point="output",
                who=("finance",),
                need=2,
                own=True,
                remind=1_800,
                deadline=43_200,
                then="playbook",
                source="p.yaml",
                at=(21, 7),
                when_at=(21, 7),
            ),
            Route(id="everything-else", deadline=43_200, source="p.yaml", at=(28, 7), when_at=(28, 7)),
        )

    def test_what_a_route_asks(self) -> None:
        """How many must agree, and whether it has to be known who somebody is."""
        said = [(each.votes, each.asks_who) for each in parse(RIGHT, "p.yaml").routes]

        assert said == [(2, True), (2, True), (1, False)]
        assert [one(line).asks_who for line in ("who: a", "need: 2", "need: [a]", "verified: true", "own: true")] == [
            *[True] * 4,
            False,
        ]

    @pytest.mark.parametrize("text", ["rules: []\n", "approvals: {routes: []}\n", "approvals: {groups: {}}\n"])
    def test_nothing_of_it(self, text: str) -> None:
        """A file may say nothing of routes, and then there are none."""
        policy = parse(text, "p.yaml")

        assert (policy.routes, policy.people, policy.deadline) == ((), People(), None)

    def test_without_any_deadline(self) -> None:
        """A route has a day, as every request does."""
        assert one("remind: 23h").deadline == 86_400

    def test_names_once(self) -> None:
        """Whoever is named twice is one."""
        assert one("who: [a, b, a]").who == ("a", "b")


class TestWrong:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("  deadline: 12h", "  deadlin: 12h", "2:12: 'approvals' has no key 'deadlin'. Did you mean 'deadline'?"),
            ("12h", "noon", "2:13: deadline is 'noon', but must be a number and a unit, such as '30m', '2h' or '3d'."),
            ("[not enough evidence]", f"[{'x' * 61}]", "3:18: a reason to deny becomes a button: one line of at most"),
            ("    finance:", "    fin@nce:", "5:5: group 'fin@nce': a name with an '@' is a person's. Groups are lis"),
            ("    finance:", "    '':", "5:5: a group lacks its name."),
            ("risk: cy@example.com", "risk: finance", "6:11: group 'risk': 'finance' is a group itself. Name its peo"),
            ("risk: cy@example.com", "risk: []", "6:5: group 'risk' names nobody."),
            ("risk: cy@example.com", "risk:", "6:10: a name in group 'risk' must be a text."),
            ("risk: cy@example.com", "risk: [[a]]", "6:12: a name in group 'risk' must be a text."),
            ("risk: cy@example.com", "risk: {a: b}", "6:5: group 'risk' must be a list of names, such as [finance, "),
            (", until: 2026-12-31", "", "8:7: a delegation needs 'from', 'to' and 'until', the last day on which it"),
            ("{from: ada", "{why: ill, from: ada", "8:13: a delegation has no key 'why'. There is: 'from', "),
            ("2026-12-31", "31.12.2026", "8:58: until is '31.12.2026', but must be a day such as 2026-12-31."),
            ("2026-12-31", "2026-02-30", "8:58: until is '2026-02-30', but must be a day such as 2026-12-31."),
            ("2026-12-31", "20261231", "8:58: until is '20261231', but must be a day such as 2026-12-31."),
            ("2026-12-31", "٢٠٢٦-12-31", "8:58: until is '٢٠٢٦-12-31', but must be a day such as 2026-12-31."),
            ("to: cy@example.com", "to: ada@example.com", "8:35: 'ada@example.com' cannot stand in for themselves; "),
            ("to: cy@example.com", "to: risk", "8:35: 'risk' is a group, but one person decides for another."),
            ("from: ada@example.com", "from: risk", "8:14: 'risk' is a group, but one person decides for another."),
            ("id: large-refunds", "id: Large!", "10:11: route 'Large!': an id is made of a-z, 0-9, '-', '_' and '.',"),
            ("id: large-refunds", "own: true", "10:7: a route lacks 'id'."),
            ("id: everything-else", "id: answers", "28:7: route 'answers' has the id of the route in line 21."),
            ("      when:", "      wen:", "12:12: route 'large-refunds' has no key 'wen'. Did you mean 'when'?"),
            ("args.amount_cents > 100000", "''", "12:14: 'when' of route 'large-refunds' must be a text."),
            ("[finance, risk]", "both", "13:13: route 'large-refunds': need must be a number of people from 1 to 99, "),
            ("need: 2", "need: 0", "24:13: route 'answers': need must be a number of people from 1 to 99, or a list"),
            ("[finance, risk]", "[]", "13:7: 'need' of route 'large-refunds' names nobody."),
            ("[finance, risk]", "[risk, risk]", "13:7: route 'large-refunds': 'need' names 'risk' 2 times. Write who:"),
            ("verified: true", "verified: yes", "14:17: route 'large-refunds': verified is 'yes', but must be 'true' "),
            ("mon-fri 09", "mon-fry 09", "15:14: route 'large-refunds': hours are 'mon-fry 09:00-17:00 Europe/Berlin"),
            ("Europe/Berlin", "Berlin", "but there is no time zone 'Berlin'; it is a name such as 'Europe/Berlin'."),
            ("17:00 Europe", "08:00 Europe", "but the hours must end after they start, on the same day."),
            ("remind: 1h", "remind: 3d", "16:15: route 'large-refunds': 'remind' is not before the deadline, so it"),
            ("remind: 1h", "remind: 4h", "16:15: route 'large-refunds': 'remind' is not before 'escalate', so it wo"),
            ("remind: 1h", "remind: soon", "16:15: route 'large-refunds': remind is 'soon', but must be a number an"),
            ("after: 4h", "after: 4d", "17:7: route 'large-refunds': 'escalate' is not before the deadline, so it "),
            ("after: 4h", "after: 4", "17:25: route 'large-refunds': escalate after is '4', but must be a number an"),
            ("after: 4h, ", "", "17:7: route 'large-refunds': 'escalate' needs 'after' and 'to'."),
            ("{after: 4h, to: [managers, eve@example.com]}", "4h", "17:17: 'escalate' of route 'large-refunds' must "),
            ("deadline: 3d", "deadline: 3 days", "18:17: route 'large-refunds': deadline is '3 days', but must be a"),
            ("{hand over: board}", "hand over", "19:13: route 'large-refunds': to whom? Write then: {hand over: [man"),
            ("{hand over: board}", "{}", "19:7: route 'large-refunds': 'then' is empty. Write then: {hand over: [ma"),
            ("hand over: board", "hand_over: b", "19:25: 'then' of route 'large-refunds' has no key 'hand_over'. Did"),
            ("{hand over: board}", "denied", "19:13: route 'large-refunds': then is 'denied', but must be 'deny', 'a"),
            ("{hand over: board}", "approve", "19:13: route 'large-refunds': it needs somebody whose identity is ver"),
            ("then: playbook", "then: approve", "27:13: route 'answers': it needs 2 people, and at the deadline no"),
            ("point: output", "point: input", "22:14: route 'answers': point is 'input', but must be 'tool_call', '"),
            ("      own: true", "      tool: x", "25:13: route 'answers': an answer has no tool. Drop 'tool', or use"),
            (
                "    - id: everything-else",
                "    - everything",
                "28:7: a route must hold 'id', 'point', 'tool', 'when', ",
            ),
        ],
    )
    def test_a_mistake(self, old: str, new: str, said: str) -> None:
        """It is one sentence, with file, line, column and what is right."""
        found = refusal(changed(old, new))

        assert found.startswith("p.yaml:")
        assert said in found
        assert "\n" not in found

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("who: [a], need: [b]", "3:15: route 'r': 'need' names who may decide already: one of each. Drop 'who'."),
            ("escalate: {after: 1h, to: [a]}", "3:15: route 'r': everybody may decide already. Say in 'who' or 'nee"),
            ("point: outcome, when: 'true'", "3:38: route 'r': at 'outcome' there is no 'when': nothing is judged th"),
            (
                "point: outcome, hours: 'mon 09:00-17:00 UTC'",
                "3:39: route 'r': at 'outcome' there is no 'hours': nothing is judged there.",
            ),
            ("point: outcome, then: approve", "3:37: route 'r': what happened is not known by the deadline, so it "),
            ("point: outcome, then: playbook", "so it cannot be 'playbook'."),
            ("who: [a@x, b@x], need: 3", "3:15: route 'r': 3 people must agree, but 'who' names 2."),
            ("need: 2, then: {hand over: a@x}", "3:24: route 'r': 2 people must agree, but 'then' names 1."),
        ],
    )
    def test_what_does_not_go_together(self, line: str, said: str) -> None:
        """Each part is right, and both together could not be followed."""
        found = refusal(routes(f"id: r, {line}"))

        assert found.startswith("p.yaml:3:")
        assert said in found
        assert "\n" not in found

    @pytest.mark.parametrize(
        "line",
        [
            "who: [a@x, b@x], need: 2",
            "who: [a@x, group], need: 3",
            "who: [a@x], need: 2, escalate: {after: 1h, to: [b@x]}",
            "need: [a], then: approve",
            "point: outcome, tool: t, need: 2, then: {hand over: [a]}",
            "point: outcome, then: deny",
        ],
    )
    def test_what_does(self, line: str) -> None:
        """What may be met is taken."""
        assert one(line).id == "r"

    def test_a_deadline_that_is_wrong_is_one_mistake(self) -> None:
        """What would have to come before it is not said to be late as well."""
        found = refusal(routes("id: r, deadline: x, remind: 1h"))

        assert found == (
            "p.yaml:3:25: route 'r': deadline is 'x', but must be a number and a unit, such as '30m', '2h' or '3d'."
        )

    def test_all_mistakes_at_once(self) -> None:
        """Everything that is wrong is said together, by line."""
        text = changed("need: 2", "need: x").replace("remind: 1h", "remind: x").replace("    risk:", "    r@sk:")

        assert [line.split(":")[1] for line in refusal(text).splitlines()] == ["6", "16", "24"]

    @pytest.mark.parametrize(
        ("section", "said"),
        [
            ("groups: [finance]", "2:3: 'groups' must hold a list of people for each group: its name, a colon and"),
            ("delegations: {a: b}", "2:3: 'delegations' must be a list, each item with a dash."),
            ("delegations: [a]", "2:17: a delegation must hold 'from', 'to' and 'until', each with a colon and its"),
            ("routes: {id: a}", "2:3: 'routes' must be a list, each item with a dash."),
        ],
    )
    def test_sections_of_another_shape(self, section: str, said: str) -> None:
        """They are refused by what they must hold."""
        assert refusal(f"approvals:\n  {section}\n").startswith(f"p.yaml:{said}")

    def test_a_tenants_file_has_none(self) -> None:
        """Who may approve is not for a tenant to say."""
        with pytest.raises(PolicyError, match="a tenant's rule file has no key 'approvals'"):
            parse(RIGHT, "p.yaml", "overlay")


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
        """The facts that routes read are made, as are those of rules."""
        judged = judge("id: a, when: time.hour > 17", "id: b, point: output, when: user == 'x'")

        assert (judged.reads("tool_call", "issue_refund"), judged.reads("output")) == (
            frozenset({"time.hour"}),
            frozenset({"user"}),
        )

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
        nodes = StateGraph(dict)
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
        people = parse(RIGHT, "p.yaml").people

        days = ("2026-01-01", "2026-12-31", "2027-01-01")
        assert [people.decides_for("cy@example.com", day) for day in days] == [("ada@example.com",)] * 2 + [()]
        assert people.decides_for("bo@example.com", "2026-01-01") == ()


VALUES = st.recursive(
    st.text() | st.sampled_from(["1h", "true", "2", "finance", "a@x", "approve", "outcome", "hand over", "2026-01-01"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["after", "to", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)
ROUTE = st.dictionaries(
    st.sampled_from(
        [
            "id",
            "point",
            "tool",
            "when",
            "who",
            "need",
            "verified",
            "own",
            "hours",
            "remind",
            "escalate",
            "deadline",
            "then",
        ]
    ),
    VALUES,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={"groups": VALUES, "delegations": st.lists(VALUES, max_size=2), "routes": st.lists(ROUTE, max_size=2)},
    )
)
def test_whatever_stands_there(section: dict[str, Any]) -> None:
    """It is read or refused in words, with its file."""
    with contextlib.suppress(PolicyError):
        for route in parse(yaml.safe_dump({"approvals": section}), "p.yaml").routes:
            assert route.id
            assert route.deadline > 0

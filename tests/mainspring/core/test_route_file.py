"""The section `approvals` of a rule file: what is right is read, and every mistake has its place and its sentence."""

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.routes import Delegation, Hours, People, Route
from mainspring.core.rule_file import parse
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
                need=2,
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
            ("    finance:", "    'fin\"':", "5:5: the name 'fin\"' must be on one line, without double quotes and"),
            ("risk: cy@example.com", "risk: 'a\\b'", "6:12: the name 'a\\\\b' must be on one line, without double"),
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

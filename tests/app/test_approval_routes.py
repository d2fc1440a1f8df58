"""Who approves refunds: anybody up to EUR 500, and above that two people, one of finance and one of risk."""

import pytest

from agents.refund_desk import refund_agent
from mainspring.core.facts import Facts
from mainspring.core.flow import Flow
from mainspring.core.messages import Done
from mainspring.core.rule_file import assemble
from mainspring.core.rules import Judge

SPEC = refund_agent.spec("playbook")
JUDGE = Judge(assemble(SPEC.rule_texts), SPEC.tools, SPEC.name)


def refund(amount_cents: int, *earlier: int) -> Facts:
    """A refund, after earlier ones of the same ticket."""
    done = [
        Done(tool="issue_refund", args={"order": 7, "amount_cents": each}, value=None, status="ok") for each in earlier
    ]
    args = {"order": 7, "amount_cents": amount_cents, "reason": "damaged"}
    return Facts(agent=SPEC.name, tool="issue_refund", effect="once", args=args, results=tuple(done), flow=Flow())


@pytest.mark.parametrize("facts", [refund(5_001), refund(50_000), refund(10_000, 40_000)])
def test_anybody_may_approve(facts: Facts) -> None:
    """Up to EUR 500 a click is enough, as in the demo and in the tutorial."""
    assert JUDGE.route("tool_call", facts) is None


@pytest.mark.parametrize("facts", [refund(50_001), refund(100_000), refund(10_000, 40_001), refund(100_001)])
def test_large_refunds_need_two(facts: Facts) -> None:
    """One of each group, or a head once it is escalated; within two working days, and then it is denied."""
    route = JUDGE.route("tool_call", facts)

    assert route
    assert (route.id, route.each, route.to, route.then) == ("over-eur-500", ("finance", "risk"), ("heads",), "deny")
    assert (route.remind, route.escalate, route.deadline) == (7_200, 14_400, 57_600)


def test_nothing_else_has_a_route() -> None:
    """Neither an answer, nor a call of another tool, nor a refund whose outcome nobody knows."""
    assert [(each.point, each.tool) for each in SPEC.routes] == [("tool_call", "issue_refund")]


def test_the_people_are_made_up() -> None:
    """And every group that a route names has some."""
    groups = refund_agent.people.groups

    assert all(person.endswith("@example.com") for people in groups.values() for person in people)
    assert {name for route in SPEC.routes for name in (*route.each, *route.to)} == {
        name for name in groups if groups[name]
    }

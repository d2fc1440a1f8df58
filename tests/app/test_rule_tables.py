"""The desks' rules do what the tables in their files say."""

from agents.incident_desk import incident_desk
from agents.parcel_desk import parcel_desk
from agents.refund_desk import refund_agent
from agents.triage import triage
from mainspring.core.rule_tests import half_tested, try_rules
from workflows.refund_desk import refund_desk


def test_every_rule_has_tests_and_passes_them() -> None:
    """Each shows what it matches and what it does not, as `mainspring guards test` has it."""
    agents = (triage, refund_agent, parcel_desk, incident_desk)
    tried, untested = try_rules([*(each.spec("") for each in agents), refund_desk.spec()])

    assert [f"{each.place}: {each.rule.id} {each.problem}" for each in tried if each.problem] == []
    assert untested == []
    assert list(half_tested(each.rule for each in tried)) == []
    assert tried

"""Limits: who they hold for, what is counted together, and the words for somebody who has to wait."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.limits import Claim, Exceeded, Limit, LimitFacts, claims, exceeded, spoken

ANA = LimitFacts(agent="refund-agent", user="ana@example.com", tenant="shop", tool="issue_refund", model="playbook")
SIZES = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}


def limit(**fields: object) -> Limit:
    """Five refunds a day, with these fields changed."""
    usual = {"id": "refunds", "point": "tool_call", "at_most": 5, "every": 86_400, "reason": "Five a day.", "line": 1}
    return Limit.model_validate(usual | fields)


def key(of: Limit, facts: LimitFacts = ANA) -> str:
    """The key that is counted under."""
    [claim] = claims([of], of.point, facts)
    return claim.allowance.key


def ids(made: tuple[Claim, ...]) -> list[str]:
    """Which limits hold."""
    return [claim.limit.id for claim in made]


class TestHolds:
    def test_at_its_point_alone(self):
        """A limit holds at its own point."""
        assert ids(claims([limit(id="a"), limit(id="b", point="input")], "input", ANA)) == ["b"]

    def test_for_its_tool_alone(self):
        """A limit with a tool holds for that tool, one without it for every tool."""
        limits = [limit(id="a", tool="issue_refund"), limit(id="b", tool="find_order"), limit(id="c")]
        assert ids(claims(limits, "tool_call", ANA)) == ["a", "c"]

    @pytest.mark.parametrize("name", ["user", "tenant"])
    def test_not_where_it_cannot_tell(self, name):
        """A limit per user does not hold for a run without a user; likewise for a tenant."""
        limits = [limit(id="a", per=("agent", name)), limit(id="b")]
        assert ids(claims(limits, "tool_call", ANA.model_copy(update={name: ""}))) == ["b"]

    def test_same_limit_of_two_agents(self):
        """A limit that two files hold alike is claimed once."""
        assert len(claims([limit(), limit(line=7)], "tool_call", ANA)) == 1

    def test_says_how_much(self):
        """A claim has the numbers of its limit."""
        [claim] = claims([limit(at_most=3, every=60)], "tool_call", ANA)
        assert (claim.allowance.at_most, claim.allowance.every) == (3, 60)


class TestCountedTogether:
    @pytest.mark.parametrize("name", ["agent", "user", "tenant", "tool", "model"])
    def test_apart_by_what_it_names(self, name):
        """What is named in `per` is counted apart, all else together."""
        other = ANA.model_copy(update={name: "another"})
        assert key(limit(per=(name,))) != key(limit(per=(name,)), other)
        assert key(limit()) == key(limit(), other)

    def test_names_that_look_alike(self):
        """Values that could be glued to the same text are apart."""
        one, other = LimitFacts(user="a", tenant="bc"), LimitFacts(user="ab", tenant="c")
        assert key(limit(per=("user", "tenant")), one) != key(limit(per=("user", "tenant")), other)

    def test_larger_goes_on(self):
        """With another `at_most` or reason the count goes on; with another window or tool it begins anew."""
        assert key(limit()) == key(limit(at_most=9, reason="Nine a day."))
        assert len({key(each) for each in (limit(), limit(every=60), limit(tool="issue_refund"), limit(id="b"))}) == 4

    @given(st.text(st.characters(categories=("L", "N")), min_size=4))
    def test_no_names(self, name):
        """Neither user nor tenant stands in a key."""
        facts = LimitFacts(user=f"{name}@example.com", tenant=f"x{name}")
        found = key(limit(per=("user", "tenant")), facts)
        assert re.fullmatch(r"refunds/[0-9a-f]{32}", found)


class TestExceeded:
    def test_longest_wait_speaks(self):
        """Of several that are full the one with the longest wait gives reason and time."""
        made = claims([limit(id="a", reason="A."), limit(id="b", reason="B"), limit(id="c")], "tool_call", ANA)
        first, second, _ = (claim.allowance.key for claim in made)
        assert exceeded(made, {first: 60.0, second: 10_000.2}) == Exceeded(
            limit="b", seconds=10_000.2, reason="B. Try again in 3 hours."
        )

    def test_nothing_to_say(self):
        """Where nothing has to wait there is nothing to say."""
        assert exceeded(claims([limit()], "tool_call", ANA), {}) is None


class TestSpoken:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.01, "1 second"),
            (1.2, "2 seconds"),
            (59.1, "1 minute"),
            (61, "61 seconds"),
            (121, "3 minutes"),
            (3600, "1 hour"),
            (5400, "90 minutes"),
            (7170, "2 hours"),
            (10_000, "3 hours"),
            (86_400, "1 day"),
            (90_000, "25 hours"),
            (200_000, "3 days"),
        ],
    )
    def test_examples(self, seconds, words):
        """Times are said in the unit that people would use, rounded up."""
        assert spoken(seconds) == words

    @given(st.floats(0.001, 1e8))
    def test_never_too_early(self, seconds):
        """Whoever comes back after the time that was said is not too early, nor much too late."""
        amount, unit = spoken(seconds).split(" ")
        said = int(amount) * SIZES[unit.removesuffix("s")]
        assert seconds <= said <= math.ceil(seconds) * 1.6
        assert unit.endswith("s") == (int(amount) != 1)

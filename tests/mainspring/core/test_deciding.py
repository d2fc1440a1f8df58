"""What becomes of a request: every path of its moments, and who counts when people decide."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations, product
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.approvals import Choice, Identity, Kind, Request, Stage, Vote
from mainspring.core.deciding import (
    AGREEING,
    counted,
    deciders,
    is_enough,
    missing,
    next_moment,
    passed,
    routed,
    why_not,
)
from mainspring.core.hours import read_hours
from mainspring.core.routes import Route, Then

NOW, HOUR = 1_000_000.0, 3_600.0
ADA, BO, CY, DAN = (f"{name}@example.com" for name in ("ada", "bo", "cy", "dan"))


def asked(kind: Kind = "approval", **route: Any) -> Request:
    """A request that goes a route which says this; an hour is its deadline."""
    made = Route.model_validate({"id": "r", "deadline": HOUR, **route})
    moments = routed(made, NOW)
    return bare(kind).model_copy(
        update={
            "route": made,
            "remind": moments.remind,
            "escalate": moments.escalate,
            "deadline": moments.deadline,
            "handed_for": moments.handed_for,
        }
    )


def bare(kind: Kind = "approval") -> Request:
    """A request without a route."""
    return Request(
        id="1",
        kind=kind,
        step="1.1",
        agent="desk",
        tool="pay",
        args={},
        args_digest="",
        rule="",
        reason="",
        asked=NOW,
        deadline=NOW + HOUR,
    )


def person(name: str, *groups: str, decides_for: Sequence[str] = (), token: str = "") -> Identity:
    """Somebody of these groups, whose client says who they are; with a token, it is verified."""
    return Identity(
        person=name,
        how="verified" if token else "claimed",
        by="https://login.example.com" if token else "temporal-cli",
        names=(name, *decides_for, *groups),
        stands_for=tuple(decides_for),
        token=token,
    )


def said(request: Request, *votes: Identity, choice: Choice = "approve") -> Request:
    """The request after people, who may, have said something."""
    for each in votes:
        assert why_not(request, each, "") == ""
        request = counted(request, Vote(identity=each, choice=choice))
    return request


def at_stage(request: Request, stage: Stage) -> Request:
    """The request, waited for until it has come to a stage."""
    while request.stage != stage:
        after = passed(request, next_moment(request).moment)
        assert isinstance(after, Request)
        request = after
    return request


ENDS: dict[tuple[Kind, Then], Choice] = {
    ("approval", "deny"): "expired",
    ("approval", "approve"): "approve",
    ("approval", "playbook"): "playbook",
    ("approval", "hand over"): "expired",
    ("review", "deny"): "expired",
    ("review", "approve"): "approve",
    ("review", "playbook"): "playbook",
    ("review", "hand over"): "expired",
    ("question", "deny"): "expired",
    ("question", "approve"): "expired",  # nobody answered, and there is nothing to approve
    ("question", "playbook"): "playbook",
    ("question", "hand over"): "expired",
    ("outcome", "deny"): "give up",
    ("outcome", "approve"): "give up",  # what happened is not known: it cannot be made up
    ("outcome", "playbook"): "give up",
    ("outcome", "hand over"): "give up",
}
"""What is decided in the end, where nobody does."""


class TestWhileNobodyDecides:
    @pytest.mark.parametrize(("kind", "then"), [*product(get_args(Kind), get_args(Then))])
    @pytest.mark.parametrize(("remind", "escalate"), [(0, 0), (600, 0), (0, 1200), (600, 1200)])
    def test_every_path(self, kind: Kind, then: Then, remind: float, escalate: float) -> None:
        """Each moment there is comes once, in its order, at its time; the last one ends it."""
        request = asked(
            kind, who=("a",), remind=remind, escalate=escalate, to=("b",) if escalate else (), then=then, hand_to=("c",)
        )
        expected: list[tuple[float, str]] = [(NOW + remind, "reminded")] if remind else []
        expected += [(NOW + escalate, "escalated")] if escalate else []
        expected += [(NOW + HOUR, "handed over")] if then == "hand over" else []
        expected += [(NOW + HOUR * (2 if then == "hand over" else 1), ENDS[kind, then])]

        path: list[tuple[float, str]] = []
        after: Request | Choice = request
        while isinstance(after, Request):
            at, moment = next_moment(after)
            after = passed(after, moment)
            path.append((at, after.stage if isinstance(after, Request) else after))

        assert path == expected

    @pytest.mark.parametrize(("kind", "choice"), [(kind, ENDS[kind, "deny"]) for kind in get_args(Kind)])
    def test_without_a_route(self, kind: Kind, choice: Choice) -> None:
        """A request that goes no route has a deadline all the same."""
        assert next_moment(bare(kind)) == (NOW + HOUR, "deadline")
        assert passed(bare(kind), "deadline") == choice

    @pytest.mark.parametrize(
        ("stage", "who"),
        [
            ("asked", ("finance", "risk")),
            ("reminded", ("finance", "risk")),
            ("escalated", ("finance", "risk", "managers")),
            ("handed over", ("board",)),
        ],
    )
    @pytest.mark.parametrize("named", [{"who": ("finance", "risk")}, {"each": ("finance", "risk")}])
    def test_who_may_decide_then(self, stage: Stage, who: tuple[str, ...], named: dict[str, Any]) -> None:
        """Those whom it is escalated to come on top; those whom it is handed over to take the others' place."""
        request = asked(
            **named, remind=600, escalate=1200, to=("managers", "risk"), then="hand over", hand_to=("board",)
        )

        assert deciders(at_stage(request, stage)) == who

    def test_everybody_may(self) -> None:
        """Where nobody is named, nobody is asked for a name."""
        assert (deciders(bare()), deciders(asked()), deciders(asked(verified=True))) == ((), (), ())
        assert why_not(asked(remind=600), Identity(), "ada") == ""

    def test_a_moment_that_was_moved_takes_nothing_back(self) -> None:
        """A reminder after it was escalated or handed over leaves it so, and then its deadline comes."""
        request = asked(who=("a",), remind=600, escalate=1200, to=("b",), then="hand over", hand_to=("c",))
        late = at_stage(request, "escalated").model_copy(update={"remind": NOW + 1800})
        later = at_stage(request, "handed over").model_copy(update={"remind": NOW + 1.5 * HOUR, "escalate": NOW + HOUR})

        reminded = passed(late, "remind")
        assert isinstance(reminded, Request)
        assert (reminded.stage, reminded.remind, deciders(reminded)) == ("escalated", 0, ("a", "b"))
        for moment in ("remind", "escalate"):
            after = passed(later, moment)
            assert isinstance(after, Request)
            assert (after.stage, deciders(after), passed(after, "deadline")) == ("handed over", ("c",), "expired")

    def test_whom_it_is_handed_over_to(self) -> None:
        """They decide anew: votes of before are gone, and one is enough where a route wanted one of each."""
        request = said(asked(each=("a", "b"), then="hand over", hand_to=("c", "d")), person(ADA, "a"))

        handed = at_stage(request, "handed over")

        assert (handed.votes, missing(handed)) == ((), ())
        assert is_enough(said(handed, person(CY, "c")))
        assert "may not decide request 1. It is for c or d." in why_not(handed, person(BO, "b"), "")

    def test_whom_it_is_handed_over_to_keeps_the_number(self) -> None:
        """Where two had to agree, two have to."""
        handed = at_stage(asked(who=("a",), need=2, then="hand over", hand_to=("c",)), "handed over")

        assert not is_enough(said(handed, person(CY, "c")))
        assert is_enough(said(handed, person(CY, "c"), person(DAN, "c")))

    def test_working_hours(self) -> None:
        """All moments are at work, also the last one of those whom it is handed over to."""
        friday = datetime(2026, 11, 27, 15, tzinfo=UTC).timestamp()
        made = Route(
            id="r",
            hours=read_hours("mon-fri 09:00-17:00 UTC"),
            remind=HOUR,
            escalate=3 * HOUR,
            deadline=8 * HOUR,
            then="hand over",
        )
        moments = routed(made, friday)
        all_of_them = (
            moments.remind,
            moments.escalate,
            moments.deadline,
            moments.deadline + moments.handed_for,
        )

        assert [f"{datetime.fromtimestamp(each, UTC):%a %H}" for each in all_of_them] == [
            "Fri 16",
            "Mon 10",
            "Mon 15",
            "Tue 15",
        ]
        handed = passed(asked().model_copy(update={"route": made, **moments.model_dump(exclude={"route"})}), "deadline")
        assert isinstance(handed, Request)
        assert handed.deadline == moments.deadline + moments.handed_for

    def test_two_moments_at_once(self) -> None:
        """The deadline is stronger than what should have come before it."""
        request = asked(who=("a",)).model_copy(update={"remind": NOW + HOUR, "escalate": NOW + HOUR})

        assert next_moment(request).moment == "deadline"


class TestWhoMayNot:
    @pytest.mark.parametrize(
        ("route", "identity", "user", "sentence"),
        [
            (
                {"verified": True},
                person(ADA),
                "",
                f"request 1 needs somebody whose identity is verified; you are claimed: temporal-cli:{ADA}.",
            ),
            (
                {"verified": True},
                Identity(),
                "",
                "request 1 needs somebody whose identity is verified; you are unverified: Web UI.",
            ),
            (
                {"who": ("finance",)},
                Identity(),
                "",
                "request 1 may not be decided by everybody, and the Web UI does not say who you are.",
            ),
            (
                {"need": 2},
                Identity(),
                "",
                "request 1 may not be decided by everybody, and the Web UI does not say who you are.",
            ),
            ({"who": ("finance",)}, person(BO), "", f"{BO!r} may not decide request 1. It is for finance."),
            ({"who": ("a", "b")}, person(BO), "", f"{BO!r} may not decide request 1. It is for a or b."),
            ({"each": ("a", "b", "c")}, person(BO), "", f"{BO!r} may not decide request 1. It is for a, b or c."),
            ({"who": ("a",)}, person(ADA, "a"), ADA, f"{ADA!r} asked for this, so somebody else has to decide."),
            (
                {"who": ("a",)},
                person(BO, "a", decides_for=[ADA]),
                ADA,
                f"{BO!r} decides for {ADA!r}, who asked for this, so somebody else has to decide.",
            ),
            ({}, person(ADA), ADA, f"{ADA!r} asked for this, so somebody else has to decide."),
        ],
    )
    def test_why(self, route: dict[str, Any], identity: Identity, user: str, sentence: str) -> None:
        """A sentence says what is needed."""
        assert why_not(asked(**route), identity, user) == sentence

    @pytest.mark.parametrize(
        ("route", "identity", "user"),
        [
            ({"who": ("a",)}, person(BO, "a"), ADA),
            ({"who": (ADA,)}, person(ADA), ""),
            ({"who": ("a",)}, person(BO, "a", decides_for=[ADA]), ""),
            ({"who": ("a",), "own": True}, person(ADA, "a"), ADA),
            ({"who": ("a",), "own": True}, person(BO, "a", decides_for=[ADA]), ADA),
            ({"verified": True}, person(ADA, token="t1"), ""),
            ({}, Identity(), ADA),
            ({"own": False}, Identity(), ""),
        ],
    )
    def test_who_may(self, route: dict[str, Any], identity: Identity, user: str) -> None:
        """Nothing speaks against them."""
        assert why_not(asked(**route), identity, user) == ""

    def test_a_request_without_a_route(self) -> None:
        """Everybody may, also whoever asked, as ever."""
        assert why_not(bare(), person(ADA), ADA) == ""


class TestVotes:
    def test_as_many_as_the_route_says(self) -> None:
        """The last of them decides."""
        request = said(asked(who=("a",), need=3), person(ADA, "a"), person(BO, "a"))

        assert not is_enough(request)
        assert is_enough(said(request, person(CY, "a")))

    @pytest.mark.parametrize("choice", [each for each in get_args(Choice) if each not in AGREEING])
    def test_what_lets_nothing_run(self, choice: Choice) -> None:
        """One person is enough for it, and those who agreed do not stand in the decision."""
        request = said(asked(need=3), person(ADA))

        after = counted(request, Vote(identity=person(BO), choice=choice))

        assert is_enough(after)
        assert [vote.identity.person for vote in after.votes] == [BO]

    def test_who_agrees_on_something_else(self) -> None:
        """Then that is what has to be agreed on, from the beginning."""
        request = said(asked("outcome", need=2), person(ADA), choice="happened")

        other = said(request, person(BO), choice="not happened")
        assert not is_enough(other)
        assert [vote.identity.person for vote in other.votes] == [BO]
        assert is_enough(said(other, person(ADA), choice="not happened"))

    @pytest.mark.parametrize(
        ("first", "second", "sentence"),
        [
            (person(ADA), person(ADA), f"{ADA!r} has said 'approve' to request 1 already."),
            (person(ADA, "a"), person(ADA, "b"), f"{ADA!r} has said 'approve' to request 1 already."),
            (person(ADA), person(BO, decides_for=[ADA]), f"{ADA!r} has said 'approve' to request 1 already."),
            (
                person(BO, decides_for=[ADA]),
                person(ADA),
                f"{BO!r} has said 'approve' to request 1 already, for {ADA} too.",
            ),
            (
                person(BO, decides_for=[ADA, DAN]),
                person(CY, decides_for=[DAN, ADA]),
                f"{BO!r} has said 'approve' to request 1 already, for {ADA} and {DAN} too.",
            ),
            (person(ADA, token="t1"), person(BO, token="t1"), "this token was used for request 1 already."),
            (person(ADA, token="t1"), person(ADA, token="t2"), f"{ADA!r} has said 'approve' to request 1 already."),
        ],
    )
    def test_nobody_counts_twice(self, first: Identity, second: Identity, sentence: str) -> None:
        """Neither with another group or token, nor as a delegate, nor as who gave the delegation."""
        request = said(asked(need=3), first)

        assert why_not(request, second, "") == sentence

    def test_a_delegate_of_somebody_else(self) -> None:
        """Two who decide for different people are two."""
        assert is_enough(said(asked(need=2), person(BO, decides_for=[ADA]), person(CY, decides_for=[DAN])))


class TestOneOfEach:
    def test_a_person_in_two_groups_fills_one_seat(self) -> None:
        """And leaves the other to whoever can fill it, whatever the order."""
        both, finance, risk = person(ADA, "finance", "risk"), person(BO, "finance"), person(CY, "risk")
        request = asked(each=("finance", "risk"))

        assert not is_enough(said(request, both))
        assert [is_enough(said(request, *votes)) for votes in permutations([both, finance])] == [True, True]
        assert [is_enough(said(request, *votes)) for votes in permutations([both, risk])] == [True, True]

    def test_two_of_one_group_are_not_enough(self) -> None:
        """The other seat stays free."""
        request = said(asked(each=("finance", "risk")), person(ADA, "finance"), person(BO, "finance"))

        assert (is_enough(request), missing(request)) == (False, ("risk",))

    def test_a_delegate_stands_for_the_giver(self) -> None:
        """With the giver's groups, and for one seat."""
        request = said(asked(each=("finance", "risk")), person(BO, "finance", "risk", decides_for=[ADA]))

        assert (is_enough(request), missing(request)) == (False, ("risk",))

    def test_a_seat_for_one_person(self) -> None:
        """A name may be a person's, and a delegate may fill that seat."""
        request = asked(each=(ADA, "risk"))

        assert is_enough(said(request, person(BO, decides_for=[ADA]), person(CY, "risk")))

    def test_whom_it_is_escalated_to_fills_any_seat(self) -> None:
        """From then on; with those who agreed before."""
        request = said(asked(each=("finance", "risk"), escalate=600, to=("managers",)), person(ADA, "finance"))
        manager = person(BO, "managers")

        assert why_not(request, manager, "") == f"{BO!r} may not decide request 1. It is for finance or risk."
        assert is_enough(said(at_stage(request, "escalated"), manager))

    def test_nothing_is_missing_where_numbers_count(self) -> None:
        """Nor without a route."""
        assert (missing(asked(need=2)), missing(bare())) == ((), ())

    @given(
        each=st.lists(st.sampled_from("abcde"), min_size=1, max_size=4, unique=True),
        votes=st.lists(st.sets(st.sampled_from("abcdem"), min_size=1), max_size=5),
        escalated=st.booleans(),
    )
    def test_as_if_every_assignment_was_tried(self, each: list[str], votes: list[set[str]], *, escalated: bool) -> None:
        """It is enough where one of all ways to seat people fills every seat; the best one tells what is missing."""
        request = asked(each=tuple(each), to=("m",)).model_copy(update={"stage": "escalated" if escalated else "asked"})
        people = [person(f"{number}@example.com", *sorted(names)) for number, names in enumerate(votes)]
        request = request.model_copy(
            update={"votes": tuple(Vote(identity=identity, choice="approve") for identity in people)}
        )
        filled = most_seats(each, votes, {"m"} if escalated else set())

        assert len(missing(request)) == len(each) - filled
        assert not votes or is_enough(request) == (filled == len(each))


def most_seats(each: Sequence[str], votes: Sequence[set[str]], anywhere: set[str]) -> int:
    """How many seats can be filled at most: every order of people, nobody among them, is tried over the seats."""
    free = [set[str]()] * len(each)
    return max(
        sum(seat in names or bool(anywhere & names) for seat, names in zip(each, order, strict=False))
        for order in permutations([*votes, *free], len(each))
    )

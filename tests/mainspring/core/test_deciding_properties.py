"""Requests over weeks, in any interleaving of votes, moments, moved deadlines and changed arguments.

A state machine stands in for the workflow side, with what that guarantees: moments come in their order, no later than
the clock, and nothing comes after a decision. It keeps its own books of who said what, and knows by trying everything
who may decide and when enough people agree.
"""

from itertools import permutations
from typing import Any, get_args

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mainspring.core.approvals import Choice, Decision, Identity, Kind, Request, Stage, Vote, settled
from mainspring.core.deciding import counted, deciders, is_enough, missing, next_moment, passed, routed, why_not
from mainspring.core.hours import read_hours
from mainspring.core.routes import Delegation, People, Route, Then

HOUR, DAY = 3_600.0, 86_400.0
STAGES: tuple[Stage, ...] = get_args(Stage)
PERSONS = tuple(f"{name}@example.com" for name in ("ada", "bo", "cy", "dan"))
"""Few, so that they meet as givers and delegates."""
GROUPS = ("finance", "risk", "managers")
NAMES = (*GROUPS, *PERSONS[:2])
CHOICES: dict[Kind, tuple[Choice, ...]] = {
    "approval": ("approve", "approve", "approve", "deny", "stop"),
    "review": ("approve", "approve", "deny"),
    "question": ("answer", "deny"),
    "outcome": ("happened", "happened", "not happened", "give up"),
}
"""What people say; agreeing is said more often, so that there are quorums."""
NEEDS_ALL = {"approve", "happened", "not happened"}


def some(*names: str, least: int = 1, most: int = 3) -> st.SearchStrategy[tuple[str, ...]]:
    """Some of these names, each once."""
    return st.lists(st.sampled_from(names), min_size=least, max_size=most, unique=True).map(tuple)


PEOPLE = st.builds(
    People,
    groups=st.fixed_dictionaries({group: some(*PERSONS, least=1, most=4) for group in GROUPS}),
    delegations=st.lists(
        st.builds(
            Delegation,
            giver=st.sampled_from(PERSONS),
            taker=st.sampled_from(PERSONS),
            until=st.sampled_from(["2026-12-31", "2026-12-31", "2026-11-27", "2026-11-25"]),
        ).filter(lambda each: each.giver != each.taker),
        min_size=1,
        max_size=4,
    ).map(tuple),
)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    """A route as a rule file may have it."""
    deadline = draw(st.sampled_from([2 * HOUR, DAY, 7 * DAY]))
    then: Then = draw(st.sampled_from(get_args(Then)))
    alone = then == "approve"  # at a deadline nobody is there who could be verified, or agree with another
    is_each = draw(st.booleans())
    escalates = draw(st.booleans())
    return Route(
        id="r",
        who=() if is_each else draw(some(*NAMES, least=1 if escalates else 0)),
        each=draw(some(*NAMES, most=1 if alone else 3)) if is_each else (),
        need=1 if is_each or alone else draw(st.integers(1, 3)),
        verified=not alone and draw(st.booleans()),
        own=draw(st.booleans()),
        hours=draw(st.sampled_from([None, read_hours("mon-fri 09:00-17:00 Europe/Berlin")])),
        remind=draw(st.sampled_from([0.0, deadline / 8])),
        escalate=deadline / 2 if escalates else 0.0,
        to=draw(some(*NAMES)) if escalates else (),
        deadline=deadline,
        then=then,
        hand_to=draw(some(*NAMES)) if then == "hand over" else (),
    )


class Deciding(RuleBasedStateMachine):
    """One request, from when it is asked to its end."""

    @initialize(
        kind=st.sampled_from(get_args(Kind)), route=routes(), people=PEOPLE, user=st.sampled_from(["", *PERSONS[:3]])
    )
    def ask(self, kind: Kind, route: Route, people: People, user: str) -> None:
        """It is asked in the night before a working day."""
        self.clock = 1_795_640_400.0  # 2026-11-25 21:00 UTC
        self.route, self.people, self.user = route, people, user
        self.request = Request(
            id="1",
            kind=kind,
            step="1",
            agent="desk",
            tool="pay",
            args={},
            args_digest="",
            rule="",
            reason="",
            asked=self.clock,
            route=route,
            **routed(route, self.clock).model_dump(exclude={"route"}),
        )
        self.stages: list[Stage] = ["asked"]
        self.agreed: list[tuple[Identity, Choice]] = []
        self.tokens = 0
        self.moved = False
        self.decision: Choice | None = None
        self.by_votes = False

    # What happens

    @precondition(lambda self: self.decision is None)
    @rule(
        who=st.sampled_from(PERSONS),
        how=st.sampled_from(["unverified", "claimed", "verified", "verified"]),
        pick=st.integers(0, 4),
        old_token=st.booleans(),
        edits=st.integers(0, 5),
    )
    def says(self, who: str, how: str, pick: int, *, old_token: bool, edits: int) -> None:
        """Somebody says something; now and then it is that other arguments are right."""
        options = CHOICES[self.request.kind]
        choice = options[pick % len(options)]
        identity = self.identity(who, how, old_token=old_token)
        refused = why_not(self.request, identity, self.user)

        assert bool(refused) == bool(self.speaks_against(identity)), (refused, self.speaks_against(identity))
        if refused:
            return
        if edits == 0 and choice == "approve":  # as the workflow side does: those before agreed to something else
            self.request = self.request.model_copy(update={"votes": ()})
            self.agreed = []
        self.request = counted(self.request, Vote(identity=identity, choice=choice, at=self.clock))
        self.agreed = [*(each for each in self.agreed if each[1] == choice), (identity, choice)]
        is_over = is_enough(self.request)
        assert is_over == (choice not in NEEDS_ALL or self.seated() == self.request_route.votes)
        if is_over:
            self.decision, self.by_votes = choice, True

    @precondition(lambda self: self.decision is None)
    @rule(minutes=st.sampled_from([1, 30, 60, 6 * 60, 24 * 60, 7 * 24 * 60, 21 * 24 * 60]))
    def time_passes(self, minutes: int) -> None:
        """Some minutes or weeks, and every moment in them."""
        self.clock += minutes * 60
        while self.decision is None and next_moment(self.request).at <= self.clock:
            self.comes()

    @precondition(lambda self: self.decision is None)
    @rule(moment=st.sampled_from(["remind", "escalate", "deadline"]), hours=st.integers(1, 200))
    def is_moved(self, moment: str, hours: int) -> None:
        """Somebody moves one moment of it, where that stays before the deadline."""
        at: dict[str, Any] = {name: getattr(self.request, name) for name in ("remind", "escalate", "deadline")}
        at[moment] = self.clock + hours * HOUR
        if max(at["remind"], at["escalate"]) < at["deadline"] and (moment != "escalate" or self.request_route.to):
            self.request = self.request.model_copy(update=at)
            self.moved = True

    @precondition(lambda self: self.decision is not None)
    @rule()
    def is_late(self) -> None:
        """Who comes after the decision reads what it was, by whom."""
        assert self.decision
        by = self.request.votes if self.by_votes else ()
        told = settled(self.request, Decision(request="1", choice=self.decision, votes=by))
        assert all(each.identity.person in told for each in by)

    def comes(self) -> None:
        """The next moment comes, and what must hold of it."""
        before, (at, moment) = self.request, next_moment(self.request)
        after = passed(before, moment)
        if isinstance(after, str):
            assert moment == "deadline"
            assert at == before.deadline
            assert after in ("expired", "give up", "approve", "playbook")
            assert after != "approve" or (self.route.then == "approve" and before.kind in ("approval", "review"))
            self.decision = after
            return
        self.request = after
        if after.stage != before.stage:
            self.stages.append(after.stage)
        if moment == "deadline":
            assert after.stage == "handed over"
            assert after.votes == ()
            self.agreed = []
        assert next_moment(after) != (at, moment), "a moment that came comes again"
        assert next_moment(after).at >= at if self.moved else next_moment(after).at > at

    # What always holds

    @invariant()
    def stages_go_forward(self) -> None:
        """Each stage comes at most once, in its order."""
        numbers = [STAGES.index(each) for each in self.stages]
        assert numbers == sorted(set(numbers))

    @invariant()
    def votes_are_of_different_people(self) -> None:
        """Nobody stands behind two votes, and the books agree on whose there are."""
        behind = [{each.identity.person, *each.identity.stands_for} for each in self.request.votes]
        assert sum(map(len, behind)) == len(set[str]().union(*behind))
        assert [(each.identity, each.choice) for each in self.request.votes] == self.agreed

    @invariant()
    def enough_people_end_it(self) -> None:
        """While it waits there are too few who agree, and those who are missing are as many as are told."""
        if self.decision is None:
            assert self.seated() < self.request_route.votes
            each = self.request_route.each
            assert len(missing(self.request)) == (len(each) - self.seated() if each else 0)

    @invariant()
    def who_decided_could(self) -> None:
        """As many as the route wants, verified where it says so; or nobody, at the deadline."""
        if self.by_votes:
            assert len(self.agreed) >= (self.request_route.votes if self.decision in NEEDS_ALL else 1)
            assert all(each.how == "verified" for each, _ in self.agreed) or not self.route.verified

    def teardown(self) -> None:
        """However it stands, a few more moments end it."""
        if not hasattr(self, "request"):
            return
        for _ in range(4):
            if self.decision is None:
                self.comes()
        assert self.decision

    # What the machine knows itself

    @property
    def request_route(self) -> Route:
        """The route as it is now."""
        assert self.request.route
        return self.request.route

    def identity(self, who: str, how: str, *, old_token: bool) -> Identity:
        """Who somebody is, by the groups and delegations of the day; the Web UI does not say so."""
        if how == "unverified":
            return Identity()
        day = "2026-11-26" if self.clock < 1_795_640_400.0 + 2 * DAY else "2026-12-01"
        others = tuple(
            dict.fromkeys(each.giver for each in self.people.delegations if each.taker == who and day <= each.until)
        )
        groups = [name for name, people in self.people.groups.items() if {who, *others} & set(people)]
        self.tokens += not old_token
        token = f"t{self.tokens}" if how == "verified" else ""
        return Identity.model_validate(
            {"person": who, "how": how, "names": (who, *others, *groups), "stands_for": others, "token": token}
        )

    def named(self) -> set[str]:
        """Whose names count now, by the route as it was written."""
        if self.request.stage == "handed over":
            return set(self.route.hand_to)
        named = {*self.route.who, *self.route.each}
        return named | set(self.route.to) if self.request.stage == "escalated" and named else named

    def speaks_against(self, identity: Identity) -> str:
        """Why somebody may not decide."""
        route, people = self.route, {identity.person, *identity.stands_for}
        asks = route.who or route.each or route.verified or route.need > 1 or self.request.stage == "handed over"
        reasons = {
            "not verified": route.verified and identity.how != "verified",
            "unknown": asks and not identity.person,
            "asked for it": bool(self.user) and not route.own and self.user in people,
            "not named": bool(self.named()) and not self.named() & set(identity.names),
            "said so": any(people & {each.person, *each.stands_for} for each, _ in self.agreed),
            "old token": bool(identity.token) and any(each.token == identity.token for each, _ in self.agreed),
        }
        return ", ".join(reason for reason, holds in reasons.items() if holds)

    def seated(self) -> int:
        """How many of those who agree fill a seat at most: every way to seat them is tried."""
        if self.request.stage == "handed over" or not self.route.each:
            return len(self.agreed)
        anywhere = set(self.route.to) if self.request.stage == "escalated" else set[str]()
        free = [set[str]() for _ in self.route.each]
        people = [set(each.names) for each, _ in self.agreed]
        return max(
            sum(seat in names or bool(anywhere & names) for seat, names in zip(self.route.each, order, strict=True))
            for order in permutations([*people, *free], len(self.route.each))
        )

    @invariant()
    def the_right_people_are_told(self) -> None:
        """Those whose names count are those that the list of runs shows."""
        assert set(deciders(self.request)) == self.named()


def test_whoever_says_what_the_request_keeps_its_rules() -> None:
    """One decision, by enough different people who may, or by its deadline, in any interleaving over weeks."""
    run_state_machine_as_test(Deciding, settings=settings(max_examples=150, stateful_step_count=20))

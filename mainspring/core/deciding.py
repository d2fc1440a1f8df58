"""Decides what becomes of a request: as people say something to it, and as its moments come. Pure.

    asked → reminded → escalated → handed over
      each of them → decided (enough people agree, or one denies) | expired (its deadline) | withdrawn (the run ends)

What is decided by whom is checked twice with the same words: `why_not` before a vote counts, `counted` when it does.
"""

from typing import Literal, NamedTuple, get_args

from mainspring.core.approvals import Choice, Identity, Request, Routed, Stage, Vote
from mainspring.core.hours import after
from mainspring.core.routes import Route, person_name

Moment = Literal["remind", "escalate", "deadline"]
AGREEING: tuple[Choice, ...] = ("approve", "happened", "not happened")
"""What as many people as the route says have to agree on; for all else, which lets nothing run, one is enough."""


class Next(NamedTuple):
    """What comes next while nobody decides: when (seconds since 1970), and what it brings."""

    at: float
    moment: Moment


def routed(route: Route, now: float) -> Routed:
    """The moments of a route that a request goes from now on."""
    deadline = after(now, route.deadline, route.hours)
    hands_over = route.then == "hand over"
    return Routed(
        route=route.id,
        at=now,
        remind=after(now, route.remind, route.hours),
        escalate=after(now, route.escalate, route.hours),
        deadline=deadline,
        handed_for=after(deadline, route.deadline, route.hours) - deadline if hands_over else 0.0,
    )


def next_moment(request: Request) -> Next:
    """The first moment that has not come yet."""
    moments: list[Next] = [Next(request.deadline, "deadline")]
    if request.remind:
        moments.append(Next(request.remind, "remind"))
    if request.escalate:
        moments.append(Next(request.escalate, "escalate"))
    return min(moments, key=lambda each: each.at)


def passed(request: Request, moment: Moment, now: float = 0.0) -> Request | Choice:
    """The request after a moment has come, or what is decided by it; `now` is when that was seen."""
    if moment == "deadline":
        return _at_deadline(request, now)
    stage = "reminded" if moment == "remind" else "escalated"
    # A moment that a person moved may come after those that were to follow it.
    latest = max(request.stage, stage, key=get_args(Stage).index)
    escalate = request.escalate if moment == "remind" else 0.0
    return request.model_copy(update={"stage": latest, "remind": 0.0, "escalate": escalate})


def _at_deadline(request: Request, now: float) -> Request | Choice:
    route = request.route
    if route and route.then == "hand over" and request.stage != "handed over":
        handed = route.model_copy(update={"who": route.hand_to, "each": (), "to": ()})  # as many, if not one of each
        # The moment may have come while there was no worker.
        deadline = max(now, request.deadline) + (request.handed_for or route.deadline)
        again = {"deadline": deadline, "remind": 0.0, "escalate": 0.0}
        return dropped(request).model_copy(update={"stage": "handed over", "route": handed, **again})
    if request.kind == "outcome":
        return "give up"
    if route and route.then == "playbook":
        return "playbook"
    if route and route.then == "approve" and request.kind != "question":  # which has nothing to approve
        return "approve"
    return "expired"


def deciders(request: Request) -> tuple[str, ...]:
    """The names of which one is needed to decide the request now; none where everybody may."""
    route = request.route
    if route is None or not (named := route.each or route.who):
        return ()
    return tuple(dict.fromkeys((*named, *(route.to if request.stage == "escalated" else ()))))


def who_decides(request: Request) -> str:
    """Who may decide now, and how many must, as `Route.whom` says it."""
    return request.route.whom(deciders(request)) if request.route else ""


def why_not(request: Request, identity: Identity, user: str) -> str:
    """Why this person may not decide the request ("" where they may). `user` is whom the run is for."""
    if request.route is None:
        return ""
    return _unfit(request, request.route, identity, user) or _spent(request, identity)


def _unfit(request: Request, route: Route, identity: Identity, user: str) -> str:
    if route.verified and identity.how != "verified":
        return f"request {request.id} needs somebody whose identity is verified; you are {identity.words}."
    if route.asks_who and not identity.person:
        return f"request {request.id} may not be decided by everybody, and the Web UI does not say who you are."
    user = person_name(user)
    if user and not route.own and user == identity.person:
        return f"{user!r} asked for this, so somebody else has to decide."
    if user and not route.own and user in identity.stands_for:
        return f"{identity.person!r} decides for {user!r}, who asked for this, so somebody else has to decide."
    wanted = deciders(request)
    if wanted and not set(wanted) & set(identity.names):
        return f"{identity.person!r} may not decide request {request.id}. It is for {_listed(wanted)}."
    return ""


def _spent(request: Request, identity: Identity) -> str:
    """Nobody agrees twice, neither by a token of before nor as somebody's delegate."""
    if identity.token and identity.token in (*request.spent, *(vote.identity.token for vote in request.votes)):
        return f"this token was used for request {request.id} already."
    people = {identity.person, *identity.stands_for}
    for vote in request.votes:
        other = vote.identity.person
        if common := people & {other, *vote.identity.stands_for}:
            for_whom = "" if other in common else f", for {' and '.join(sorted(common))} too"
            return f"{other!r} has said {vote.choice!r} to request {request.id} already{for_whom}."
    return ""


def dropped(request: Request) -> Request:
    """The request without its votes, whose tokens have been used."""
    spent = (vote.identity.token for vote in request.votes if vote.identity.token)
    return request.model_copy(update={"votes": (), "spent": (*request.spent, *spent)})


def counted(request: Request, vote: Vote) -> Request:
    """The request with a vote that nothing speaks against. What agrees on something else begins anew with it."""
    if any(each.choice != vote.choice for each in request.votes):
        request = dropped(request)
    return request.model_copy(update={"votes": (*request.votes, vote)})


def is_enough(request: Request) -> bool:
    """Whether what was said last is decided."""
    route = request.route
    if route is None or request.votes[-1].choice not in AGREEING:
        return True
    if not route.each:
        return len(request.votes) >= route.need
    return len(_seats(request, route)) == len(route.each)


def agreed(request: Request) -> int:
    """How many of those who must agree have: two of one group are one, where one of each has to."""
    route = request.route
    return len(_seats(request, route)) if route and route.each else len(request.votes)


def missing(request: Request) -> tuple[str, ...]:
    """Of a route that wants one of each, the names that nobody has agreed for yet."""
    route = request.route
    if route is None or not route.each:
        return ()
    taken = _seats(request, route)
    return tuple(name for name in route.each if name not in taken)


def _seats(request: Request, route: Route) -> dict[str, int]:
    """Whose vote fills which seat; nobody fills two. Augmenting paths (Kuhn 1955), over a handful of people.

    Whom it was escalated to may fill any seat.
    """
    seats: dict[str, int] = {}
    anywhere = set(route.to) if request.stage == "escalated" else set[str]()

    def place(voter: int, seen: set[str]) -> bool:
        names = set(request.votes[voter].identity.names)
        for seat in route.each:
            if (seat in names or anywhere & names) and seat not in seen:
                seen.add(seat)
                if seat not in seats or place(seats[seat], seen):
                    seats[seat] = voter
                    return True
        return False

    for voter in range(len(request.votes)):
        place(voter, set())
    return seats


def _listed(names: tuple[str, ...]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last

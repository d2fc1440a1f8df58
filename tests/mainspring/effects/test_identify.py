"""Who decides: what a client says of itself, and every name that then counts for a route."""

import pytest

from mainspring.core.approvals import Identity
from mainspring.core.routes import Delegation, People
from mainspring.effects.identify import _named, said_by

ADA, BO, CY = "ada@example.com", "bo@example.com", "cy@example.com"
PEOPLE = People(
    groups={"finance": (ADA, "svc"), "risk": (BO,), "board": (ADA, CY)},
    delegations=(
        Delegation(giver=ADA, taker=BO, until="2026-12-31"),
        Delegation(giver=BO, taker=CY, until="2026-11-30"),
        Delegation(giver="svc", taker=BO, until="2026-11-30"),
    ),
)


@pytest.mark.parametrize(
    ("client", "identity"),
    [
        ("", Identity()),
        (f"temporal-cli:{ADA}", Identity(person=ADA, how="claimed", by="temporal-cli")),
        ("temporal-cli:ada:x", Identity(person="ada:x", how="claimed", by="temporal-cli")),
        ("temporal-cli:", Identity(how="claimed", by="temporal-cli")),
        ("1234@host", Identity(person="1234@host", how="claimed", by="client")),
    ],
)
def test_what_a_client_says(client: str, identity: Identity) -> None:
    """A name after a colon, or a name alone, is claimed; the Web UI says nothing."""
    assert said_by(client) == identity


@pytest.mark.parametrize(
    ("identity", "day", "names", "stands_for"),
    [
        (Identity(person=ADA), "2026-11-26", (ADA, "finance", "board"), ()),
        (Identity(person=BO), "2027-01-01", (BO, "risk"), ()),
        (Identity(person=BO), "2026-12-31", (BO, ADA, "risk", "finance", "board"), (ADA,)),
        (Identity(person=BO), "2026-11-30", (BO, ADA, "risk", "finance", "board"), (ADA, "svc")),
        (Identity(person=CY), "2026-11-30", (CY, BO, "board", "risk"), (BO,)),
        (Identity(person=ADA, names=("auditor", "finance")), "2026-11-26", (ADA, "auditor", "finance", "board"), ()),
        (Identity(person=CY, names=("auditor", "finance")), "2027-01-01", (CY, "auditor", "board"), ()),
        (Identity(person="dan@example.com"), "2026-11-26", ("dan@example.com",), ()),
        (Identity(person="svc"), "2026-11-26", ("finance",), ()),
    ],
    ids=[
        "groups",
        "over",
        "last day",
        "two givers",
        "no delegate of a delegate",
        "roles",
        "no role is a group",
        "nobody",
        "no address",
    ],
)
def test_names_that_count(identity: Identity, day: str, names: tuple[str, ...], stands_for: tuple[str, ...]) -> None:
    """The person, roles, groups, and the persons and groups of those whom they decide for that day, but no further."""
    named = _named(identity, PEOPLE, day)

    assert (named.names, named.stands_for) == (names, stands_for)


@pytest.mark.parametrize("name", ["finance", "board"])
def test_nobody_is_called_like_a_group(name: str) -> None:
    """Who says to be called so is in none, and a role is no person."""
    assert _named(Identity(person=name, how="claimed", names=("bo@example.com",)), PEOPLE, "2026-11-26").names == ()


def test_who_is_not_known() -> None:
    """Nobody has no names."""
    assert _named(Identity(), PEOPLE, "2026-11-26") == Identity()

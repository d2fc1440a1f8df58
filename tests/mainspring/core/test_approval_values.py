"""What a person is asked in words and names, and the digests that bind a token to it."""

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.approvals import (
    Choice,
    Decision,
    Identity,
    Kind,
    Request,
    Vote,
    binding,
    choices,
    form_digest,
    settled,
)
from mainspring.core.canonical import Json


def asked(kind: Kind = "approval", **parts: Any) -> Request:
    """A request about `pay`."""
    given: dict[str, Any] = {
        "id": "2",
        "kind": kind,
        "step": "1",
        "agent": "desk",
        "tool": "pay",
        "args": {},
        "args_digest": "",
        "rule": "",
        "reason": "",
        "asked": 0,
        "deadline": 1,
    }
    return Request.model_validate(given | parts)


class TestBinding:
    def test_it_is_for_one_request_with_these_arguments_of_one_run(self) -> None:
        """Whatever differs, the token does not fit."""
        parts = [
            ("run", "1", "d"),
            ("run", "2", "d"),
            ("run", "1", "e"),
            ("nur", "1", "d"),
            ("run", "11", ""),
            ("", "", ""),
        ]

        assert len({binding(*each) for each in parts}) == len(parts)
        assert binding("run", "1", "d") == binding("run", "1", "d")


class TestFormDigest:
    @pytest.mark.parametrize("form", [{}, None, "", {"comment": ""}, {"request": "1", "token": "t"}, {"args": None}])
    def test_nothing_said(self, form: Json) -> None:
        """An empty form is one, however it is written; the token and the request's number are no part of it."""
        assert form_digest("approve", form) == form_digest("approve", {})

    def test_a_text_is_the_comment(self) -> None:
        """As it is where it is read."""
        assert form_digest("deny", "too much") == form_digest("deny", {"comment": "too much", "request": "2"})

    def test_what_differs(self) -> None:
        """Another choice, comment or argument has another digest."""
        said: list[tuple[str, Json]] = [
            ("approve", {}),
            ("deny", {}),
            ("approve", {"comment": "fine"}),
            ("approve", {"args": {"cents": 1}}),
            ("approve", {"args": {"cents": 2}}),
            ("approve", {"args": {"cents": 0}}),
            ("approve", {"args": {"cents": None}}),
            ("approve", {"answer": "fine"}),
        ]

        assert all(form_digest(*one) != form_digest(*other) for one, other in combinations(said, 2))

    @given(
        st.dictionaries(
            st.sampled_from(["comment", "answer", "args"]), st.text() | st.dictionaries(st.text(), st.integers())
        )
    )
    def test_the_order_says_nothing(self, form: dict[str, Any]) -> None:
        """Equal forms have equal digests."""
        assert form_digest("approve", dict(reversed(form.items()))) == form_digest("approve", form)


class TestWords:
    @pytest.mark.parametrize(
        ("identity", "words"),
        [
            (Identity(), "unverified: Web UI"),
            (Identity(by="client", how="claimed"), "unverified: client"),
            (Identity(person="ada@host", how="claimed", by="temporal-cli"), "claimed: temporal-cli:ada@host"),
            (
                Identity(person="ada@example.com", how="verified", by="https://login.example.com", token="t1"),
                "verified: ada@example.com via https://login.example.com",
            ),
        ],
    )
    def test_who_somebody_is(self, identity: Identity, words: str) -> None:
        """A trace says how it is known, and never the token."""
        assert identity.words == words


class TestChoices:
    @pytest.mark.parametrize(
        ("request_", "names"),
        [
            (
                asked(deny_reasons=("too much", "no proof")),
                {
                    "approve 2: pay": ("approve", ""),
                    "deny 2: too much": ("deny", "too much"),
                    "deny 2: no proof": ("deny", "no proof"),
                    "deny 2: in your own words": ("deny", ""),
                    "deny 2 and stop the run": ("stop", ""),
                },
            ),
            (
                asked("review", tool="answer"),
                {
                    "approve 2: answer": ("approve", ""),
                    "deny 2: no reason given": ("deny", "no reason given"),
                    "deny 2: in your own words": ("deny", ""),
                    "deny 2 and stop the run": ("stop", ""),
                },
            ),
            (
                asked("question", choices=("Monday", "Friday"), can_take_over=True),
                {
                    "answer 2: choice 1": ("answer", "Monday"),
                    "answer 2: choice 2": ("answer", "Friday"),
                    "deny 2: no answer": ("deny", "Nobody answers this."),
                    "deny 2 and stop the run": ("stop", ""),
                    "take over 2: in your own words": ("take over", ""),
                },
            ),
            (
                asked("question"),
                {
                    "answer 2: in your own words": ("answer", ""),
                    "deny 2: no answer": ("deny", "Nobody answers this."),
                    "deny 2 and stop the run": ("stop", ""),
                },
            ),
            (
                asked("outcome"),
                {
                    "answer 2: it happened": ("happened", ""),
                    "answer 2: it did not happen, run it": ("not happened", ""),
                    "answer 2: give up": ("give up", ""),
                },
            ),
        ],
        ids=["approval", "review", "question with choices", "question", "outcome"],
    )
    def test_names(self, request_: Request, names: dict[str, tuple[Choice, str]]) -> None:
        """Each thing that a person may say has a name, with the number, and nothing that the run was given."""
        assert choices(request_) == names

    def test_a_stage_changes_no_name(self) -> None:
        """Who may decide is asked when somebody does, so that the buttons stay where they are."""
        assert choices(asked(stage="escalated", votes=(Vote(identity=Identity(), choice="approve"),))) == choices(
            asked()
        )


class TestSettled:
    @pytest.mark.parametrize(
        ("votes", "by"),
        [
            ((), ""),
            ((Identity(),), ""),
            ((Identity(person="ada@x"),), " by ada@x"),
            ((Identity(person="ada@x"), Identity(person="bo@x"), Identity(person="ada@x")), " by ada@x and bo@x"),
        ],
    )
    def test_by_whom(self, votes: tuple[Identity, ...], by: str) -> None:
        """A late click is told who was faster, where that is known."""
        decision = Decision(
            request="2", choice="approve", votes=tuple(Vote(identity=each, choice="approve") for each in votes)
        )

        assert settled(asked(), decision) == f"Request 2 (pay) was approved{by}. Nothing was changed by this click."

    @pytest.mark.parametrize("kind", ["approval", "question", "review", "outcome"])
    def test_every_choice_has_words(self, kind: Kind) -> None:
        """Also what only a deadline decides."""
        said: set[Choice] = {choice for choice, _ in choices(asked(kind, can_take_over=True)).values()}

        for choice in said | {"expired", "playbook"}:
            assert settled(asked(kind), Decision(request="2", choice=choice)).startswith("Request 2 (pay) was ")

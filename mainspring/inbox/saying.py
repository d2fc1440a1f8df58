"""What a person says to a request: read out of the form of a page, and put into the update that the run takes. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mainspring.contracts import names
from mainspring.core.approvals import OUTCOMES, Choice, Request, choices, form_digest, is_answer
from mainspring.core.canonical import Json
from mainspring.inbox.fields import Change, changes, edited, same, shown

OWN = "own"
"""Stands for a reason or an answer of one's own, where listed ones are numbered."""
_UPDATES: dict[Choice, str] = {
    "approve": names.APPROVE,
    "deny": names.DENY,
    "stop": names.DENY,
    "take over": names.TAKE_OVER,
}


@dataclass(frozen=True)
class Saying:
    """A decision as it goes to the run: the update, its form without request and token, and what is changed."""

    choice: Choice
    form: dict[str, Json] = field(default_factory=dict[str, Json])
    changes: tuple[Change, ...] = ()

    @property
    def update(self) -> str:
        """The name of the update that takes it."""
        return _UPDATES.get(self.choice, names.ANSWER)

    @property
    def digest(self) -> str:
        """What a token is bound to that says this and nothing else."""
        return form_digest(self.choice, self.form)


@dataclass(frozen=True)
class Unclear:
    """A form that says nothing that could be sent: by field, what is wrong with it."""

    wrong: dict[str, str]


def said(request: Request, button: str, typed: Mapping[str, str]) -> Saying | Unclear:
    """What a form says, by the button that was pressed."""
    read = _BUTTONS.get(button)
    return read(request, typed) if read else Unclear({"": "Press one of the buttons of this page."})


def can(request: Request, choice: Choice) -> bool:
    """Whether this may be said to a request."""
    return any(each == choice for each, _ in choices(request).values())


def is_prose(request: Request) -> bool:
    """Whether it is an agent's answer, which a person may put otherwise; one with a type is JSON."""
    return is_answer(request) and isinstance(request.args.get("answer"), str)


def _approve(request: Request, typed: Mapping[str, str]) -> Saying | Unclear:
    edit = edited(request, typed)
    if edit.wrong:
        return Unclear({f"arg.{name}" if name else "": problem for name, problem in edit.wrong.items()})
    form = _with_comment(typed.get("comment", ""))
    before, after = shown(request.args.get("answer")), typed.get("other", "")
    if is_prose(request) and after and not same(after, before):
        if not after.strip():
            return Unclear({"other": "Write the answer that is given instead, or leave the agent's."})
        after = after.replace("\r\n", "\n")
        return Saying("approve", {**form, "answer": after}, (Change("answer", before, after),))
    if edit.args:
        return Saying("approve", {**form, "args": edit.args}, tuple(changes(request, edit.args)))
    return Saying("approve", form)


def _deny(request: Request, typed: Mapping[str, str]) -> Saying | Unclear:
    picked, own = _picked(request.deny_reasons, typed.get("reason", "")), typed.get("own", "").strip()
    reason = ". ".join(each for each in (picked, own) if each)
    if not reason:
        pick = "pick a reason, or write one" if request.deny_reasons else "write your reason"
        return Unclear({"own": f"Say why: {pick}. The agent reads it, and may pass it on."})
    if typed.get("stop") == "yes" and can(request, "stop"):
        return Saying("stop", {"comment": reason, "stop": True})
    return Saying("deny", {"comment": reason})


def _answer(request: Request, typed: Mapping[str, str]) -> Saying | Unclear:
    picked, own = _picked(request.choices, typed.get("choice", "")), typed.get("own answer", "").strip()
    if picked and own:
        return Unclear({"own answer": f"You picked {picked!r} and wrote another answer. Leave one of them out."})
    answer = picked or own
    if not answer:
        return Unclear({"own answer": "Pick an answer, or write one." if request.choices else "Write your answer."})
    return Saying("answer", {"answer": answer})


def _picked(listed: tuple[str, ...], number: str) -> str:
    """What stands at a place of a list, counted from 1; "" for `OWN` and for no place."""
    return listed[int(number) - 1] if number in map(str, range(1, len(listed) + 1)) else ""


def _outcome(_request: Request, typed: Mapping[str, str]) -> Saying | Unclear:
    outcome = typed.get("outcome", "")
    if outcome not in OUTCOMES:
        return Unclear({"outcome": "Say what you found out."})
    return Saying(OUTCOMES[outcome], {"outcome": outcome, **_with_comment(typed.get("comment", ""))})


def _take_over(_request: Request, typed: Mapping[str, str]) -> Saying | Unclear:
    text = typed.get("text", "").strip()
    if not text:
        return Unclear({"text": "Write the answer: you give it in the agent's place."})
    return Saying("take over", {"answer": text})


def _with_comment(comment: str) -> dict[str, Json]:
    return {"comment": comment.strip()} if comment.strip() else {}


CHANGED = "approve changed"
"""The button that lets a change go which was looked at once more."""
_BUTTONS: dict[str, Callable[[Request, Mapping[str, str]], Saying | Unclear]] = {
    "approve": _approve,
    CHANGED: _approve,
    "deny": _deny,
    "answer": _answer,
    "outcome": _outcome,
    "take over": _take_over,
}

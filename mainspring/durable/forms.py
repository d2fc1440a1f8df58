"""Workflow side. The forms that come with a decision: what they may hold, checked before anything is recorded."""

from typing import Any, cast

from mainspring.contracts import names
from mainspring.core.answers import read_answer
from mainspring.core.approvals import OUTCOMES, Choice, Request, is_answer
from mainspring.core.canonical import Json, canonical
from mainspring.core.yaml_parts import read_time
from mainspring.durable.failures import failure
from mainspring.durable.fitting import misfit

_FIELDS = ("request", "comment", "answer", "args", "token", "binding")
_WORDS: tuple[Choice, ...] = ("answer", "take over")
"""Choices that a person makes with words of their own."""
_OF_OUTCOME: tuple[Choice, ...] = ("happened", "not happened", "give up")
_RIGHT: dict[str, tuple[Choice, ...]] = {
    "approval": ("approve", "deny", "stop", "take over"),
    "review": ("approve", "deny", "stop"),
    "question": ("answer", "deny", "stop", "take over"),
    "outcome": _OF_OUTCOME,
}
_MOMENTS = ("deadline", "remind", "escalate")
_LONGEST = 64 * 1024
"""Bytes of what a person writes."""


def read_form(form: Any, choice: Choice, said: str = "") -> dict[str, Json]:
    """A form as an object: a plain text is the comment, or the answer where that is what is asked for.

    `said` is the answer that the update's name stands for.

    Raises:
        ApplicationError: NotAccepted, when it is neither a text nor an object of the fields there are.
    """
    if isinstance(form, str):
        form = {"answer" if choice in _WORDS else "comment": form}
    if form is not None and not isinstance(form, dict):
        right = 'Data must be empty, a text in quotes, or an object such as {"comment": "checked with the shop"}.'
        raise failure("NotAccepted", right)
    given = cast("dict[str, Json]", form or {})
    if unknown := sorted(set(given) - set(_FIELDS)):
        known = ", ".join(map(repr, _FIELDS[:-1]))
        raise failure("NotAccepted", f"Unknown field {unknown[0]!r}; there are {known} and {_FIELDS[-1]!r}.")
    for name in ("comment", "token"):
        if given.get(name) is not None and not isinstance(given[name], str):
            raise failure("NotAccepted", f"{name!r} must be a text.")
    return {"answer": said, **given} if choice == "answer" and said else given


def read_choice(verb: str, form: dict[str, Json]) -> tuple[Choice, dict[str, Json]]:
    """What a stable update says, by its name and its form, and the rest of the form.

    Raises:
        ApplicationError: NotAccepted, for an outcome that there is not.
    """
    rest = dict(form)
    if verb == names.DENY:
        return ("stop" if rest.pop("stop", None) is True else "deny"), rest
    if verb == names.TAKE_OVER:
        return "take over", rest
    if verb == names.ANSWER and "answer" in rest:
        return "answer", rest
    if verb == names.ANSWER:
        outcome = rest.pop("outcome", None)
        if outcome not in OUTCOMES:
            known = ", ".join(map(repr, OUTCOMES))
            raise failure(
                "NotAccepted", f"outcome is {outcome!r}; it must be one of {known}. A question needs 'answer'."
            )
        return OUTCOMES[str(outcome)], rest
    return "approve", rest


def read_moments(form: Any) -> dict[str, float]:
    """The times of a form that moves a deadline, in seconds from now.

    Raises:
        ApplicationError: NotAccepted, where one is no time such as `2h`, or a field is not known.
    """
    given = cast("dict[str, Json]", form) if isinstance(form, dict) else {}
    if unknown := sorted(set(given) - {"request", "token", *_MOMENTS}):
        raise failure("NotAccepted", f"Unknown field {unknown[0]!r}; there are {', '.join(map(repr, _MOMENTS))}.")
    found = {name: float(read_time(str(given[name]))) for name in _MOMENTS if name in given}
    for name, seconds in found.items():
        if not seconds:
            raise failure("NotAccepted", f"{name!r} is {given[name]!r}, but must be such as '30m', '2h' or '3d'.")
    return found


def check_form(request: Request, choice: Choice, given: dict[str, Json]) -> None:
    """Refuse what does not go with the request.

    Raises:
        ApplicationError: NotAccepted, saying what would be right.
    """
    if (size := len(canonical(given).encode())) > _LONGEST:
        raise failure("NotAccepted", f"Data has {size} bytes, and may have {_LONGEST}.")
    if choice not in _RIGHT[request.kind]:
        right = "answer" if request.kind in ("outcome", "question") else "approve or deny"
        raise failure("NotAccepted", f"Request {request.id} is decided with {right}, not with {choice!r}.")
    if choice == "take over" and not request.can_take_over:
        why = "This call is a graph's own, so there is no conversation to take over."
        raise failure("NotAccepted", f"{why} Approve it or deny it.")
    if given.get("answer") is not None or choice in _WORDS:
        _check_answer(request, choice, given.get("answer"))
    if given.get("args") is not None:
        _check_args(request, choice, given["args"])


def _check_answer(request: Request, choice: Choice, answer: Json) -> None:
    if choice not in _WORDS and (request.kind != "review" or choice != "approve"):
        raise failure("NotAccepted", "'answer' goes with the approval of an answer only.")
    if request.kind == "review" and not is_answer(request):
        raise failure("NotAccepted", "This is what a graph's node gave. Change it with 'args', or deny it.")
    if request.answer_schema and choice != "answer":
        _check_typed(answer, request.answer_schema)
    elif not isinstance(answer, str) or not answer.strip():
        what = "your answer" if choice in _WORDS else "the text that is given instead"
        raise failure("NotAccepted", f"'answer' must be {what}: \"…\" in quotes.")


def _check_typed(answer: Json, schema: dict[str, Json]) -> None:
    """Refuse what is not an answer of the agent's type."""
    right = f"This answer has a type: {canonical(schema)[:2000]}"
    try:
        value = read_answer(answer) if isinstance(answer, str) else answer
    except ValueError as error:
        raise failure("NotAccepted", f"'answer' is not JSON ({error}). {right}") from None
    if not isinstance(value, dict):
        raise failure("NotAccepted", f"'answer' must be an object. {right}")
    if wrong := misfit(value, schema):
        raise failure("NotAccepted", f"'answer' does not fit: {wrong} {right}")


def _check_args(request: Request, choice: Choice, args: Json) -> None:
    """Refuse arguments that the tool cannot be called with. Only when a decision comes, never in a replay."""
    if request.kind not in ("approval", "review") or choice != "approve":
        raise failure("NotAccepted", "'args' goes with the approval of a call only.")
    if not request.input_schema:
        raise failure("NotAccepted", "This cannot be changed with 'args'. Approve it or deny it.")
    if not isinstance(args, dict):
        raise failure("NotAccepted", "'args' must be an object, such as {\"amount_cents\": 4000}.")
    if wrong := misfit({**request.args, **args}, request.input_schema):
        raise failure("NotAccepted", f"{request.tool} cannot be called so: {wrong}")


def reason_of(request: Request, choice: Choice, said: str, given: dict[str, Json]) -> str:
    """The reason as the model and the trace read it."""
    comment = str(given.get("comment") or "")
    reason = ". ".join(part for part in (said if said != "no reason given" else "", comment) if part)
    if choice == "deny":
        denied = "did not say why" if request.kind == "review" else "denied this call without giving a reason"
        return reason or f"A person {denied}."
    if choice == "stop":
        return f"A person denied {request.tool} and stopped the run" + (f": {reason}" if reason else ".")
    if choice == "give up":
        return f"A person gave up on {request.tool}, whose outcome is not known" + (f": {reason}" if reason else ".")
    return reason


def answer_of(given: dict[str, Json]) -> str:
    """The words that a person answers with; "" where there are none."""
    answer = given.get("answer")
    return answer if isinstance(answer, str) else canonical(answer) if answer else ""


def edited(request: Request, choice: Choice, given: dict[str, Json]) -> dict[str, Json]:
    """The arguments, or the answer under review, as a person who approves wants them."""
    args = given.get("args")
    if choice != "approve":
        return request.args
    if is_answer(request) and given.get("answer"):
        return {"answer": answer_of(given)}
    return {**request.args, **args} if isinstance(args, dict) else request.args

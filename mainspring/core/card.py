"""The card an approver reads: Markdown for the Temporal Web UI's current details.

Raw HTML and Markdown pass through there, so text of others stands in code only. The Web UI neither
wraps code nor scrolls it and gives the card half of the window: lines are broken here.
"""

import re
import textwrap
from typing import NamedTuple

from mainspring.core.approvals import Request, changed, choices, is_answer
from mainspring.core.canonical import Json, canonical
from mainspring.core.deciding import who_decides
from mainspring.core.words import amount, label, request_path, when

_SHOWN = 20
"""Requests that a card shows in full."""
_QUOTED = 1200
"""How many characters of the run's input the card shows."""
_LONGEST = 20_000
"""How many characters of one text: a workflow task has two seconds for all of it."""
_WIDTH = 56
"""Characters in a line of code that are visible in a browser window of 1,280 pixels."""
_MARKUP = re.compile(r"([\\`*_\[\]<>~$])")


def working(what: str) -> str:
    """The card of a run that waits for nobody."""
    return f"Working: {_code(what)}. Nothing waits for a person."


def session() -> str:
    """The card of a session, which waits for messages or answers one."""
    return "### Session\n\nIt answers messages, sent with the update `send`. Nothing waits for a person's decision.\n"


def paused() -> str:
    """The card of a run that a person has paused, and that waits for nobody else."""
    return "### Paused\n\nNo step begins until the update `resume`. Nothing else waits for a person.\n"


def stopped(how: str) -> str:
    """The card of a run that ended without an answer."""
    return f"### {how}\n\nNothing waits for a person.\n"


def ended(answer: str) -> str:
    """The card of a run that has ended."""
    return f"### Done\n\n{_block(answer)}\n"


class Place(NamedTuple):
    """Where a run stands: its namespace and workflow id, and the address of the inbox, "" where there is none."""

    namespace: str = ""
    run: str = ""
    inbox: str = ""

    def link(self, request: str) -> str:
        """Where a request is decided in the inbox, "" where there is none."""
        return self.inbox.rstrip("/") + request_path(self.namespace, self.run, request) if self.inbox else ""


_NOWHERE = Place()


def card(requests: list[Request], asked_with: str, user: str = "", place: Place = _NOWHERE) -> str:
    """The card of a run that waits: one section a request, oldest first, then what the run was given.

    Of very many requests the oldest are shown: the card is made anew with each, and a run may not take long over it.
    """
    parts = [_section(request, place) for request in requests[:_SHOWN]]
    if (more := len(requests) - _SHOWN) > 0:
        parts.append(f"### {more} more wait\n\nThey come up here in turn. `mainspring approvals` lists all of them.\n")
    parts.append(
        "### What the run was given\n\n"
        f"{f'For user {_code(user)}. ' if user else ''}"
        "Quoted as it came in. Nothing in it is an instruction to you.\n\n"
        f"{_block(asked_with[:_QUOTED])}\n"
    )
    if (left := len(asked_with) - _QUOTED) > 0:
        parts.append(f"({left:,} more characters: all of it stands under *Input* on the *Timeline* tab.)\n")
    return "\n".join(parts)


def _section(request: Request, place: Place) -> str:
    return (
        f"### Request {request.id}: {_asks(request)}\n\n"
        f"{_question(request) if request.kind == 'question' else _facts(request.args)}\n\n"
        f"{_why(request)}\n\n"
        f"{_who(request)}"
        f"{_how(request, place)}\n\n"
        f"{_then(request, when(request.deadline))}\n"
    )


def _who(request: Request) -> str:
    """Who decides, who has, and what comes before the deadline."""
    said = [f"**Who decides:** {_plain(who_decides(request))}."] if who_decides(request) else []
    said += [f"{_code(vote.identity.words)}: {vote.choice}." for vote in request.votes]
    if request.proposed is not None:
        said.append(f"Changed by whoever agreed: {_code(changed(request.proposed, request.args))}.")
    said += [f"Reminder: {when(request.remind)}."] if request.remind else []
    if request.escalate and request.route:
        said.append(f"Escalated to {_plain(', '.join(request.route.to))}: {when(request.escalate)}.")
    if request.stage != "asked":
        said.append(f"It was {request.stage}.")
    return f"{' '.join(said)}\n\n" if said else ""


def _how(request: Request, place: Place) -> str:
    """How to decide: by the names of updates, and where who decides matters by a way that tells who it is."""
    link = place.link(request.id)
    inbox = f"[in the inbox]({link})" if link else ""
    if request.route and request.route.asks_who:
        command = _code(f"mainspring {'answer' if request.kind == 'question' else 'approve'} {place.run} {request.id}")
        where = f"{inbox}, or with {command}" if inbox else f"with {command}"
        return f"**How to decide:** this page does not say who you are, so decide {where}."
    names = "\n".join(f"- {_code(name)}" for name in choices(request))
    return (
        "**How to decide:** at the top of this page open *More Actions*, then *Send an Update*. "
        "Pick one of these names, leave *Data* empty (for your own words, write them there in quotes), press *Submit*"
        f"{f'; or decide {inbox}' if inbox else ''}:\n\n{names}"
    )


def _asks(request: Request) -> str:
    """The question, and who wants what."""
    tool, agent = _code(request.tool), _code(request.agent)
    if is_answer(request):
        return f"may this answer be given?\n\nAgent {agent} wants to answer:"
    if request.kind == "review":
        return f"may {tool} give this?\n\nGraph {agent} goes on with it:"
    if request.kind == "question":
        return f"a question\n\nAgent {agent} asks you:"
    if request.kind == "approval":
        return f"may {tool} run?\n\nAgent {agent} wants to run {tool}. {_plain(request.about)}"
    return f"did {tool} happen?\n\nAgent {agent} ran {tool}. {_plain(request.about)}"


def _why(request: Request) -> str:
    if request.kind == "outcome":
        return (
            f"**Why you are asked:** the call ended without a known result ({_code(request.reason)}). "
            "It is never repeated on its own. Look where it would show, then answer."
        )
    if request.kind == "question":
        return "**Why you are asked:** the agent wants to know it, and goes on with your answer."
    rule = f" (rule {_code(request.rule)})" if request.rule else ""
    return f"**Why you are asked:** {_plain(request.reason)}{rule}"


def _then(request: Request, deadline: str) -> str:
    if request.kind == "approval":
        other = (
            'With *Data* such as `{"args": {…}}` it runs with the values given there. ' if request.input_schema else ""
        )
        return (
            f"**What happens then:** approved, it runs with exactly these values. {other}Denied, it does not run, and "
            f"the agent is told the reason, which it may pass on. {_late(request, deadline, 'it is denied')}"
        )
    if request.kind == "review":
        if not is_answer(request):
            return (
                "**What happens then:** approved, the graph goes on with it. "
                'With *Data* such as `{"args": {…}}` it goes on with the values given there. '
                f"Denied, it fails. {_late(request, deadline, 'it fails')}"
            )
        other = "of its type is" if request.typed else "your words are"
        return (
            "**What happens then:** approved, this answer is given. "
            f'With *Data* `{{"answer": "…"}}` {other} given instead. Denied, the agent is told the reason and '
            f"answers again. {_late(request, deadline, 'no answer is given and the run fails')}"
        )
    if request.kind == "question":
        return (
            "**What happens then:** the agent is told your answer. "
            f"{_late(request, deadline, 'the agent is told that nobody answered')}"
        )
    return (
        "**What happens then:** if it happened, the agent goes on; if not, it runs now, with exactly these values; "
        f"to give up ends the run as failed. {_late(request, deadline, 'it is given up')}"
    )


def _late(request: Request, deadline: str, otherwise: str) -> str:
    """What the deadline brings."""
    route = request.route
    if route and route.then == "hand over" and request.stage != "handed over":
        otherwise = f"it is handed over to {_plain(', '.join(route.hand_to))}"
    elif route and route.then in ("approve", "playbook"):
        otherwise = "it is approved" if route.then == "approve" else "the agent goes on by its playbook"
    return f"If nobody decides by {deadline}, {otherwise}."


def _facts(args: dict[str, Json]) -> str:
    """Short values as a list; below it each long one as a block, since the list could not hold one safely."""
    texts = {name: value if isinstance(value, str) else canonical(value) for name, value in args.items()}
    short = [f"- {_label(name)}: {_shown(name, args[name])}" for name, text in texts.items() if len(text) <= _WIDTH]
    long = [f"{_label(name)}:\n\n{_block(text)}" for name, text in texts.items() if len(text) > _WIDTH]
    return "\n\n".join(["\n".join(short), *long])


def _question(request: Request) -> str:
    """What an agent asks, with its choices, counted as the updates' names count them."""
    listed = "\n".join(f"- choice {at}: {_code(each)}" for at, each in enumerate(request.choices, 1))
    return f"{_block(str(request.args.get('question', '')))}\n\n{listed}".rstrip()


def _label(name: str) -> str:
    return label(name) if name.isidentifier() else _code(name)


def _shown(name: str, value: Json) -> str:
    if whole := amount(name, value):
        return f"**{whole}** ({value} cents)"
    return _code(value if isinstance(value, str) else canonical(value))


def _visible(line: str) -> str:
    """What cannot be seen, or turns the direction of writing, must not change what an approver reads."""
    return "".join(each if each.isprintable() else "·" for each in line.expandtabs(4))


def _plain(text: str) -> str:
    """Text as it stands, on one line; a `$` or `_` in it starts nothing."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Text of anybody on one line; what cannot end the code stands in for the character that would."""
    line = _visible(" ".join(text.replace("`", "'").split()))
    return f"`{line}`" if line else "(empty)"


def _block(text: str) -> str:
    """Text of anybody as a code block; indented, since a fence could be closed from within."""
    shown = text[:_LONGEST].splitlines()
    lines = (textwrap.wrap(_visible(line), _WIDTH, break_on_hyphens=False) or [""] for line in shown)
    block = "\n".join(f"    {piece}" for pieces in lines for piece in pieces) or "    "
    left = len(text) - _LONGEST
    return f"{block}\n\n({left:,} more characters stand in the run's history.)" if left > 0 else block

"""The card an approver reads: Markdown for the Temporal Web UI's current details.

Raw HTML and Markdown pass through there, so text of others stands in code only. The Web UI neither
wraps code nor scrolls it and gives the card half of the window: lines are broken here.
"""

import re
import textwrap

from mainspring.core.approvals import Request, choices
from mainspring.core.canonical import Json, canonical

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


def card(requests: list[Request], asked_with: str, deadlines: dict[str, str], user: str = "") -> str:
    """The card of a run that waits: one section a request, oldest first, then what the run was given.

    `deadlines` are readable times by request id. Of very many requests the oldest are shown: the card is made anew with
    each, and a run may not take long over it.
    """
    parts = [_section(request, deadlines[request.id]) for request in requests[:_SHOWN]]
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


def _section(request: Request, deadline: str) -> str:
    names = "\n".join(f"- {_code(name)}" for name in choices(request))
    return (
        f"### Request {request.id}: {_asks(request)}\n\n"
        f"{_facts(request.args)}\n\n"
        f"{_why(request)}\n\n"
        "**How to decide:** at the top of this page open *More Actions*, then *Send an Update*. "
        f"Pick one of these names, leave *Data* empty, press *Submit*:\n\n{names}\n\n"
        f"{_then(request, deadline)}\n"
    )


def _asks(request: Request) -> str:
    """The question, and who wants what."""
    tool, agent = _code(request.tool), _code(request.agent)
    if request.kind == "review":
        return f"may this answer be given?\n\nAgent {agent} wants to answer:"
    if request.kind == "approval":
        return f"may {tool} run?\n\nAgent {agent} wants to run {tool}. {_plain(request.about)}"
    return f"did {tool} happen?\n\nAgent {agent} ran {tool}. {_plain(request.about)}"


def _why(request: Request) -> str:
    if request.kind == "outcome":
        return (
            f"**Why you are asked:** the call ended without a known result ({_code(request.reason)}). "
            "It is never repeated on its own. Look where it would show, then answer."
        )
    rule = f" (rule {_code(request.rule)})" if request.rule else ""
    return f"**Why you are asked:** {_plain(request.reason)}{rule}"


def _then(request: Request, deadline: str) -> str:
    if request.kind == "approval":
        other = (
            'With *Data* such as `{"args": {…}}` it runs with the values given there. ' if request.input_schema else ""
        )
        return (
            f"**What happens then:** approved, it runs with exactly these values. {other}Denied, it does not run, and "
            f"the agent is told the reason, which it may pass on. If nobody decides by {deadline}, it is denied."
        )
    if request.kind == "review":
        other = "" if request.typed else 'With *Data* `{"answer": "…"}` your words are given instead. '
        return (
            f"**What happens then:** approved, this answer is given. {other}Denied, the agent is told the reason and "
            f"answers again. If nobody decides by {deadline}, no answer is given and the run fails."
        )
    return (
        "**What happens then:** if it happened, the agent goes on; if not, it runs now, with exactly these values; "
        f"to give up ends the run as failed. If nobody answers by {deadline}, it is given up."
    )


def _facts(args: dict[str, Json]) -> str:
    """Short values as a list; below it each long one as a block, since the list could not hold one safely."""
    texts = {name: value if isinstance(value, str) else canonical(value) for name, value in args.items()}
    short = [f"- {_label(name)}: {_shown(name, args[name])}" for name, text in texts.items() if len(text) <= _WIDTH]
    long = [f"{_label(name)}:\n\n{_block(text)}" for name, text in texts.items() if len(text) > _WIDTH]
    return "\n\n".join(["\n".join(short), *long])


def _label(name: str) -> str:
    return name.removesuffix("_cents").replace("_", " ") if name.isidentifier() else _code(name)


def _shown(name: str, value: Json) -> str:
    if name.endswith("_cents") and isinstance(value, int):
        return f"**{value / 100:,.2f}** ({value} cents)"
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

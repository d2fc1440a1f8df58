"""Writes `docs/reference/` from the code: `python docs/generate.py`. A test fails where the files are stale.

What the code knows (names, types, defaults) is read from it. What a name means stands in the tables of words below; a
name without words, or words without a name, stop the script.
"""

# ruff: noqa: INP001 - a script beside the documents, not a package

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from typer.main import get_command

from mainspring import errors
from mainspring.adapters.recognisers import KINDS
from mainspring.cli import app
from mainspring.contracts import names
from mainspring.contracts.carried import Exchange
from mainspring.contracts.run import RunInput, RunResult, Totals
from mainspring.core.approvals import Request, choices
from mainspring.core.facts import FACTS
from mainspring.core.messages import Done
from mainspring.core.policy import VERDICTS_AT, Point, Way
from mainspring.core.route_schema import APPROVALS, DELEGATION, ROUTE
from mainspring.core.rule_schema import LIMIT, RULE, rule_schema
from mainspring.durable import failures
from mainspring.settings import PREFIX, Settings
from mainspring.telemetry import attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py from the code. Do not edit. -->"

ORDER = (
    "A flag of the command line goes before the environment, and the environment before `mainspring.toml`. "
    "A wrong or unknown setting stops the start with a sentence."
)
CONNECTION = (
    "The connection to Temporal is configured as for every Temporal SDK: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, "
    "`TEMPORAL_API_KEY`, `TEMPORAL_PROFILE`, the `TEMPORAL_TLS_` variables."
)
START = (
    f"The workflow type is the name of an agent or graph, the task queue `{names.TASK_QUEUE}`. "
    "Any Temporal client can start a run, decide its requests and read its result."
)
WAITS = (
    f"`{names.WAITS_FOR}` (Keyword) is `approval: TOOL` or `outcome: TOOL` while a run waits, `{names.DECIDERS}` "
    f"(KeywordList) has the groups and roles that may decide, and `{names.DUE}` (Datetime) is the first deadline. All "
    "are unset otherwise."
)
SETTINGS = {
    "approval_keys": "the file of the keys that Mainspring itself signs with; it must be there, and workers on several "
    "machines need the same. Without it, `approval-keys.json` in the state folder, which is made",
    "approvers": "who is trusted to say [who decides](../how-to/verify-approvers.md): tables with `keys`, and "
    "`issuer`, `audience`, `roles`, `person` for an identity provider",
    "inbox_hours": "how many hours after a login people log in again in the [inbox](../how-to/use-the-inbox.md)",
    "inbox_oidc_client_id": "what the identity provider knows the inbox by",
    "inbox_oidc_issuer": "the address of the identity provider at which people log in, as it calls itself",
    "inbox_oidc_roles": "the claim with a person's roles or groups; a dot leads into an object",
    "inbox_oidc_secret": "the inbox's secret at the identity provider",
    "inbox_secret": "signs the cookies of the inbox, 32 characters or more; without it one is made at each start",
    "inbox_url": "where browsers find the inbox; links on cards and in notices lead there",
    "limits": "where [limits](../how-to/limit-use.md) are counted: an address such as `redis://host:6379`, or "
    "`memory://` for one process alone; without it a file in the state folder",
    "model": "the model of agents that name none: `playbook`, or `provider:name`",
    "notify": "the channels by which [people are told](../how-to/notify-approvers.md) that a request waits: URLs by "
    "name. A part of it can have a variable of its own, such as `MAINSPRING_NOTIFY__OPS__URL`",
    "notify_templates": "a folder with the words of notices; without it ours",
    "payloads": "where payloads over 128 KiB go: a folder that all workers see, `s3://bucket/prefix`, or `none`; "
    "without it `payloads` in the state folder",
    "patterns": "more recognisers: RE2 patterns by the kind of what they find, such as `{employee = 'E-[0-9]{6}'}`",
    "presidio": "whether presidio finds personal data too (extra `presidio`)",
    "token_key": "64 hex characters that tokens are made with; workers on several machines need the same. Without it, "
    "`token.key` in the state folder",
    "state": "the folder for everything kept on this machine",
    "task_queue": "the Temporal task queue that workers serve",
    "ui_url": "where Temporal's Web UI is, for links in notices, such as `http://localhost:8233`",
    "otlp_endpoint": "where spans go besides the local file; nowhere without it",
}
FAILURES = {
    "BadInput": "the input of the start cannot be used; the message names the field and what is right",
    "UnknownName": "no worker serves an agent or graph of that name; the message says what there is",
    "NotAdmitted": "the worker could not look the definition up: too large, or memory that cannot be read",
    "Refused": "a rule at `input` denied the run",
    "StepLimit": "an agent was not done after `Agent(max_steps=…)` replies, nor after as many of its playbook",
    "MalformedReply": "the model was shown its mistake twice and repeats it",
    "ModelFailed": "every attempt at a reply failed; the message names agent, step and cause",
    "UnknownOutcome": "nobody could say whether a `once` call took effect",
    "ContextFull": "what the model must read does not fit its context window, even made as short as can be",
    "NotReviewed": "nobody reviewed an answer by its deadline, or what a graph's node gave was denied",
    "Stopped": "a person denied a request and stopped the run; the message has the reason",
    "NotContinued": "the run could not go on in a new history: too much to take along, or a text that is not there",
    "GraphFailed": "a node or router of a graph raised an error; the message names it",
    "NotAccepted": "an update was refused; the run itself goes on",
}
SPANS = {
    "OPERATION": "`chat`, `execute_tool`, `invoke_agent` or `invoke_workflow`",
    "PROVIDER": "who ran the model; `mainspring` for the playbook",
    "MODEL": "the model that answered, as the provider names it",
    "INPUT_TOKENS": "tokens in, as the provider counted",
    "OUTPUT_TOKENS": "tokens out",
    "TOOL": "the tool that was called",
    "AGENT": "the agent",
    "WORKFLOW": "the graph, on the root span of its run",
    "SESSION": "the run's `session`",
    "ERROR_TYPE": "the kind of error",
    "WORKFLOW_ID": "the workflow id, on the root span",
    "RUN": "the first execution run id, on every span",
    "STEP": "the step's id, on every span",
    "TENANT": "the run's `tenant`",
    "NODE": "the graph's node",
    "OUTCOME": "how the run ended",
    "NOTES": "how many notes memory gave",
    "COST": "list price in millionths of a US dollar; absent where it is not known",
    "WHY": "why the model chose this: for the playbook the row, the intent, the filled slots",
    "OVERFLOW": "tokens of a thread that was too long for the model, which was not asked",
    "LEFT_OUT": "how many messages a `compact` step left out",
    "BEFORE": "tokens before that, as counted here",
    "AFTER": "tokens after that",
    "UNUSABLE": "the reply could not be used and was sent back",
    "STATUS": "how a tool call ended: `ok`, `error` or `denied`",
    "VERDICT": "what the rules said; also the name of the event for each call of a reply",
    "RULE": "the rule that said it",
    "MATCHED": "every rule that matched; one that only looks on after `shadow:`, one that failed after `failed:`",
    "INSTEAD": "why the playbook answered in the model's place: `failed`, `not cleared`, `step limit`, or the rule",
    "VERDICT_TOOL": "the tool that a verdict is about",
    "PERMIT": "who permitted the call: `rule` or `person`",
    "REQUEST": "the request that permitted it, or that is waited for",
    "ASKED": "what kind of request it is: `approval`, `review`, `question` or `outcome`",
    "ROUTE": "the route that a request went",
    "DEADLINE": "when the wait ends by itself, in seconds since 1970",
    "DECISION": "what was decided",
    "REASON": "the reason, where it is one that the policy lists",
    "EDITED": "the arguments that a person changed, by name",
    "DECIDED_BY": "who decided, and how that is known",
    "TOTAL": "begins the totals on the root span, such as `mainspring.total.model_calls`",
}
UPDATES = {
    names.APPROVE: (
        '{"request": "1", "comment": ""}',
        "the call runs, the answer is given; with `answer` this one instead",
    ),
    names.DENY: ('{"request": "1", "comment": "why"}', "it does not run; the agent reads the comment"),
    names.ANSWER: (
        '{"request": "1", "outcome": "happened"}',
        "says how the call ended; or `not-happened`, or `give-up`",
    ),
    names.SEND: ('"…" or {"message": "…"}', "a session takes the message; gives its number at once"),
    names.REPLY: ('{"message": 1}', "waits for the answer; comes back unanswered where the run continues as new"),
    names.STEER: ('"…" or {"note": "…"}', "the agents at work read the note before their next message"),
    names.PAUSE: ("nothing", "no further step begins; what has begun goes on to its end"),
    names.RESUME: ("nothing", "steps begin again"),
    names.FINISH: ("nothing", "the session ends once the messages that wait are answered"),
}
GIVES = (
    "An update with an id that the run has handled before gives what it gave then, also after the run has continued "
    "as new. `send` and `reply` give:\n\n"
)


def commands() -> str:
    """Every command with its arguments and options."""
    parts = ["# Commands", "`mainspring COMMAND --help` says the same."]
    for name, command in _each_command(get_command(app)):
        parameters = [p for p in command.params if p.name != "help"]
        usage = " ".join([f"mainspring {name}", *(p.name.upper() for p in parameters if not p.opts[0].startswith("-"))])
        parts += [f"## mainspring {name}", f"{command.help}", f"```text\n{usage}\n```"]
        rows = [(_option(p), p.help or "", _default(p)) for p in parameters]
        parts += [table(("Argument", "Is", "Default"), rows)] if rows else []
    return page(parts)


def _each_command(group: Any, before: str = "") -> Iterable[tuple[str, Any]]:
    """The commands of a group by name, and in place of a group in it that group's."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _each_command(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def settings() -> str:
    """Every setting with its variable, key and default."""
    matched("settings", Settings.model_fields, SETTINGS)
    rows: list[tuple[str, ...]] = []
    for name, field in Settings.model_fields.items():
        ours = f"{PREFIX}{name.upper()}"
        shown = " or ".join(f"`{a}`" for a in field.validation_alias.choices) if field.validation_alias else f"`{ours}`"  # type: ignore[union-attr]
        key = "-" if field.validation_alias else f"`{name}`"
        usual = field.get_default(call_default_factory=True)
        rows.append((shown, key, SETTINGS[name], f"`{usual}`" if str(usual or "") or usual is False else "-"))
    state = Settings.model_fields["state"].default
    made = Settings.model_construct(state=state)
    kept = [(f"`{getattr(made, n)}`", _sentence(getattr(Settings, n))) for n in dir(Settings) if _is_file(n)]
    return page([
        "# Settings",
        ORDER,
        table(("Variable", "Key in `mainspring.toml`", "Is", "Default"), rows),
        CONNECTION,
        f"## In the state folder (`{state}`)",
        table(("File or folder", "Is"), kept),
    ])  # fmt: skip


def rule_facts() -> str:
    """What rules can read at each point, and what a rule consists of."""
    points = get_args(Point)
    said = [(f"`{point}`", POINTS[point], ", ".join(f"`{v}`" for v in VERDICTS_AT[point])) for point in points]
    matched("points", points, POINTS)
    facts = [
        (f"`{name}`", fact.kind, "every" if len(fact.points) == len(points) else ", ".join(fact.points), fact.about)
        for name, fact in FACTS.items()
    ]
    done = [(f"`r.{name}`", DONE[name]) for name in matched("results", Done.model_fields, DONE)]
    return page([
        "# Rules",
        "[Write rules](../how-to/write-rules.md) shows them at work. For editors: a [JSON Schema](rules.schema.json).",
        "## A rule", keys(RULE),
        "## A limit", keys(LIMIT),
        "## The section `approvals`", keys(APPROVALS),
        "## A route", ROUTES, keys(ROUTE),
        "## A delegation", keys(DELEGATION),
        "## Points and verdicts", table(("Point", "Is asked", "Verdicts"), said),
        "## Ways to redact", table(("`with`", "What stands there instead"), [(f"`{way}`", WAYS[way]) for way in
                                   matched("ways", get_args(Way), WAYS)]),
        "## Facts", table(("Fact", "Type", "At", "Is"), facts),
        "At `input`, `agent` is each agent that the run may reach, in turn: one that denies refuses the run.",
        "## Facts that a tool declares", table(("Fact", "Type", "At", "Is"), OF_TOOLS),
        "## What `results` holds", "An element `r` of `results` has:", table(("Field", "Is"), done),
    ])  # fmt: skip


def keys(described: Mapping[str, tuple[object, str]]) -> str:
    """The keys of a part of a rule file, in words."""
    return table(("Key", "Is"), [(f"`{name}`", words) for name, (_, words) in described.items()])


def rule_form() -> str:
    """The JSON Schema of a rule file, for editors that are told an address."""
    return json.dumps(rule_schema(kinds=KINDS), indent=2) + "\n"


POINTS = {
    "input": "when a run is let in, and for each message of a session",
    "tool_call": "for each call of a tool, before the reply that makes it is recorded",
    "tool_result": "when a tool has run, before its result is recorded",
    "output": "when an agent answers, before that is recorded",
}
ROUTES = (
    "A request goes the first route of its point and tool whose condition holds; without one, anybody may decide. "
    "The routes of a file come before those of the files that it includes."
)
WAYS = {
    "remove": "the kind, such as `[card]`",
    "mask": "stars, and the last four characters",
    "hash": "the kind and a digest that is the same throughout the run, such as `[card 1f0c9a55d2b7]`",
    "token": "an encrypted form such as `<card#…>`; a tool of the run is given what it stands for",
}
SUM = (
    "the sum of a number that is an argument, over all calls of the tool in this thread that ran, and this one; at "
    "`tool_call`, earlier calls of the same reply count as if they had run, before that is known"
)
OF_TOOLS = [
    ("`args.NAME`", "as declared", "tool_call, tool_result", "an argument of the tool that the rule names"),
    ("`args`", "map", "tool_call, tool_result", "all arguments, in a rule that names no tool"),
    ("`total.NAME`", "as declared", "tool_call, tool_result", SUM),
    ("`total.calls`", "int", "tool_call, tool_result", "how many calls that are, this one included"),
    ("`result.NAME`", "as declared", "tool_result", "a field of the result, where the tool returns an object"),
    ("`result`", "as declared", "tool_result", "the result, where it is no object or the rule names no tool"),
]  # fmt: skip
DONE = {
    "tool": "name of the tool",
    "args": "its arguments",
    "value": "its result; null for an earlier call of the same reply",
    "status": "`ok`, `error` or `denied`",
    "ran": "true for an `error` after which the tool had done its work: its result was withheld, or too large",
}


def failure_types() -> str:
    """The error classes, and the types that runs fail with."""
    matched("failures", get_args(failures.Kind), FAILURES)
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n")
    return page([
        "# Errors",
        "## How a run fails",
        "The type of the `ApplicationError` that a run or an update ends with. The message is for a person.",
        table(("Type", "Means"), [(f"`{kind}`", FAILURES[kind]) for kind in get_args(failures.Kind)]),
        "## What Python code can catch",
        f"```text\n{inspect.cleandoc(tree[1])}\n```",
        "A tool raises these as signals to the engine:",
        table(("Raise", "When"), [(f"`{e.__name__}`", _sentence(e)) for e in (errors.ToolError, errors.NotDone)]),
    ])  # fmt: skip


def spans() -> str:
    """Every span attribute."""
    found = {name: value for name, value in vars(attributes).items() if name.isupper()}
    matched("attributes", found, SPANS)
    ids = [
        ("`invoke_agent NAME`, `invoke_workflow NAME`", "a run of an agent, of a graph; or an agent within a run"),
        ("`admit`", "the admission"),
        ("`chat MODEL`", "one reply of a model; its events hold the verdict on each call"),
        ("`execute_tool NAME`", "one tool call"),
        ("`wait for a person: NAME`", "from the question to the decision"),
        ("`node NAME`", "one execution of a graph's node"),
    ]
    return page([
        "# Spans",
        "One trace a run. Names of attributes are OpenTelemetry's GenAI conventions where these have one.",
        table(("Span", "Is"), ids),
        "## Attributes",
        table(("Attribute", "Is"), [(f"`{value}`", SPANS[name]) for name, value in found.items()]),
        "No attribute holds what a person, a model or a tool said.",
    ])  # fmt: skip


def contracts() -> str:
    """What clients see of a run: input, result, updates, query, search attribute."""
    ask = Request(
        id="1", kind="approval", step="5", agent="refund-agent", tool="issue_refund", args={}, args_digest="", rule="",
        reason="", asked=0, deadline=0, deny_reasons=("not enough evidence",),
    )  # fmt: skip
    run_time = [*choices(ask), *choices(ask.model_copy(update={"kind": "outcome"}))]
    return page([
        "# Runs, updates, queries",
        START,
        "## Input", "A string, or an object:", fields(RunInput), _about(RunInput),
        "## Result", fields(RunResult), "`totals`:", fields(Totals), _about(Totals),
        "## Updates", GIVES + fields(Exchange),
        table(("Update", "Takes", "Does"), [(f"`{n}`", f"`{form}`", does) for n, (form, does) in UPDATES.items()]),
        "While a request waits, there are updates named after it. They take nothing, or an object with a `comment`:",
        "\n".join(f"- `{name}`" for name in run_time),
        "## Queries", f"`{names.WAITING}` gives the open requests, oldest first:", fields(Request), _about(Request),
        f"`{names.MESSAGES}` gives the newest messages of a session, oldest first, in the shape that `send` gives.",
        "## Search attribute",
        WAITS,
    ])  # fmt: skip


def matched(what: str, there: Iterable[str], said: Mapping[str, str]) -> list[str]:
    """The names, where each has words and each word a name."""
    if odd := set(there) ^ set(said):
        raise SystemExit(f"docs/generate.py: the words for {what} do not fit the code: {', '.join(sorted(odd))}")
    return list(there)


def fields(model: type[BaseModel]) -> str:
    """A table of a payload's fields."""
    rows = [
        (f"`{name}`", _type(field.annotation), "required" if field.is_required() else f"`{_shown(field.default)}`")
        for name, field in model.model_fields.items()
    ]
    return table(("Field", "Type", "Default"), rows)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def page(parts: list[str]) -> str:
    """A whole document."""
    return "\n\n".join([parts[0], NOTE, *parts[1:]]) + "\n"


def _option(parameter: Any) -> str:
    return f"`{parameter.opts[0] if parameter.opts[0].startswith('-') else parameter.name.upper()}`"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    shown = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    return str(shown) if shown else "-"


def _is_file(name: str) -> bool:
    return name.endswith(("_file", "_folder")) and isinstance(getattr(Settings, name, None), property)


def _sentence(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").split("\n\n")[0]


def _about(model: type[BaseModel]) -> str:
    return " ".join((inspect.getdoc(model) or "").split())


def _type(annotation: Any) -> str:
    name = annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
    return "JSON" if "JsonValue" in name or "JsonValue" in str(get_args(annotation)) else re.sub(r"\b\w+\.", "", name)


def _shown(default: Any) -> str:
    return "{}" if isinstance(default, Totals) else repr(default)


PAGES = {
    "commands.md": commands,
    "settings.md": settings,
    "rules.md": rule_facts,
    "rules.schema.json": rule_form,
    "errors.md": failure_types,
    "spans.md": spans,
    "contracts.md": contracts,
}


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for file, make in PAGES.items():
        (REFERENCE / file).write_text(make(), encoding="utf-8")

"""A rule file: its text, read into a `Policy`, or refused with the place of every mistake.

Pure: text in, values out. What a rule's condition means over the tools of an agent is checked in
`core.rules`, which also says how rules are judged.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import cast, get_args

from mainspring.core.limit_file import parse_limits
from mainspring.core.marked_yaml import Part, Problems, ProblemsByFile, read
from mainspring.core.policy import (
    OURS,
    VERDICTS_AT,
    FileRef,
    Point,
    Policy,
    Role,
    Rule,
    Severity,
    Trial,
    Verdict,
    Way,
    joined,
)
from mainspring.core.route_file import parse_approvals
from mainspring.core.spec import RuleText
from mainspring.core.yaml_parts import (
    check_apart,
    check_id,
    fields_of,
    items_of,
    listed,
    one_of,
    one_or_more,
    text_of,
    value_of,
)
from mainspring.errors import PolicyError, did_you_mean

_NEEDED = ("id", "point", "when", "verdict", "reason")
_KEYS = (
    *("id", "title", "point", "tool", "when", "check", "verdict", "redact", "with", "reason"),
    *("severity", "owner", "shadow", "tests"),
)
_SECTIONS = ("include", "tenants", "approvals", "limits", "rules")
_CALLED: dict[Role, str] = {
    "": "a rule file",
    "base": "a rule file",
    "included": "a rule file that another includes",
    "overlay": "a tenant's rule file",
}
_SECTIONS_OF: dict[Role, tuple[str, ...]] = {
    "": _SECTIONS,
    "base": ("rules",),
    "included": ("include", "approvals", "limits", "rules"),
    "overlay": ("limits", "rules"),
}
_TIGHTER: tuple[Verdict, ...] = ("deny", "ask", "redact", "playbook")


def assemble(texts: Iterable[RuleText]) -> Policy:
    """One policy of the files that an agent's rules are made of, the agent's own file last but for its overlay.

    Raises:
        PolicyError: a file is wrong, or two rules have one id.
    """
    policies: list[Policy] = []
    overlays: list[Policy] = []
    for each in texts:
        policy = parse(each.text, each.source, role=each.role)
        (overlays if each.role == "overlay" else policies).append(policy)
    return joined([*overlays, *policies])


def check_kinds(rules: Iterable[Rule], kinds: Iterable[str]) -> None:
    """Refuse rules that redact what nothing finds.

    Raises:
        PolicyError: at the first one; further ones follow in the same message.
    """
    known = frozenset(kinds)
    files = ProblemsByFile()
    for rule in {(rule.source, rule.at): rule for rule in rules}.values():
        for kind in rule.redact:
            if kind not in known:
                files[rule.source].wrong(
                    rule.at, f"rule {rule.id!r}: nothing finds {kind!r}.{did_you_mean(kind, known)}"
                )
    files.close()


@lru_cache(maxsize=256)
def parse(text: str, source: str, role: Role = "") -> Policy:
    """Read a rule file, the same text once; `source` is its name in messages.

    An `included` file has no tenants. An `overlay` has rules and limits only, and may only make it stricter.

    Raises:
        PolicyError: at the first wrong line; further mistakes follow in the same message.
    """
    problems = Problems(source)
    page = read(text, problems)
    if not page.line:
        raise PolicyError(source, 0, "the file is empty. Write 'rules:' and the first rule.")
    known = _SECTIONS_OF[role]
    sections = fields_of(problems, page, _CALLED[role], known)
    rules = [_rule(problems, part, role) for part in items_of(problems, sections.get("rules"), "'rules'")]
    _check_rules(problems, [rule for rule in rules if rule], role)
    approvals = parse_approvals(problems, sections.get("approvals"))
    limits = parse_limits(problems, sections.get("limits"))
    include = [_file(problems, part, "a file to include") for part in one_or_more(problems, sections.get("include"))]
    tenants = _tenants(problems, sections.get("tenants"))
    problems.close()
    return Policy(
        rules=tuple(filter(None, rules)),
        limits=tuple(limits),
        deadline=approvals.deadline,
        deny_reasons=approvals.deny_reasons,
        people=approvals.people,
        routes=approvals.routes,
        include=tuple(include),
        tenants=tenants,
        source=source,
    )


def _check_rules(problems: Problems, rules: Sequence[Rule], role: Role) -> None:
    check_apart(problems, "rule", [(rule.id, rule.at) for rule in rules])
    for rule in rules:
        if rule.id.startswith(OURS) and role != "base":
            problems.wrong(rule.at, f"rule {rule.id!r}: ids that begin with {OURS!r} are those of the engine's own.")
        if role == "overlay" and rule.verdict not in _TIGHTER:
            tighter = listed(_TIGHTER, "or")
            problems.wrong(rule.at, f"rule {rule.id!r}: a tenant's rules may only make it stricter: {tighter}.")


def _file(problems: Problems, part: Part, what: str) -> FileRef:
    return FileRef(path=text_of(problems, part, what), at=(part.line, part.column))


def _tenants(problems: Problems, part: Part | None) -> dict[str, FileRef]:
    if part is None:
        return {}
    if not isinstance(part.value, dict):
        problems.wrong(part, "'tenants' must hold a rule file for each tenant: its name, a colon and the path.")
        return {}
    return {name: _file(problems, path, f"the file of tenant {name!r}") for name, path in part.value.items()}


def _rule(problems: Problems, part: Part, role: Role) -> Rule | None:
    given = part.value.get("id") if isinstance(part.value, dict) else None
    label = f"rule {given.value!r}" if given and isinstance(given.value, str) else "a rule"
    fields = fields_of(problems, part, label, _KEYS)
    if not isinstance(part.value, dict):
        return None
    lists = ("tests", "redact")
    texts = {k: text_of(problems, field, f"{k!r} of {label}") for k, field in fields.items() if k not in lists}
    if missing := _missing(fields):
        problems.wrong(part, f"{label} lacks {listed(missing)}.")
        return None
    check_id(problems, fields["id"], label, texts["id"])
    chosen = _choices(problems, fields, label)
    if not chosen:
        return None
    _check_fit(problems, fields, label, texts)
    kinds = [
        text_of(problems, kind, f"{label}: a kind to redact") for kind in one_or_more(problems, fields.get("redact"))
    ]
    condition = fields.get("when") or fields.get("check") or part
    made = {
        **{key: value for key, value in texts.items() if key not in ("with", "shadow", "severity")},
        **chosen,
        "redact": tuple(kinds),
        "when": texts.get("when", "" if "check" in texts else "true"),
        "tests": tuple(_trials(problems, fields.get("tests"), label)),
        "source": problems.source,
        "role": role,
        "at": (part.line, part.column),
        "when_at": (condition.line, condition.column),
        "is_literal": condition.is_literal,
    }
    return Rule.model_validate(made)


def _missing(fields: dict[str, Part]) -> list[str]:
    verdict = fields["verdict"].value if "verdict" in fields else ""
    has_condition = bool({"when", "check"} & fields.keys()) or verdict == "redact"
    return [key for key in _NEEDED if key not in fields and not (key == "when" and has_condition)]


def _choices(problems: Problems, fields: dict[str, Part], label: str) -> dict[str, object] | None:
    """The fields that are one of a few words; None where the rule means nothing without one that is wrong."""
    point = one_of(problems, fields["point"], f"{label}: point", get_args(Point))
    verdict = one_of(problems, fields["verdict"], f"{label}: verdict", get_args(Verdict))
    chosen: dict[str, object] = {"point": point, "verdict": verdict}
    for key, name, allowed in (("severity", "severity", get_args(Severity)), ("with", "way", get_args(Way))):
        if key in fields and (word := one_of(problems, fields[key], f"{label}: {key}", allowed)):
            chosen[name] = word
    if "shadow" in fields:
        chosen["shadow"] = one_of(problems, fields["shadow"], f"{label}: shadow", ("true", "false")) == "true"
    if not (point and verdict):
        return None
    allowed = VERDICTS_AT[cast("Point", point)]
    if verdict not in allowed:
        why = {
            "ask": f"nobody can be asked at {point!r}. Use 'deny', or ask at 'tool_call' or 'output'.",
            "playbook": "a playbook takes over at 'input' only.",
        }.get(verdict, f"at {point!r} a verdict is {listed(allowed, 'or')}.")
        problems.wrong(fields["verdict"], f"{label}: {why}")
    return chosen


def _check_fit(problems: Problems, fields: dict[str, Part], label: str, texts: dict[str, str]) -> None:
    """What does not go together."""
    point, verdict = texts["point"], texts["verdict"]
    if point in ("input", "output") and "tool" in fields:
        problems.wrong(fields["tool"], f"{label}: no tool is called at {point!r}. Drop 'tool', or use 'tool_call'.")
    if "when" in fields and "check" in fields:
        problems.wrong(fields["check"], f"{label} has both 'when' and 'check'; a rule has one condition.")
    for key in ("redact", "with"):
        if key in fields and verdict != "redact":
            problems.wrong(fields[key], f"{label}: {key!r} belongs to the verdict 'redact'.")
    if point == "tool_call" and texts.get("with") == "token":
        problems.wrong(fields["with"], f"{label}: a tool opens tokens, so it would be given the text all the same.")
    if "check" in fields and "tests" in fields:
        problems.wrong(fields["tests"], f"{label}: a Python function is tested in Python; drop 'tests'.")


def _trials(problems: Problems, part: Part | None, label: str) -> Iterable[Trial]:
    table = fields_of(problems, part, f"'tests' of {label}", ("match", "miss"))
    for key, rows in table.items():
        for row in items_of(problems, rows, f"{key!r} in 'tests' of {label}"):
            if not isinstance(row.value, dict):
                problems.wrong(row, f"a test of {label} is a mapping of facts, such as {{args.amount_cents: 5001}}.")
                continue
            given = {name: value_of(value) for name, value in row.value.items()}
            yield Trial(given=given, matches=key == "match", line=row.line, column=row.column)

"""The JSON Schema of rule files: it lets pass what the reader takes, and refuses what an editor can know is wrong."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from agents.incident_desk import incident_desk
from agents.parcel_desk import parcel_desk
from agents.refund_desk import refund_agent
from mainspring.adapters.recognisers import KINDS
from mainspring.core.policy import VERDICTS_AT, Point, Verdict
from mainspring.core.route_schema import APPROVALS, DELEGATION, ROUTE
from mainspring.core.rule_file import parse
from mainspring.core.rule_schema import RULE, rule_schema
from mainspring.errors import PolicyError

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = re.compile(r"^(rules|limits|approvals|include|tenants):", re.MULTILINE)
TYPES: dict[str, Any] = {"string": str, "boolean": bool, "integer": int, "object": dict, "array": list}
KNOWN = {
    *("$schema", "title", "description", "type", "enum", "const", "pattern", "minLength", "minimum", "maximum"),
    *("properties", "required", "additionalProperties", "items", "anyOf", "allOf", "not", "if", "then", "else"),
    *("minItems", "maxItems", "uniqueItems", "propertyNames"),
}


def fits(value: Any, schema: Any) -> bool:
    """Whether a value fits a schema of the few keywords used here; any other stops the test."""
    if isinstance(schema, bool):
        return schema
    assert schema.keys() <= KNOWN, schema.keys() - KNOWN
    types = schema.get("type", [])
    names = [types] if isinstance(types, str) else types
    whole = [isinstance(value, TYPES[name]) and not (name == "integer" and isinstance(value, bool)) for name in names]
    branch = schema.get("then" if "if" in schema and fits(value, schema["if"]) else "else", True)
    return (
        (any(whole) or not names)
        and value in schema.get("enum", [value])
        and value == schema.get("const", value)
        and all(fits(value, each) for each in schema.get("allOf", []))
        and any(fits(value, each) for each in schema.get("anyOf", [True]))
        and not ("not" in schema and fits(value, schema["not"]))
        and ("if" not in schema or fits(value, branch))
        and _parts_fit(value, schema)
    )


def _parts_fit(value: Any, schema: dict[str, Any]) -> bool:
    if isinstance(value, str):
        return len(value) >= schema.get("minLength", 0) and bool(re.search(schema.get("pattern", ""), value))
    if isinstance(value, list):
        right = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        apart = not schema.get("uniqueItems") or len(set(value)) == len(value)
        return right and apart and all(fits(each, schema.get("items", True)) for each in value)
    if isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
        return set(schema.get("required", [])) <= value.keys() and all(
            fits(name, schema.get("propertyNames", True)) and fits(each, known.get(name, rest))
            for name, each in value.items()
        )
    return schema.get("minimum", value) <= value <= schema.get("maximum", value) if isinstance(value, int) else True


class Editor(yaml.SafeLoader):
    """Reads YAML as editors do, by its version 1.2, which has no dates."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - theirs
        first: [each for each in resolvers if "timestamp" not in each[0]]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def documents() -> Iterator[tuple[str, str]]:
    """Every rule file of the repository, and every block of one in a document."""
    for path in ROOT.glob("policies/*.yaml"):
        if "playbook" not in path.name:
            yield path.name, path.read_text()
    for path in ROOT.glob("docs/**/*.md"):
        for number, block in enumerate(BLOCK.findall(path.read_text()), 1):
            if SECTIONS.search(block):
                yield f"{path.name} {number}", block


@pytest.mark.parametrize(("name", "text"), list(documents()), ids=lambda value: value if len(value) < 40 else "")
def test_what_is_right_fits(name: str, text: str) -> None:
    """Every rule file there is fits, with the tools of the desks and the kinds that are built in known."""
    tools = {tool.name for agent in (refund_agent, parcel_desk, incident_desk) for tool in agent.spec("").tools}

    assert fits(yaml.load(text, Editor), rule_schema(tools, KINDS))


def rule(**parts: Any) -> dict[str, Any]:
    """A rule that is right, with these parts changed; None takes one away."""
    right = {"id": "a", "point": "tool_call", "tool": "pay", "when": "true", "verdict": "deny", "reason": "No."}
    return {key: value for key, value in (right | parts).items() if value is not None}


def routes(**parts: Any) -> dict[str, Any]:
    """A file with one route, of these parts; None takes one away."""
    given = {"id": "r"} | parts
    return {"approvals": {"routes": [{key: value for key, value in given.items() if value is not None}]}}


@pytest.mark.parametrize("point", get_args(Point))
@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_points_and_verdicts(point: Point, verdict: Verdict) -> None:
    """The schema and the reader agree on which verdicts there are at a point."""
    given = {"rules": [rule(point=point, verdict=verdict, tool=None)]}

    assert fits(given, rule_schema()) == (verdict in VERDICTS_AT[point])
    assert fits(given, rule_schema()) == is_read(given)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": [rule(reason=None)]},
        {"rules": [rule(when=None)]},
        {"rules": [rule(check="f")]},
        {"rules": [rule(when=None, check="f", tests={"match": []})]},
        {"rules": [rule(redact="card")]},
        {"rules": [rule(**{"with": "mask"})]},
        {"rules": [rule(verdict="redact", **{"with": "token"})]},
        {"rules": [rule(verdict="redact", **{"with": "stars"})]},
        {"rules": [rule(point="input")]},
        {"rules": [rule(severity="huge")]},
        {"rules": [rule(shadow="perhaps")]},
        {"rules": [rule(id="base.x")]},
        {"rules": [rule(id="A b")]},
        {"rules": [rule(tests={"matches": []})]},
        {"rules": [rule(wen="x")]},
        {"rules": rule()},
        {"ruels": []},
        {"approvals": {"deadline": "2 hours"}},
        {"approvals": {"groups": ["finance"]}},
        {"approvals": {"groups": {"a@x": ["b@x"]}}},
        {"approvals": {"groups": {"": ["b@x"]}}},
        {"approvals": {"groups": {"a": []}}},
        {"approvals": {"delegations": [{"from": "a@x", "to": "b@x"}]}},
        {"approvals": {"delegations": [{"from": "a@x", "to": "b@x", "until": "soon"}]}},
        {"approvals": {"delegation": []}},
        routes(id=None),
        routes(wen="true"),
        routes(point="input"),
        routes(need=0),
        routes(need="finance"),
        routes(need=[]),
        routes(need=["a", "a"]),
        routes(who=[]),
        routes(who="a", need=["b"]),
        routes(verified="yes"),
        routes(hours="9 to 5"),
        routes(remind="soon"),
        routes(who="a", escalate={"after": "1h"}),
        routes(who="a", escalate="1h"),
        routes(escalate={"after": "1h", "to": "b"}),
        routes(need=2, escalate={"after": "1h", "to": "b"}),
        routes(then="hand over"),
        routes(then={}),
        routes(then={"hand_over": "a"}),
        routes(then="denied"),
        routes(then="approve", verified=True),
        routes(then="approve", need=2),
        routes(then="approve", need=["a", "b"]),
        routes(point="outcome", when="true"),
        routes(point="outcome", hours="mon 09:00-17:00 UTC"),
        routes(point="outcome", then="approve"),
        routes(point="outcome", then="playbook"),
        routes(point="output", tool="pay"),
        {"tenants": ["acme"]},
        {"limits": [{"id": "l", "point": "model", "at_most": 0, "every": "1h", "reason": "No."}]},
        {"limits": [{"id": "l", "point": "model", "tool": "pay", "at_most": 1, "every": "1h", "reason": "No."}]},
        {"limits": [{"id": "l", "point": "model", "per": ["users"], "at_most": 1, "every": "1h", "reason": "No."}]},
    ],
)
def test_what_is_wrong_does_not(wrong: dict[str, Any]) -> None:
    """Both the schema and the reader refuse it."""
    assert (fits(wrong, rule_schema()), is_read(wrong)) == (False, False)


@pytest.mark.parametrize(
    "right",
    [
        {"rules": [rule(verdict="redact", when=None)]},
        {"rules": [rule(when=None, check="f")]},
        {"rules": [rule(shadow=True, title="T", severity="high", owner="o")]},
        {"rules": [rule(point="tool_result", verdict="redact", redact=["card"], **{"with": "token"})]},
        {"include": "a.yaml", "tenants": {"acme": "b.yaml"}, "rules": []},
        {"include": ["a.yaml"], "limits": []},
        {"approvals": {"deadline": "2h", "deny_reasons": ["no"], "groups": {"a": "a@x", "b": ["b@x", "c@x"]}}},
        {"approvals": {"delegations": [{"from": "a@x", "to": "b@x", "until": "2026-12-31"}], "routes": []}},
        routes(),
        routes(tool="pay", when=True, who=["a", "b@x"], need=2, verified=True, own=False, notify="mail"),
        routes(need=["a", "b"], remind="1h", escalate={"after": "2h", "to": "c"}, deadline="3h"),
        routes(hours="sat-mon 09:00-17:00 America/Argentina/Buenos_Aires", then="playbook"),
        routes(who="a", then={"hand over": ["b", "c"]}),
        routes(need=["a"], then="approve"),
        routes(need=1, verified=False, then="approve"),
        routes(point="outcome", tool="pay", who="a", then={"hand over": "b"}),
        routes(point="output", then="approve"),
        {"limits": [{"id": "l", "point": "input", "per": ["user"], "at_most": 1, "every": "7d", "reason": "No."}]},
    ],
)
def test_what_goes_together(right: dict[str, Any]) -> None:
    """Both the schema and the reader take it."""
    assert (fits(right, rule_schema()), is_read(right)) == (True, True)


def test_names_that_are_known() -> None:
    """With the tools and kinds there are, an editor completes them and marks others."""
    schema = rule_schema(["pay"], ["card"])
    redacts = rule(verdict="redact", redact=["crad"])

    assert not fits({"rules": [rule(tool="pya")]}, schema)
    assert not fits({"rules": [redacts]}, schema)
    assert fits({"rules": [redacts]}, rule_schema(["pay"]))
    assert fits({"rules": [rule()]}, schema)
    assert fits(routes(tool="pay"), schema)
    assert not fits(routes(tool="pya"), schema)


def test_every_key_is_described() -> None:
    """An editor shows what a key is."""
    sections = rule_schema()["properties"]
    approvals = sections["approvals"]["properties"]
    described = [
        (sections["rules"]["items"]["properties"], RULE),
        (approvals, APPROVALS),
        (approvals["routes"]["items"]["properties"], ROUTE),
        (approvals["delegations"]["items"]["properties"], DELEGATION),
    ]

    for properties, keys in described:
        assert properties.keys() == keys.keys()
        assert all(each["description"] for each in properties.values())


def is_read(given: dict[str, Any]) -> bool:
    """Whether a file of this content is taken."""
    try:
        parse(yaml.safe_dump(given, sort_keys=False), "p.yaml")
    except PolicyError:
        return False
    return True

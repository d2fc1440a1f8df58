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
        return all(fits(each, schema.get("items", True)) for each in value)
    if isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
        return set(schema.get("required", [])) <= value.keys() and all(
            fits(each, known.get(name, rest)) for name, each in value.items()
        )
    return schema.get("minimum", value) <= value <= schema.get("maximum", value) if isinstance(value, int) else True


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

    assert fits(yaml.safe_load(text), rule_schema(tools, KINDS))


def rule(**parts: Any) -> dict[str, Any]:
    """A rule that is right, with these parts changed; None takes one away."""
    right = {"id": "a", "point": "tool_call", "tool": "pay", "when": "true", "verdict": "deny", "reason": "No."}
    return {key: value for key, value in (right | parts).items() if value is not None}


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


def test_every_key_is_described() -> None:
    """An editor shows what a key is."""
    properties = rule_schema()["properties"]["rules"]["items"]["properties"]

    assert properties.keys() == RULE.keys()
    assert all(each["description"] for each in properties.values())


def is_read(given: dict[str, Any]) -> bool:
    """Whether a file of this content is taken."""
    try:
        parse(yaml.safe_dump(given, sort_keys=False), "p.yaml")
    except PolicyError:
        return False
    return True

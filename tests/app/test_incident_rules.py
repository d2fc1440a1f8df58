"""The incident desk's rules, each on a call that it alone decides: what holds whichever model asks."""

import json

import pytest

from agents.incident_desk import incident_desk
from mainspring.core.canonical import Json
from mainspring.core.facts import Facts
from mainspring.core.flow import flow
from mainspring.core.messages import Message, ToolCall, finished_calls
from tests.app.calling import call
from tests.app.desk import judge
from tests.app.reports import DOWN

SPEC = incident_desk.spec("playbook")
RULES = judge(SPEC)
KNOWN = call(next(tool for tool in incident_desk.tools if tool.name == "service_status"), service="checkout")
FOUND = {"service": "checkout", "count": 62, "first_at": "14:04"}
OPENED = {"incident": 1, "service": "checkout", "team": "storefront", "severity": 1, "is_new": True, "paged": False}

Earlier = tuple[str, dict[str, Json], dict[str, Json]]
"""A call that went well: tool, arguments, result."""

LOOKED_UP: Earlier = ("service_status", {"service": "checkout"}, KNOWN)
SEARCHED: Earlier = ("search_log", {"service": "checkout"}, FOUND)
INCIDENT: Earlier = ("open_incident", {"service": "checkout"}, OPENED)
PAGED: Earlier = ("page_on_call", {"incident": 1}, {"page": 1, "team": "storefront"})
ALL = [LOOKED_UP, SEARCHED, INCIDENT]

OPEN = {"service": "checkout", "severity": 1, "title": DOWN["en"]}
PAGE = {"incident": 1, "team": "storefront", "message": DOWN["en"]}
BACK = {"service": "checkout", "to_version": "4.11.3"}


def told(earlier: Earlier, **other: Json) -> Earlier:
    """The call with another result."""
    tool, args, result = earlier
    return tool, args, result | other


def verdict(tool: str, args: dict[str, Json], *earlier: Earlier) -> tuple[str, str]:
    """The verdict on a call after others, and the rule that gave it."""
    messages = [Message(role="user", text=DOWN["en"])]
    for name, given, result in earlier:
        asked = Message(role="assistant", calls=(ToolCall(id="1", name=name, args=given),))
        messages += [asked, Message(role="tool", call="1", tool=name, text=json.dumps(result))]
    spec = SPEC.tool(tool)
    assert spec
    judged = RULES.judge(
        "tool_call",
        Facts(
            agent=SPEC.name,
            user="",
            tenant="",
            tool=tool,
            effect=spec.effect,
            args=args,
            results=finished_calls(tuple(messages)),
            flow=flow(SPEC, spec, args, messages),
        ),
    )
    return judged.verdict, judged.rule


@pytest.mark.parametrize(
    ("tool", "args", "earlier"),
    [
        ("service_status", {"service": "checkout"}, []),
        ("search_log", {"service": "checkout"}, [LOOKED_UP]),
        ("open_incident", OPEN, [LOOKED_UP, SEARCHED]),
        ("open_incident", OPEN | {"severity": 3}, [LOOKED_UP, told(SEARCHED, count=1)]),
        ("page_on_call", PAGE, ALL),
    ],
)
def test_the_ordinary_way_asks_nobody(tool: str, args: dict[str, Json], earlier: list[Earlier]):
    """What the desk is for needs no person."""
    assert verdict(tool, args, *earlier) == ("allow", "")


@pytest.mark.parametrize(
    ("rule", "tool", "args", "earlier"),
    [
        ("looked-up-after-the-log", "service_status", {"service": "payments"}, [LOOKED_UP, SEARCHED]),
        ("not-looked-up", "open_incident", OPEN | {"severity": 2}, [SEARCHED]),
        ("not-looked-up", "open_incident", OPEN | {"severity": 2}, [told(LOOKED_UP, service="search"), SEARCHED]),
        ("log-not-read", "open_incident", OPEN | {"severity": 2}, [LOOKED_UP]),
        ("log-not-read", "open_incident", OPEN | {"severity": 2}, [LOOKED_UP, told(SEARCHED, count=0)]),
        ("log-not-read", "open_incident", OPEN | {"severity": 2}, [LOOKED_UP, told(SEARCHED, service="search")]),
        ("not-severity-1", "open_incident", OPEN, [LOOKED_UP, told(SEARCHED, count=19)]),
        ("not-severity-1", "open_incident", OPEN, [told(LOOKED_UP, critical=False), SEARCHED]),
        ("page-for-severity-1", "page_on_call", PAGE, [LOOKED_UP, SEARCHED]),
        ("page-for-severity-1", "page_on_call", PAGE, [LOOKED_UP, SEARCHED, told(INCIDENT, severity=2)]),
        ("page-for-severity-1", "page_on_call", PAGE | {"incident": 2}, ALL),
        ("page-for-severity-1", "page_on_call", PAGE | {"team": "payments"}, ALL),
        ("paged-already", "page_on_call", PAGE, [LOOKED_UP, SEARCHED, told(INCIDENT, paged=True)]),
        ("paged-already", "page_on_call", PAGE, [*ALL, PAGED]),
        ("not-the-previous-version", "roll_back", BACK | {"to_version": "4.11.2"}, ALL),
        ("not-the-previous-version", "roll_back", BACK | {"service": "payments"}, ALL),
        ("not-the-previous-version", "roll_back", BACK, [SEARCHED]),
    ],
)
def test_what_is_refused(rule: str, tool: str, args: dict[str, Json], earlier: list[Earlier]):
    """No model does it, whatever it has read."""
    assert verdict(tool, args, *earlier) == ("deny", rule)


def test_a_roll_back_always_asks():
    """Also where everything speaks for it."""
    assert verdict("roll_back", BACK, *ALL) == ("ask", "roll-back-by-a-person")


@pytest.mark.parametrize(
    ("tool", "args", "earlier"),
    [
        ("open_incident", OPEN | {"title": "all is well"}, [LOOKED_UP, told(SEARCHED, lines=["all is well"])]),
        ("page_on_call", PAGE | {"message": "come quickly"}, ALL),
    ],
)
def test_words_that_nobody_of_us_said_ask(tool: str, args: dict[str, Json], earlier: list[Earlier]):
    """A title or message that stands in the log alone, or nowhere, is for a person to see."""
    assert verdict(tool, args, *earlier) == ("ask", "base.untrusted-arguments")


@pytest.mark.parametrize(("length", "verdict"), [(10_000, "allow"), (10_001, "deny")])
def test_the_length_of_a_report(length: int, verdict: str):
    """A report is a few lines."""
    judged = RULES.judge("input", Facts(agent=SPEC.name, user="", tenant="", text="x" * length))

    assert judged.verdict == verdict

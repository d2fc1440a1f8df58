"""The section `limits` of a rule file: what is right is read, and every mistake has its line and its limit."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.limit_file import check_tools, parse_limits
from mainspring.core.limits import Limit
from mainspring.core.marked_yaml import Problems, read
from mainspring.errors import PolicyError

RIGHT = """\
limits:
  - id: refunds-a-day
    point: tool_call
    tool: issue_refund
    per: [user]
    at_most: 5
    every: 24h
    reason: At most five refunds a day for one customer.
"""


def parsed(text: str) -> list[Limit]:
    """The limits of a file."""
    problems = Problems("p.yaml")
    page = read(text, problems)
    limits = parse_limits(problems, page.value.get("limits") if isinstance(page.value, dict) else page)
    problems.close()
    return limits


def refusal(text: str) -> str:
    """What a file is refused with."""
    with pytest.raises(PolicyError) as caught:
        parsed(text)
    return str(caught.value)


def changed(old: str, new: str) -> str:
    """The right file with one thing changed."""
    assert old in RIGHT
    return RIGHT.replace(old, new)


def test_right():
    """A limit is read with all it says, and the line it starts in."""
    assert parsed(RIGHT) == [
        Limit(
            id="refunds-a-day",
            point="tool_call",
            tool="issue_refund",
            per=("user",),
            at_most=5,
            every=86_400,
            reason="At most five refunds a day for one customer.",
            source="p.yaml",
            at=(2, 5),
        )
    ]


def test_least():
    """Without `tool` a limit is for every tool, without `per` for all together."""
    [limit] = parsed(changed("    tool: issue_refund\n    per: [user]\n", ""))
    assert (limit.tool, limit.per) == ("", ())


def test_no_section():
    """A file without the section has no limits."""
    assert parse_limits(Problems("p.yaml"), None) == []


@pytest.mark.parametrize(
    ("every", "seconds"), [("30s", 30), ("15m", 900), ("1h", 3600), ("7d", 604_800), ("9999d", 863_913_600)]
)
def test_windows(every, seconds):
    """A window is a number and a unit."""
    assert parsed(changed("24h", every))[0].every == seconds


def test_order_of_per():
    """The order in `per` says nothing."""
    assert parsed(changed("[user]", "[tool, user]")) == parsed(changed("[user]", "[user, tool]"))


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("id: refunds-a-day", "id: Refunds!", 2, "limit 'Refunds!': an id is made of a-z"),
        ("    at_most: 5\n", "", 2, "limit 'refunds-a-day' lacks 'at_most'."),
        ("tool: issue", "tol: issue", 4, "limit 'refunds-a-day' has no key 'tol'. Did you mean 'tool'?"),
        ("at_most: 5", "at_most: five", 6, "limit 'refunds-a-day': at_most is 'five', but must be a number from 1 to"),
        ("at_most: 5", "at_most: 0", 6, "For never, write a rule that denies."),
        ("at_most: 5", "at_most:", 6, "'at_most' of limit 'refunds-a-day' must be a text."),
        ("24h", "1 day", 7, "limit 'refunds-a-day': every is '1 day', but must be a number and a unit, such as '30s'"),
        ("24h", "0h", 7, "every is '0h'"),
        ("[user]", "[usr]", 5, "per is 'usr', but must be 'agent', 'user', 'tenant', 'tool' or 'model'. Did you mean"),
        ("[user]", "user", 5, "limit 'refunds-a-day': 'per' must be a list, such as [user]."),
        ("[user]", "", 5, "such as [user]. Without 'per' all count together."),
        ("[user]", "[user, user]", 5, "limit 'refunds-a-day': 'user' stands in 'per' twice."),
        ("[user]", "[model]", 5, "no model is known at 'tool_call'. Drop it from 'per', or use 'model'."),
        ("[user]", "[[user]]", 5, "per is no text, but must be"),
        ("tool_call", "toolcall", 3, "point is 'toolcall', but must be 'input', 'tool_call' or 'model'. Did you mean"),
        ("tool_call", "input", 4, "no tool is called at 'input'. Drop 'tool', or use 'tool_call'."),
        ("tool: issue_refund", "tool: ''", 4, "'tool' of limit 'refunds-a-day' must be a text."),
        ("reason: At most five refunds a day for one customer.", "reason: []", 8, "'reason' of limit 'refunds-a-day'"),
        (RIGHT, "limits: none\n", 1, "'limits' must be a list, each item with a dash."),
        (RIGHT, "limits:\n  - refunds\n", 2, "a limit must hold 'id', 'point',"),
    ],
)
def test_wrong(old, new, line, said):
    """A mistake is refused with its line, the limit's id and what is right."""
    found = refusal(changed(old, new))
    assert found.startswith(f"p.yaml:{line}:")
    assert said in found


def test_same_id_twice():
    """Two limits with one id are refused, with the line of the first."""
    found = refusal(RIGHT + RIGHT.removeprefix("limits:\n"))
    assert found == "p.yaml:9:5: limit 'refunds-a-day' has the id of the limit in line 2."


def test_all_mistakes_at_once():
    """Everything that is wrong is said together, by line."""
    found = refusal(RIGHT.replace("24h", "x").replace("tool_call", "input").replace("5\n", "0\n"))
    assert [line.split(":")[1] for line in found.splitlines()] == ["4", "6", "7"]


def test_unknown_tool():
    """A limit for a tool that the agent does not have is refused, with the nearest name."""
    problems = Problems("p.yaml")
    check_tools(problems, parsed(changed("issue_refund", "issue_refunds")), ["issue_refund"], "refund-agent")
    with pytest.raises(PolicyError) as caught:
        problems.close()
    assert str(caught.value) == (
        "p.yaml:2:5: limit 'refunds-a-day': agent 'refund-agent' has no tool 'issue_refunds'. "
        "Did you mean 'issue_refund'?"
    )


@given(st.dictionaries(st.sampled_from(["id", "point", "tool", "per", "at_most", "every", "reason", "x"]), st.text()))
def test_any_text(fields):
    """Whatever stands in a limit, it is read or refused in words."""
    text = "limits:\n  - {" + ", ".join(f"{key}: {value!r}" for key, value in fields.items()) + "}\n"
    with contextlib.suppress(PolicyError):
        assert all(limit.at_most > 0 and limit.every > 0 for limit in parsed(text))

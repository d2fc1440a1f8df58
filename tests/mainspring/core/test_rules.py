"""Rules: a mistake in the file is refused with its line, and the strictest verdict counts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core import base_rules
from mainspring.core.canonical import Json
from mainspring.core.facts import Facts
from mainspring.core.flow import Flow
from mainspring.core.messages import Done
from mainspring.core.policy import EMPTY, Policy, joined
from mainspring.core.rule_file import parse
from mainspring.core.rules import Judge, Judgement
from mainspring.core.spec import BASE, ToolSpec
from mainspring.errors import PolicyError

REFUND_DESK = Path(__file__).parents[3] / "policies" / "refund_desk.yaml"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=6,
)


def spec(name: str, effect: str, **types: str) -> ToolSpec:
    """A tool whose arguments have these JSON Schema types."""
    schema = {"type": "object", "properties": {arg: {"type": kind} for arg, kind in types.items()}}
    return ToolSpec.model_validate({"name": name, "description": name, "input_schema": schema, "effect": effect})


TOOLS = (
    spec("find_order", "read", order="integer"),
    spec("issue_refund", "once", order="integer", amount_cents="integer", reason="string"),
)


def rule(rule_id: str, when: str, verdict: str, tool: str = "issue_refund", point: str = "tool_call") -> str:
    """One rule as it stands in a file."""
    named = f"    tool: {tool}\n" if tool else ""
    return (
        f"  - id: {rule_id}\n    point: {point}\n{named}    when: {when}\n"
        f"    verdict: {verdict}\n    reason: Because of {rule_id}.\n"
    )


def judge(*rules: str) -> Judge:
    """A judge over these rules and the two tools."""
    return Judge(parse("rules:\n" + "".join(rules), "p.yaml") if rules else EMPTY, TOOLS, "refund-agent")


def refund(order: int = 7, amount_cents: Json = 6000, results: tuple[Done, ...] = ()) -> Facts:
    """The facts of a refund call."""
    return Facts(
        agent="refund-agent",
        user="u",
        tenant="t",
        tool="issue_refund",
        effect="once",
        args={"order": order, "amount_cents": amount_cents, "reason": "damaged"},
        results=results,
    )


def ticket(text: str) -> Facts:
    """The facts of a ticket."""
    return Facts(agent="refund-agent", user="u", tenant="t", text=text)


def refusal(text: str) -> str:
    """The message a rule file is refused with."""
    with pytest.raises(PolicyError) as caught:
        parse(text, "p.yaml")
    return str(caught.value)


def judge_refusal(*rules: str) -> str:
    """The message rules are refused with when they meet the tools."""
    with pytest.raises(PolicyError) as caught:
        judge(*rules)
    return str(caught.value)


class TestReading:
    def test_a_file_becomes_a_policy(self):
        """Rules, deadline in seconds and reasons to deny are read, with where each rule stands."""
        policy = parse(
            "approvals:\n  deadline: 30m\n  deny_reasons: [too much]\nrules:\n" + rule("a", "true", "ask"), "p"
        )

        assert (policy.deadline, policy.deny_reasons, policy.source) == (1800.0, ("too much",), "p")
        assert [(r.id, r.tool, r.verdict, r.at, r.when_at) for r in policy.rules] == [
            ("a", "issue_refund", "ask", (5, 5), (8, 11))
        ]

    def test_a_file_may_say_nothing_of_approvals(self):
        """Then an agent's other files may, and a person denies in their own words."""
        policy = parse("rules: []", "p.yaml")

        assert (policy.deadline, policy.deny_reasons) == (None, ())

    def test_a_reason_to_deny_is_one_button(self):
        """A reason written twice is offered once."""
        assert parse("approvals:\n  deny_reasons: [no, why, no]", "p.yaml").deny_reasons == ("no", "why")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("rules: [", "p.yaml:1:9: this is not YAML"),
            ("rules:\n  - \0", "p.yaml:2: this is not YAML"),
            ("rules: " + "[" * 600, "p.yaml: this is nested too deeply"),
            ("# nothing", "p.yaml: the file is empty"),
            ("- a", "p.yaml:1:1: a rule file must hold 'include', 'tenants', "),
            ("rules: x", "p.yaml:1:8: 'rules' must be a list"),
            ("\nruels: []", "p.yaml:2:1: a rule file has no key 'ruels'. Did you mean 'rules'?"),
            ("rules: []\nrules: []", "p.yaml:2:1: 'rules' is written twice"),
            ("rules:\n  - over", "p.yaml:2:5: a rule must hold 'id', "),
            ("rules:\n  - id: a\n    point: input", "p.yaml:2:5: rule 'a' lacks 'when', 'verdict' and 'reason'."),
            ("approvals:\n  deadline: 2 hours", "p.yaml:2:13: deadline is '2 hours', but must be"),
            ("approvals:\n  deadline: 0h", "p.yaml:2:13: deadline is '0h', but must be"),
            ("approvals:\n  deny_reasons:\n    - " + "x" * 61, "p.yaml:3:7: a reason to deny becomes a button"),
            ('approvals:\n  deny_reasons:\n    - "a\\nb"', "p.yaml:3:8: a reason to deny becomes a button"),
            ("approvals:\n  deny_reasons:\n    - ''", "p.yaml:3:8: a reason to deny must be a text."),
            ("rules:\n" + rule("a", "[true]", "deny"), "p.yaml:5:5: 'when' of rule 'a' must be a text."),
            ("rules:\n" + rule("a", "!(tool == '')", "deny"), "p.yaml:5:11: 'when' starts with '!', which"),
            ("rules:\n" + rule("a", "true", "dney"), "p.yaml:6:14: rule 'a': verdict is 'dney', but must be 'allow', "),
            (
                "rules:\n" + rule("a", "true", "deny", point="call"),
                "p.yaml:3:12: rule 'a': point is 'call', but must be",
            ),
            (
                "rules:\n" + rule("a", "true", "deny") + "    severity: huge\n",
                "p.yaml:8:15: rule 'a': severity is 'huge', but must be 'low', 'medium', 'high' or 'critical'.",
            ),
            ("rules:\n" + rule("A b", "true", "deny"), "p.yaml:2:9: rule 'A b': an id is made of"),
            (
                "rules:\n" + rule("a", "true", "ask", "", "input"),
                "p.yaml:5:14: rule 'a': nobody can be asked at 'input'",
            ),
            (
                "rules:\n" + rule("a", "true", "deny", point="input"),
                "p.yaml:4:11: rule 'a': no tool is called at 'input'",
            ),
            ("rules:\n" + rule("a", "true", "deny") * 2, "p.yaml:8:5: rule 'a' has the id of the rule in line 2."),
        ],
    )
    def test_a_mistake_is_refused_with_its_line(self, text: str, message: str):
        """File, line and what is wrong stand at the front."""
        assert refusal(text).startswith(message)

    def test_all_mistakes_are_told_at_once(self):
        """The first by line leads, the others follow with their own lines."""
        message = refusal("rules:\n" + rule("a", "true", "dney") + "approvals:\n  deadlin: 2h\n")

        assert [line.partition(": ")[0] for line in message.splitlines()] == ["p.yaml:6:14", "p.yaml:9:12"]


class TestMeetingTheTools:
    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (
                rule("a", "true", "deny", tool="isue_refund"),
                "p.yaml:2:5: rule 'a': agent 'refund-agent' has no tool 'isue_refund'. Did you mean 'issue_refund'?",
            ),
            (
                rule("a", "args.amuont_cents > 1", "deny"),
                "p.yaml:5:15: rule 'a': tool 'issue_refund' has no argument 'amuont_cents'. Did you mean 'amount_cents",
            ),
            (rule("a", "size(args) > 1", "deny"), "p.yaml:5:16: rule 'a': 'args' needs the name of an argument of"),
            (
                rule("a", "seen.intgers == []", "deny"),
                "p.yaml:5:15: rule 'a': there is no name or function 'seen.intgers'",
            ),
            (rule("a", "args.order > 'x'", "deny"), "p.yaml:5:22: rule 'a': '>' does not go with int and string"),
            (rule("a", "args.order", "deny"), "p.yaml:5:11: rule 'a': gives INT, but must give bool."),
            (
                rule("a", "input.length > 1", "deny"),
                "p.yaml:5:16: rule 'a': there is no name or function 'input.length'",
            ),
            (
                rule("a", "|\n      true\n      && tol == ''", "deny"),
                "p.yaml:7:10: rule 'a': there is no name or function",
            ),
        ],
    )
    def test_a_rule_that_does_not_fit_is_refused_at_load(self, bad: str, message: str):
        """Unknown tools, arguments, names and clashes of types never reach a run."""
        assert judge_refusal(bad).startswith(message)

    def test_a_suggestion_ends_the_sentence(self):
        """The message reads as written by a person, to its last mark."""
        assert judge_refusal(rule("a", "args.ordr > 1", "deny")).endswith("no argument 'ordr'. Did you mean 'order'?")

    def test_all_rules_that_do_not_fit_are_told_at_once(self):
        """One start of the worker shows every mistake."""
        message = judge_refusal(rule("a", "x", "deny"), rule("b", "y", "deny"))

        assert [line.partition(": ")[0] for line in message.splitlines()] == ["p.yaml:5:11", "p.yaml:11:11"]


class TestJudging:
    def test_deny_beats_ask_beats_allow(self):
        """The strictest verdict counts, wherever it stands; all that matched are named."""
        rules = [rule("yes", "true", "allow"), rule("who", "true", "ask"), rule("no", "true", "deny")]

        assert judge(*rules).judge("tool_call", refund()) == Judgement(
            verdict="deny", rule="no", reason="Because of no.", matched=("yes", "who", "no")
        )
        assert judge(*rules[:2]).judge("tool_call", refund()).rule == "who"

    def test_the_first_of_equals_gives_the_reason(self):
        """Among rules as strict, the order of the file decides."""
        judged = judge(rule("a", "true", "deny"), rule("b", "true", "deny")).judge("tool_call", refund())

        assert (judged.rule, judged.matched) == ("a", ("a", "b"))

    def test_a_rule_for_one_tool_leaves_others_alone(self):
        """A rule that names a tool does not count for another one."""
        facts = refund().model_copy(update={"tool": "find_order", "effect": "read", "args": {"order": 1}})

        assert judge(rule("a", "true", "deny")).judge("tool_call", facts) == Judgement(verdict="allow")

    def test_a_rule_without_tool_holds_for_all(self):
        """Such a rule sees the arguments as a map."""
        every = judge(rule("a", "has(args.order) && args.order == 7 && effect == 'once'", "deny", tool=""))

        assert every.judge("tool_call", refund(order=7)).rule == "a"
        assert every.judge("tool_call", refund(order=8)).rule == ""

    def test_a_rule_that_cannot_be_evaluated_denies(self):
        """Its reason names the rule and the author's own words, no value of the call."""
        broken = judge(rule("a", "results[0].value.age > 1", "allow"))
        results = (Done(tool="x", args={}, value={"secret": "s3cret"}, status="ok"),)

        judged = broken.judge("tool_call", refund(results=results))

        assert (judged.verdict, judged.rule, judged.matched) == ("deny", "a", ("failed:a",))
        assert judged.reason == (
            "rule 'a' could not be evaluated (a field it reads is missing: 'age'), so the call is refused"
        )

    def test_a_failed_rule_shows_no_argument(self):
        """A key taken from an argument does not reach the reason."""
        broken = judge(rule("a", "|\n      {'x': 1}[args.reason] == 1", "ask"))

        assert "damaged" not in broken.judge("tool_call", refund()).reason

    @pytest.mark.parametrize("amount", ["6000", None, 60.5, 2**70])
    def test_an_argument_of_the_wrong_type_is_denied(self, amount: Json):
        """A value the rule cannot compare does not slip past it."""
        assert (
            judge(rule("a", "args.amount_cents > 5000", "ask")).judge("tool_call", refund(7, amount)).verdict == "deny"
        )

    def test_what_cannot_be_undone_needs_a_rule(self):
        """A `once` tool that no rule names asks a person; naming it is enough to allow the rest."""
        asked = judge().judge("tool_call", refund())

        assert (asked.verdict, asked.rule) == ("ask", "")
        assert asked.reason == "No rule says who may run 'issue_refund', and it cannot be undone."
        assert judge(rule("a", "false", "deny")).judge("tool_call", refund()).verdict == "allow"

    def test_what_can_be_repeated_needs_no_rule(self):
        """Other tools are allowed where no rule matches."""
        assert judge().judge("tool_call", refund().model_copy(update={"effect": "idempotent"})).verdict == "allow"

    def test_seen_integers_are_those_of_good_results(self):
        """Integers count wherever they stand in a value, those of failed calls do not."""
        seen = judge(rule("a", "seen.integers == [3, 1]", "deny"))
        results = (
            Done(tool="x", args={"n": 9}, value={"l": [{"n": 3}, True, "4", 5.0, 3], "m": 1}, status="ok"),
            Done(tool="x", args={}, value={"n": 8}, status="error"),
        )

        assert seen.judge("tool_call", refund(results=results)).rule == "a"

    def test_input_is_judged_by_its_own_rules(self):
        """Length counts characters; rules of tool calls do not count here."""
        both = judge(rule("long", "input.length > 3", "deny", "", "input"), rule("call", "true", "deny"))

        assert both.judge("input", ticket("äöüß")).rule == "long"
        assert both.judge("input", ticket("äöü")) == Judgement(verdict="allow")


FACTS = st.builds(
    Facts,
    agent=st.text(),
    user=st.text(),
    tenant=st.text(),
    tool=st.sampled_from(["issue_refund", "find_order", "other"]),
    effect=st.sampled_from(["read", "idempotent", "once"]),
    args=st.dictionaries(st.sampled_from(["order", "amount_cents", "x"]), JSON, max_size=3),
    results=st.lists(
        st.builds(
            Done,
            tool=st.sampled_from(["find_order", "issue_refund"]),
            args=st.dictionaries(st.just("order"), JSON, max_size=1),
            value=JSON | st.fixed_dictionaries({"number": JSON, "age_days": JSON, "refunded_cents": JSON}),
            status=st.sampled_from(["ok", "error", "denied"]),
        ),
        max_size=3,
    ).map(tuple),
)
DESK_RULES = REFUND_DESK.read_text(encoding="utf-8")
DESK = Judge(parse(DESK_RULES, "refund_desk.yaml"), TOOLS, "refund-agent")
CLOSED = Judge(parse(DESK_RULES + rule("never", "true", "deny", ""), "closed.yaml"), TOOLS, "refund-agent")


class TestWhateverTheFacts:
    @given(FACTS)
    def test_a_call_always_gets_a_verdict(self, facts: Facts):
        """Nothing a model or tool may say makes judging fail."""
        judged = DESK.judge("tool_call", facts)

        assert judged.verdict in ("allow", "deny", "ask")
        assert judged.rule == "" or {judged.rule, f"failed:{judged.rule}"} & set(judged.matched)

    @given(FACTS)
    def test_a_rule_that_always_denies_always_wins(self, facts: Facts):
        """No facts and no other rule get round a deny that holds."""
        assert CLOSED.judge("tool_call", facts).verdict == "deny"

    @given(st.text(st.characters()))
    def test_an_input_always_gets_a_verdict(self, text: str):
        """Any text a customer may write is judged."""
        assert DESK.judge("input", ticket(text)).verdict == "allow"


def found(number: int = 7, **fields: int) -> Done:
    """A finished look-up of an order over EUR 40."""
    order: dict[str, Json] = {"number": number, "total_cents": 4000, "age_days": 9, "refunded_cents": 0, **fields}
    return Done(tool="find_order", args={"order": number}, value=order, status="ok")


class TestRefundDesk:
    @pytest.mark.parametrize(
        ("facts", "verdict", "rule_id"),
        [
            (refund(7, 4000, (found(),)), "allow", ""),
            (refund(7, 5000, (found(total_cents=5000),)), "allow", ""),
            (refund(7, 5001, (found(total_cents=5001),)), "ask", "over-eur-50"),
            (refund(7, 100_000, (found(total_cents=100_000),)), "ask", "over-eur-50"),
            (refund(7, 100_001, (found(total_cents=100_001),)), "deny", "over-eur-1000"),
            (refund(7, 0, (found(),)), "deny", "not-an-amount"),
            (refund(7, -4000, (found(total_cents=-4000),)), "deny", "not-an-amount"),
            (refund(7, 3999, (found(),)), "deny", "amount-not-found"),
            (refund(7, 4000, (found(8),)), "deny", "order-not-looked-up"),
            (refund(7, 4000, ()), "deny", "order-not-looked-up"),
            (refund(7, 4000, (found(age_days=30),)), "allow", ""),
            (refund(7, 4000, (found(age_days=31),)), "ask", "older-than-30-days"),
            (refund(7, 4000, (found(), found(8, age_days=31))), "allow", ""),
            (refund(7, 4000, (found(refunded_cents=1),)), "deny", "already-refunded"),
        ],
    )
    def test_refunds_follow_the_policy(self, facts: Facts, verdict: str, rule_id: str):
        """Each limit, just inside and just outside."""
        judged = DESK.judge("tool_call", facts)

        assert (judged.verdict, judged.rule) == (verdict, rule_id)

    @pytest.mark.parametrize(("status", "verdict"), [("ok", "deny"), ("denied", "allow"), ("error", "allow")])
    def test_a_second_refund_in_one_run_is_denied(self, status: str, verdict: str):
        """Also where the order was looked up before the first one, and while that one waits."""
        args: dict[str, Json] = {"order": 7, "amount_cents": 4000}
        earlier = Done.model_validate({"tool": "issue_refund", "args": args, "value": None, "status": status})

        assert DESK.judge("tool_call", refund(7, 4000, (found(), earlier))).verdict == verdict

    def test_a_look_up_in_the_same_message_is_not_enough(self):
        """A result the model has not read yet proves nothing, and the reason says what to do."""
        unread = Done(tool="find_order", args={"order": 7}, value=None, status="ok")

        judged = DESK.judge("tool_call", refund(7, 4000, (unread,)))

        assert judged.reason == "The order was not looked up before its refund. Find the order first."

    def test_a_failed_look_up_is_not_enough(self):
        """An error's text does not stand for the order."""
        failed = Done(tool="find_order", args={"order": 7}, value="there is no order 7", status="error")

        assert DESK.judge("tool_call", refund(7, 4000, (failed,))).rule == "order-not-looked-up"

    @pytest.mark.parametrize(("length", "verdict"), [(20_000, "allow"), (20_001, "deny")])
    def test_overlong_tickets_are_denied(self, length: int, verdict: str):
        """A ticket has at most 20,000 characters."""
        assert DESK.judge("input", ticket("x" * length)).verdict == verdict

    def test_a_person_has_a_day_and_three_ready_answers(self):
        """The approval part of the shipped file is read."""
        policy: Policy = parse(DESK_RULES, "refund_desk.yaml")

        assert policy.deadline == 86_400.0
        assert policy.deny_reasons == ("not enough evidence", "wrong amount", "outside our policy")


def test_rules_may_be_stricter_about_labels():
    """A rule of one's own can refuse where the rules of every agent ask."""
    own = parse("rules:\n" + rule("strangers", "\"'order' in flow.untrusted\"", "deny"), "p.yaml")
    policy = joined([parse(base_rules.TEXT, BASE, "base"), own])
    over = Judge(policy, TOOLS, "refund-agent")

    def verdict(*untrusted: str) -> str:
        return over.judge("tool_call", refund().model_copy(update={"flow": Flow(untrusted=untrusted)})).verdict

    assert (verdict("order"), verdict("reason"), verdict()) == ("deny", "ask", "allow")


def test_sums_count_what_ran():
    """Also a call whose result was withheld, or too large; not one that failed."""
    over = judge(rule("sum", "total.amount_cents > 7000 || total.calls > 2", "deny"))
    args: dict[str, Json] = {"order": 1, "amount_cents": 4000}

    def verdict(**ended: object) -> str:
        done = Done.model_validate({"tool": "issue_refund", "args": args, "value": None, **ended})
        return over.judge("tool_call", refund(7, 4000, (done,))).verdict

    assert verdict(status="ok") == verdict(status="error", ran=True) == "deny"
    assert verdict(status="error") == verdict(status="denied") == "allow"


def test_very_many_long_rules_are_asked_one_by_one():
    """CEL joins only so much; what is too long is no reason to stop a worker, or to pass a rule over."""
    long = [rule(f"r{n}", f"\"args.reason == '{'x' * 2000}{n}'\"", "deny") for n in range(300)]
    many = judge(*long, rule("last", "args.order == 7", "deny"))

    assert many.judge("tool_call", refund(7)).rule == "last"
    assert many.judge("tool_call", refund(8)).rule == ""


def test_a_redaction_in_the_shadow_is_recorded_and_takes_nothing_out():
    """It is tried like any other rule."""
    text = "  - {id: r, point: output, verdict: redact, reason: Cards., shadow: true}\n"
    only = judge(text)
    facts = Facts(agent="a", text="4111 1111 1111 1111")

    assert only.judge("output", facts).matched == ("shadow:r",)
    assert only.redactions("output", facts) == ()

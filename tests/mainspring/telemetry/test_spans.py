from opentelemetry.semconv._incubating.attributes import error_attributes, gen_ai_attributes

from mainspring.telemetry import attributes as a
from mainspring.telemetry import ids
from mainspring.telemetry.spans import admit_span, finished, model_span, tool_span


def test_attribute_names_are_those_of_the_conventions():
    """Every `gen_ai` name is one the installed OpenTelemetry conventions know."""
    ours = {value for name, value in vars(a).items() if name.isupper() and value.startswith("gen_ai.")}
    theirs = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}

    assert ours <= theirs
    assert len(ours) == 9
    assert error_attributes.ERROR_TYPE == a.ERROR_TYPE


def test_a_model_call_is_a_chat_span(script, said):
    """A model call names provider, model, tokens, cost and the playbook's row."""
    run = script(session="s-1")
    call, answer = run.say("1", output_tokens=5, cost_microusd=7)

    span = model_span(run.ref, call, answer)

    assert (span.name, span.kind, span.start, span.end) == (
        "chat playbook",
        "client",
        answer.timing.start,
        answer.timing.end,
    )
    assert span.parent == ids.span_id(run.ref.first, "run")
    expected = {a.OPERATION: "chat", a.PROVIDER: "mainspring", a.MODEL: "playbook", a.OUTPUT_TOKENS: 5, a.COST: 7}
    assert expected.items() <= span.attributes.items()
    assert span.attributes[a.WHY] == ("row 'ask'",)
    assert span.attributes[a.SESSION] == "s-1"


def test_an_unknown_price_is_not_zero(script):
    """A call whose price nobody knows has no cost, rather than none."""
    assert a.COST not in model_span(script().ref, *script().say("1", cost_microusd=None)).attributes


def test_what_is_not_known_is_left_out(script):
    """A span of a run without tenant, session or rule has no empty attributes; a count of zero is a fact."""
    span = model_span(script().ref, *script().say("1", why=(), output_tokens=0))

    assert not {a.TENANT, a.SESSION, a.WHY, a.NODE, a.ERROR_TYPE} & set(span.attributes)
    assert span.attributes[a.OUTPUT_TOKENS] == 0


def test_verdicts_are_events_of_the_model_span(script, said):
    """Each call a model asked for is an event with tool, verdict and rule."""
    span = model_span(
        script().ref, *script().say("1", said("find_order", "allow"), said("issue_refund", "deny", "too-much"))
    )

    assert [event.attributes for event in span.events] == [
        {a.VERDICT_TOOL: "find_order", a.VERDICT: "allow"},
        {a.VERDICT_TOOL: "issue_refund", a.VERDICT: "deny", a.RULE: "too-much"},
    ]


def test_a_tool_a_model_made_up_is_not_named(script, said):
    """Text that a model calls as if it were a tool does not get into the span."""
    span = model_span(script().ref, *script().say("1", said("please mail ada@example.org", "malformed")))

    assert span.events[0].attributes[a.VERDICT_TOOL] == "?"


def test_a_tool_call_tells_who_permitted_it(script):
    """A tool span names the tool, and the request whose approval permitted the call."""
    span = tool_span(script().ref, *script().use("2.1.4", "issue_refund", "3"))

    assert span.name == "execute_tool issue_refund"
    assert span.parent == ids.span_id(span.text(a.RUN), "2.1")
    assert (span.text(a.PERMIT), span.text(a.REQUEST), span.text(a.STATUS)) == ("person", "3", "ok")


def test_a_tool_s_own_error_is_the_span_s(script):
    """A tool that reports an error makes an error span; one denied at the door names the rule instead."""
    assert tool_span(script().ref, *script().use("2", "find_order", status="error")).error == "ToolError"
    denied = tool_span(script().ref, *script().use("2", "find_order", status="denied", rule="closed"))
    assert (denied.error, denied.text(a.RULE)) == ("", "closed")


def test_a_call_a_person_is_asked_about_has_no_span_yet(script, said):
    """A call that only asked at the door ran nothing, and runs again under the same step."""
    assert finished(script().ref, *script().use("2", "issue_refund", ask=said("issue_refund", "ask"))) == ()


def test_a_refused_admission_names_the_rule(script):
    """The admission's span tells how many notes memory gave and which rule refused the run."""
    span = admit_span(*script().admit(notes=2, refusal="Please write in English", rule="english-only"))

    assert (span.name, span.number(a.NOTES)) == ("admit", 2)
    assert (span.text(a.VERDICT), span.text(a.RULE)) == ("deny", "english-only")
    assert "English" not in span.model_dump_json()

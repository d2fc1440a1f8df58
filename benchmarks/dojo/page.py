"""Shows the results: in the terminal, and in `docs/guards.md` where both suites of the target were played."""

from dataclasses import dataclass

from benchmarks.dojo.play import Play
from benchmarks.dojo.report import Question, injected, is_clear, is_effect, questions, unapproved
from benchmarks.dojo.suites import Suite
from benchmarks.environments import ROOT
from benchmarks.report import table

PAGE = ROOT / "docs" / "guards.md"
WHOLE = {"banking", "workspace"}
NOTE = "<!-- Written by `make bench-guards`. Do not edit: benchmarks/dojo/page.py has the words, a run the numbers. -->"
ABOUT = """
`make bench-guards` plays the tasks of [AgentDojo](https://arxiv.org/abs/2406.13352), with its own tools, data and
attacks, on a real server. The model is a script, and the worst there can be: it does what the user asked, call by call,
and as soon as it reads an attacker's words it makes every call that they want. So what is measured is what holds when
nothing is left of the model's judgement. A person approves what the user asked for, and denies the rest.

The rules are those that every agent has, and `benchmarks/dojo/rules.yaml`, which lets pass what the user said. Which
tools change something, and whose words their results are, stands in `benchmarks/dojo/suites.py`: that is what a team
says of its own tools.
"""


@dataclass(frozen=True)
class Result:
    """A suite, its tasks played alone, and each with each attack."""

    suite: Suite
    alone: tuple[Play, ...]
    attacked: tuple[Play, ...]


def show(results: list[Result]) -> int:
    """Print what was seen, keep the page; gives the exit code."""
    text = f"{summary(results)}\n\n{benign(results)}"
    print(text)
    for each in results:
        for play, number in unapproved(injected(each.suite, each.attacked)):
            call = play.issued[number]
            print(f"ran without a person: {play.suite} {play.task} {play.injection}: {call.name} {call.args}")
    missed = [(each, play) for each in results for play in each.alone if play.asked and is_clear(each.suite, play)]
    for _, play in missed:
        print(f"asked although all was shown: {play.suite} {play.task}: {[play.issued[n] for n in play.asked]}")
    if {each.suite.name for each in results} == WHOLE:
        PAGE.write_text(f"# Guards against injected instructions\n\n{NOTE}\n{ABOUT}\n{text}\n", encoding="utf-8")
    made = [one for each in results for one in injected(each.suite, each.attacked)]
    ran = unapproved(made)
    print(f"\nunapproved effects: {len(ran)} of {len(made)}")
    return 1 if ran or missed else 0


def summary(results: list[Result]) -> str:
    """A row for each suite."""
    head = (
        "Suite",
        "pairs of task and attack",
        "of them the attacker is read",
        "injected calls with effects",
        "run without a person",
        "tasks alone",
        "all is shown",
        "of them asked a person",
        "questions of all tasks",
    )
    rows = []
    for each in results:
        made = injected(each.suite, each.attacked)
        clear = [play for play in each.alone if is_clear(each.suite, play)]
        figures = (
            len(each.attacked),
            sum(any(call.injected for call in play.issued) for play in each.attacked),
            len(made),
            len(unapproved(made)),
            len(each.alone),
            len(clear),
            sum(bool(play.asked) for play in clear),
            sum(len(play.asked) for play in each.alone),
        )
        rows.append((each.suite.name, *map(str, figures)))
    return f"## Attacks, and work that is not held up\n\n{table(head, rows)}"


def benign(results: list[Result]) -> str:
    """Each question that a task without attack needs, and why."""
    asked = [question for each in results for question in questions(each.suite, each.alone)]
    rows = [(q.suite, q.task, q.tool, why(q)) for q in asked]
    effects = sum(is_effect(each.suite, call) for each in results for play in each.alone for call in play.issued)
    said = (
        f"{len(asked)} questions; the tasks make {effects} calls with effects. Each because part of the call stands "
        "neither in the user's words nor in a result that may be trusted."
    )
    found = table(("Suite", "Task", "Tool", "What is shown nowhere"), rows)
    return f"## What tasks without attack ask\n\n{said}\n\n{found}"


def why(question: Question) -> str:
    """What nobody could show."""
    return ", ".join(f"`{part}`" for part in question.parts) or "nothing: this question is one too many"

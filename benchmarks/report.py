"""Writes what was measured as Markdown. Pure: results in, text out."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from benchmarks.catalogue import ENTRIES
from benchmarks.figures import MANY, Dies, Figures, NotRun, peer, ratio
from benchmarks.job import PAGE_BYTES, PAYLOAD_PER_TURN, REPLY_BYTES
from benchmarks.results import Finding, Results, Sleep, Wait
from benchmarks.targets import FAST, KB, MB, SLOW, TIMES, targets

NONE = "–"  # noqa: RUF001 - a dash
NOTE = "<!-- Written by `make bench`. Do not edit: benchmarks/report.py has the words, a run has the numbers. -->"
ABOUT = """
`make bench` does one small job with Mainspring and with its peers, each in an environment of its own, on one machine
and in one go, and writes this page. Its ratios carry over to other machines, more or less; its seconds do not.

**The job.** A run of T turns is T times (model call, tool call), and a final model call: 2 T + 1 steps. The system
prompt has 1 KB, a tool result {page} bytes, a message of the model {reply}; so a turn says {turn} bytes. The model is a
script that answers at once, or after 50 ms. The tool reads.

**The stacks.**

{stacks}

**The machine.** {cores} cores, {memory} of memory, {system}, Python {python}, {temporal}; load {load} before.
Rounds: {repeat}, the stacks one after the other in each. Figures are medians.
"""
HOW_TO_READ = f"""
How to read it:

- One run alone shows round trips: nothing else is going on, so each wait counts.
- Worker CPU is the process with the worker and the client, server CPU the Temporal server or PostgreSQL.
- History is what Temporal keeps of a run; it ends a run whose history has 50 MB. An own store is where a stack keeps
  what it does not keep there; Mainspring's is its folder of large payloads.
- A cold replay is what a worker does first when it takes over a run: Temporal gives it 10 s for that.
- *dies* means that the stack did not end the job: it failed, or had not ended after a generous time.
- {NONE} means that there is no such figure, or that it was not measured. A case that takes longer than 20 s is measured
  once.
"""
WAITS = """
`temporal server start-dev` looks at most 20 times a second for tasks to hand on to workers
(`history.transferProcessorMaxPollRPS`), save for a first burst. A worker gets its activities with the answer to a
workflow task, so they wait for nothing; but each workflow task has to be handed on. So the first steps of a run with
an instant model are quick, and from then on each takes 50 ms, whatever the framework: the wait fills up what the work
leaves. With a slow model fewer tasks come than may be handed on, and none waits. A Temporal cluster has this rate for
each of its shards, of which it has hundreds; the development server has one.

`mainspring dev` raises the rate and has SQLite write to a log; all stacks here are measured on that server.
"""
PROFILES = """
Taken by a signal after every 2 ms of processor time, which makes all stacks a little slower. Threads that are not
Python's are those of the SDK's core, which is written in Rust. To walk over payloads is what the SDK does with each
workflow task, three times in and three times out, to hand each payload to a codec and to external storage.

What is ours bounds what we can gain: with all of it gone, a run would still take what the other lines say.
"""
IMAGES = {
    "benchmark-time.svg": "Seconds of one run by its length, one line for each stack, both axes logarithmic",
    "benchmark-history.svg": "Bytes of history by the length of a run, one line for each stack, both axes logarithmic",
}


def page(results: Results) -> str:
    """The whole of `docs/benchmarks.md`."""
    f = Figures(results)
    parts = [
        "# Benchmarks",
        NOTE,
        _about(results),
        "## Targets",
        table(("Target", "Verdict"), _verdicts(f)),
        "## One run alone",
        one_run(f),
        *(f"![{text}](images/{name})" for name, text in IMAGES.items()),
        HOW_TO_READ.strip(),
        "## Many runs, a slow model, a start",
        beside(f),
        *_long(f),
        *_answers(results),
        *(["## Runs that wait for a person", sleeping(results.sleep)] if results.sleep else []),
        *(["## What a step waits for", WAITS.strip(), waits(results.waits)] if results.waits else []),
        *(
            ["## Worker settings, and what they were measured at", findings(results.settings)]
            if results.settings
            else []
        ),
        *(["## Where the time goes", PROFILES.strip(), findings(results.profiles)] if results.profiles else []),
        *_not_run(results),
    ]
    return "\n\n".join(parts) + "\n"


def one_run(f: Figures) -> str:
    """The table of single runs: a row for each stack, columns by length."""
    turns = f.results.turns
    columns: list[tuple[str, Callable[[str], str]]] = [
        (f"p50 s, T = {_by_length(turns)}", _each(turns, f.p50, "{:.2f}")),
        ("against `plain`", _each(turns, lambda s, t: ratio(f.p50(s, t), peer(lambda: f.p50("plain", t))), TIMES)),
        ("worker CPU ms/turn", _each(turns, f.worker_cpu, "{:.1f}", 0.001)),
        ("server CPU ms/turn", _each(turns, f.server_cpu, "{:.1f}", 0.001)),
        ("events", _each(turns, f.events, "{:,.0f}")),
        ("history KB", _each(turns, f.history_bytes, "{:,.0f}", KB)),
        ("own store KB", _each(turns, f.stored, "{:,.0f}", KB)),
        ("cold replay ms", _each(turns, f.replay, "{:,.0f}", 0.001)),
    ]
    return table(("Stack", *(head for head, _ in columns)), _rows(f, [cell for _, cell in columns]))


def beside(f: Figures) -> str:
    """The table of all else: a row for each stack."""
    least = min(f.results.turns, default=4)
    slow = max((length for length in f.results.turns if length <= 50), default=50)  # noqa: PLR2004
    columns: list[tuple[str, Callable[[str], str]]] = [
        (f"runs/s, T = {least}, {MANY} at once", lambda s: _cell(lambda: f.runs_per_second(s, least), "{:.1f}")),
        (f"50 ms model, T = {slow}: p50 s", lambda s: _cell(lambda: f.p50(s, slow, SLOW), "{:.2f}")),
        ("against the model's own time", lambda s: _cell(lambda: f.against_ideal(s, slow, SLOW), TIMES)),
        ("added ms/step", lambda s: _cell(lambda: f.added_per_step(s, slow, SLOW), "{:.1f}", 0.001)),
        ("loaded s", lambda s: _cell(lambda: f.start(s, "load"), "{:.2f}")),
        ("ready s", lambda s: _cell(lambda: f.start(s, "ready"), "{:.2f}")),
        ("first run ended s", lambda s: _cell(lambda: f.start(s, "first"), "{:.2f}")),
        ("memory MB", lambda s: _cell(lambda: f.memory(s), "{:.0f}", MB)),
    ]
    return table(("Stack", *(head for head, _ in columns)), _rows(f, [cell for _, cell in columns]))


def sleeping(sleep: Sleep) -> str:
    """The table of sleeping runs."""
    rows = [
        ("runs that wait for an approval", f"{sleep.runs:,}"),
        ("to start them", f"{sleep.started:.1f} s"),
        ("worker without a run", f"{sleep.empty / MB:.0f} MB"),
        (f"the same worker, {sleep.in_cache:,} of them in its cache", f"{sleep.cached / MB:.0f} MB"),
        ("a run in the cache", f"{(sleep.cached - sleep.empty) / sleep.in_cache / KB:.0f} KB"),
        ("a new worker, no run on the server", f"{sleep.fresh / MB:.0f} MB"),
        ("a new worker, all of them asleep on the server", f"{sleep.beside / MB:.0f} MB"),
        ("from an approval to the end, run in the cache (median)", f"{_median(sleep.warm):.2f} s"),
        ("from an approval to the end, run on the server only (median)", f"{_median(sleep.cold):.2f} s"),
    ]
    return table(("Sleeping runs", ""), rows)


def waits(found: Sequence[Wait]) -> str:
    """The table of ways to start the development server."""
    rows = [
        (
            wait.server,
            f"{_median(wait.seconds):.2f}",
            f"{wait.early * 1000:.1f}",
            f"{wait.late * 1000:.1f}",
            f"{wait.activity * 1000:.1f}",
        )
        for wait in found
    ]
    head = ("Server", "p50 s, T = 50", "workflow task waits ms, first 10", "last 50", "activity waits ms")
    return table(head, rows)


def findings(found: Iterable[Finding]) -> str:
    """A paragraph and a table for each."""
    return "\n\n".join(f"**{each.name}.** {each.text}\n\n{table(each.head, each.rows)}" for each in found)


def verdict_lines(f: Figures) -> list[str]:
    """One line for each target, as they are printed; of a part of the benchmark, for what it measured."""
    said = [target.verdict(f) for target in targets()]
    lines = [line for verdict, line in said if verdict != "not run" or f.results.full]
    if missing := len(said) - len(lines):
        lines.append(f"{missing} more targets need further stacks or lengths.")
    return lines


def _verdicts(f: Figures) -> list[tuple[str, str]]:
    rows = []
    for target in targets():
        verdict, line = target.verdict(f)
        rows.append((line.removesuffix(verdict).rstrip(": "), f"**{verdict}**" if verdict == "short" else verdict))
    return rows


def _about(results: Results) -> str:
    machine = results.machine
    values = {
        "stacks": "\n".join(f"- `{entry.name}`: {entry.about}." for entry in ENTRIES),
        "repeat": results.repeat,
        "page": f"{PAGE_BYTES:,}",
        "reply": REPLY_BYTES,
        "turn": f"{PAYLOAD_PER_TURN:,}",
    }
    return ABOUT.format(**values, **machine).strip()


def _long(f: Figures) -> list[str]:
    lengths = sorted({s.turns for s in f.results.samples if s.stack == FAST and s.turns not in f.results.turns})
    rows = [
        (
            f"{turns:,}",
            _cell(lambda turns=turns: f.p50(FAST, turns), "{:.1f}"),
            _cell(lambda turns=turns: f.executions(FAST, turns), "{:.0f}"),
            _cell(lambda turns=turns: f.events(FAST, turns), "{:,.0f}"),
            _cell(lambda turns=turns: f.history_bytes(FAST, turns), "{:,.0f}", KB),
            _cell(lambda turns=turns: f.stored(FAST, turns), "{:,.0f}", KB),
        )
        for turns in lengths
    ]
    head = ("T", "seconds", "executions", "events", "history KB", "payloads beside KB")
    return [f"## Other lengths, `{FAST}`", table(head, rows)] if rows else []


def _answers(results: Results) -> list[str]:
    rows = [(name, f"{seconds:.2f}") for name, seconds in results.answers.items()]
    return [f"## A busy run of `{FAST}`", table(("Asked", "answered after s"), rows)] if rows else []


def _not_run(results: Results) -> list[str]:
    rows = [(f"`{name}`", why) for name, why in results.not_run.items()]
    return ["## Not run", table(("Stack", "Why"), rows)] if rows else []


def _by_length(turns: Sequence[int]) -> str:
    return " / ".join(f"{length:,}" for length in turns)


def _each(
    turns: Sequence[int], figure: Callable[[str, int], float], show: str, unit: float = 1.0
) -> Callable[[str], str]:
    def cell(stack: str) -> str:
        cells = [_cell(lambda length=length: figure(stack, length), show, unit) for length in turns]
        return NONE if set(cells) == {NONE} else " / ".join(cells)

    return cell


def _rows(f: Figures, cells: Sequence[Callable[[str], str]]) -> list[tuple[str, ...]]:
    measured = {sample.stack for sample in f.results.samples}
    names = [entry.name for entry in ENTRIES if entry.name in measured]
    return [(f"`{name}`", *(cell(name) for cell in cells)) for name in names]


def _cell(figure: Callable[[], float], show: str, unit: float = 1.0) -> str:
    try:
        return show.format(figure() / unit)
    except NotRun:
        return NONE
    except Dies:
        return "*dies*"


def _median(values: Sequence[float]) -> float:
    return median(values) if values else 0.0


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; a bar in a cell stays one."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

"""`mainspring guards` as an author and a compliance officer see it: files, mistakes, tests, recorded runs."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mainspring import Agent
from mainspring.cli import app
from mainspring.devserver import DevServer
from mainspring.testing import ScriptedModel, say
from mainspring.testing.bench import Bench

HISTORIES = Path(__file__).parents[2] / "histories"
RULES = """\
include: shared.yaml
tenants: {acme: acme.yaml}
limits:
  - {id: often, point: tool_call, tool: pay, per: [user], at_most: 5, every: 24h, reason: Five a day.}
rules:
  - id: a-person
    point: tool_call
    tool: pay
    when: args.amount_cents > 0
    verdict: ask
    reason: A person decides.
    owner: treasury
    tests:
      match: [{args.amount_cents: 1}]
      miss: [{args.amount_cents: 0}]
"""
SHARED = """\
rules:
  - {id: shouting, point: input, when: "input.text == 'PAY'", verdict: deny, reason: Calm down., shadow: true}
"""
ACME = """\
rules:
  - {id: acme-less, point: tool_call, tool: pay, when: args.amount_cents > 9, verdict: deny, reason: Not at Acme.}
"""
TOO_MUCH = "  - {id: too-much, point: tool_call, tool: pay, when: args.amount_cents > 3, verdict: deny, reason: No.}\n"

TIGHTER = "'deny', 'ask', 'redact' or 'playbook'"
COVERS = "matches whenever it does, and is as strict"
UNTRUSTED = (
    "Something in this call comes from content that anybody may have written, "
    "and the tool does not take that without a person."
)

Write = Callable[[str, str], None]


@pytest.fixture
def project(project: Path) -> Path:
    """A user's folder: agents of the recorded histories with rule files, and the histories."""
    scenarios = (project / "scenarios.py").read_text().replace(', rules="guarded.yaml"', "")
    own = 'description="Pays.", tools=[look_up, pay], mode="step"'
    assert own in scenarios
    (project / "scenarios.py").write_text(scenarios.replace(own, f'{own}, rules="rules.yaml"'))
    for name, text in (("rules.yaml", RULES), ("shared.yaml", SHARED), ("acme.yaml", ACME)):
        (project / name).write_text(text)
    (project / "guarded.yaml").unlink()
    (project / "histories" / "guarded.json").unlink()
    return project


@pytest.fixture
def add(project: Path) -> Write:
    """Adds to a file of that folder."""

    def write(name: str, text: str) -> None:
        with (project / name).open("a") as file:
            file.write(text)

    return write


def guards(*arguments: str) -> Result:
    """Run a command in this process, as where nobody looks."""
    return CliRunner().invoke(app, ["guards", *arguments], env={"COLUMNS": "80", "TERM": "dumb"})


def errors_of(*arguments: str) -> list[str]:
    """What a command that fails says is wrong; nothing else is printed."""
    result = guards(*arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr.splitlines()


class TestCheck:
    def test_what_is_right_is_listed(self, project: Path):
        """Every rule and limit stands on a line of its own, by file, with whose it is."""
        result = guards("check")

        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.splitlines() == [
            "shared.yaml (included by clerk)",
            "line  rule      point  tool   verdict       severity  owner",
            "2     shouting  input  every  deny, shadow  medium    -",
            "",
            "rules.yaml (clerk)",
            "line  rule      point      tool  verdict           severity  owner",
            "6     a-person  tool_call  pay   ask               medium    treasury",
            "4     often     tool_call  pay   5 in 1d per user  -         -",
            "",
            "acme.yaml (a tenant's, for clerk)",
            "line  rule       point      tool  verdict  severity  owner",
            "2     acme-less  tool_call  pay   deny     medium    -",
            "",
            "3 rules, 1 limit in 3 files, nothing wrong.",
        ]

    def test_routes_are_listed(self, add: Write):
        """With who must agree, and what comes when nobody has."""
        add(
            "shared.yaml", "approvals:\n  routes:\n    - {id: two, tool: pay, need: 2, deadline: 36h, then: playbook}\n"
        )
        lines = guards("check").stdout.splitlines()

        assert "  2 of anybody who is known; after 36h playbook  " in lines[3]
        assert lines[-1] == "3 rules, 1 limit, 1 route in 3 files, nothing wrong."

    def test_a_name_that_is_all_but_a_group_is_refused(self, add: Write):
        """Nobody could ever decide, and routes are pinned with the runs."""
        routes = "  routes:\n    - {id: large, tool: pay, need: [finnance, auditors]}\n"
        add("shared.yaml", f"approvals:\n  groups: {{finance: [ada@example.com]}}\n{routes}")

        (said,) = errors_of("check")
        assert said.endswith("route 'large': there is no group 'finnance'. Did you mean 'finance'?")

    def test_a_name_that_is_no_group_is_noted(self, add: Write):
        """A route may name a role, which nothing here knows; a name that is like a group's may be a mistake."""
        routes = "  routes:\n    - {id: large, tool: pay, need: [finance-eu, auditors]}\n"
        add("shared.yaml", f"approvals:\n  groups: {{finance: [ada@example.com]}}\n{routes}")
        notes = [line for line in guards("check").stdout.splitlines() if line.startswith("note")]

        said = "which is no group here: a role, for which a token has to vouch."
        assert [note.partition("route ")[2] for note in notes] == [
            f"'large' names 'finance-eu', {said}",
            f"'large' names 'auditors', {said}",
        ]

    @pytest.mark.parametrize(
        ("file", "more", "said"),
        [
            (
                "rules.yaml",
                TOO_MUCH.replace("tool: pay", "tool: pya"),
                "rules.yaml:16:5: rule 'too-much': agent 'clerk' has no tool 'pya'. Did you mean 'pay'?",
            ),
            (
                "rules.yaml",
                TOO_MUCH.replace("args.amount_cents", "args.amount"),
                "rules.yaml:16:59: rule 'too-much': tool 'pay' has no argument 'amount'. Did you mean 'amount_cents'?",
            ),
            (
                "rules.yaml",
                TOO_MUCH.replace("args.amount_cents > 3", '"user > 3"'),
                "rules.yaml:16:61: rule 'too-much': '>' does not go with string and int (near 'user > 3').",
            ),
            (
                "rules.yaml",
                "  - {id: x, point: tool_call, check: is_odd, verdict: deny, reason: No.}\n",
                "rules.yaml:16:38: rule 'x': there is no Python function 'is_odd'. Pass it as Agent(checks=[…]).",
            ),
            (
                "rules.yaml",
                "  - {id: x, point: input, verdict: redact, redact: [cards], reason: No.}\n",
                "rules.yaml:16:5: rule 'x': nothing finds 'cards'. Did you mean 'card'?",
            ),
            (
                "rules.yaml",
                "  - {id: shouting, point: input, when: 'true', verdict: deny, reason: No.}\n",
                "rules.yaml:16:5: rule 'shouting' has the id of a rule in shared.yaml:2.",
            ),
            (
                "shared.yaml",
                TOO_MUCH.replace("tool: pay", "tool: pya"),
                "shared.yaml:3:5: rule 'too-much': no agent with this file has a tool 'pya'. Did you mean 'pay'?",
            ),
            (
                "acme.yaml",
                "limits:\n  - {id: l, point: tool_call, tool: pya, at_most: 1, every: 1h, reason: No.}\n",
                "acme.yaml:4:5: limit 'l': no agent with this file has a tool 'pya'. Did you mean 'pay'?",
            ),
            (
                "acme.yaml",
                TOO_MUCH.replace("deny", "allow"),
                f"acme.yaml:3:5: rule 'too-much': a tenant's rules may only make it stricter: {TIGHTER}.",
            ),
            (
                "acme.yaml",
                "approvals: {deadline: 1h}\n",
                "acme.yaml:3:1: a tenant's rule file has no key 'approvals'. There is: 'limits', 'rules'.",
            ),
            (
                "shared.yaml",
                "include: rules.yaml\n",
                "shared.yaml:3:10: 'rules.yaml' includes itself, by way of 'shared.yaml'.",
            ),
        ],
    )
    def test_a_mistake(self, add: Write, file: str, more: str, said: str):
        """File, line, column, what is wrong and what would be right; the command ends with 1."""
        add(file, more)

        assert errors_of("check") == [f"Error: {said}"]

    def test_a_file_that_is_missing(self, project: Path):
        """The line that names it is told."""
        (project / "acme.yaml").unlink()
        (said,) = errors_of("check")

        assert said.startswith("Error: rules.yaml:2:17: there is no file 'acme.yaml' in ")

    def test_several_mistakes(self, add: Write):
        """All of them are told, each on its line."""
        add("shared.yaml", "  - {id: x, point: input, verdict: redact, redact: [cards, phones], reason: No.}\n")
        add("acme.yaml", "  - {id: y, point: input, verdict: redact, redact: ibn, reason: No.}\n")

        assert [line.removeprefix("Error: ").partition(": ")[0] for line in errors_of("check")] == [
            "shared.yaml:3:5",
            "shared.yaml:3:5",
            "acme.yaml:3:5",
        ]

    def test_rules_that_change_nothing(self, add: Write):
        """They are noted, and nothing is wrong."""
        add(
            "rules.yaml",
            TOO_MUCH.replace("too-much", "again").replace("args.amount_cents > 3", "args.amount_cents > 0"),
        )
        add("shared.yaml", "  - {id: idle, point: input, when: 'false', verdict: deny, reason: No.}\n")
        result = guards("check")

        assert result.exit_code == 0
        assert [line for line in result.stdout.splitlines() if line.startswith("note")] == [
            "note  shared.yaml:3:5: rule 'idle' never matches",
            f"note  rules.yaml:6:5: rule 'a-person' changes nothing: rule 'again' (rules.yaml:16) {COVERS}",
        ]

    def test_a_folder_without_rules(self, project: Path):
        """It says what holds then."""
        file = project / "scenarios.py"
        file.write_text(file.read_text().replace(', rules="rules.yaml"', ""))

        assert guards("check").stdout == "No agent has a rule file; calls that cannot be undone ask a person.\n"

    def test_the_doctor_looks_as_well(self, add: Write):
        """What `guards check` refuses, `doctor` calls missing."""
        add("shared.yaml", TOO_MUCH.replace("tool: pay", "tool: pya"))
        result = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "300", "TERM": "dumb"})

        assert "no agent with this file has a tool 'pya'" in result.stdout


class TestTest:
    def test_all_is_well(self, project: Path):
        """Rules without tests are noted, which is no failure."""
        result = guards("test")

        assert (result.exit_code, result.stdout.splitlines()) == (
            0,
            [
                "note  shared.yaml:2:5: rule 'shouting' has no tests",
                "note  acme.yaml:2:5: rule 'acme-less' has no tests",
                "2 tests, of 1 of 3 rules: all as they should be.",
            ],
        )

    def test_a_line_that_fails(self, add: Write):
        """Its place, the rule and the facts are told, and the command ends with 1."""
        add("rules.yaml", "        - {args.amount_cents: 7}\n")
        text = Path("rules.yaml").read_text().replace("miss: [{args.amount_cents: 0}]\n", "miss:\n")
        Path("rules.yaml").write_text(text)
        result = guards("test")

        assert result.exit_code == 1
        assert result.stdout.splitlines()[0] == (
            """FAIL  rules.yaml:16:11: rule 'a-person' matches {"args.amount_cents":7}, but should not"""
        )
        assert result.stdout.endswith("2 tests, of 1 of 3 rules: 1 failed.\n")

    def test_a_table_with_one_side(self, add: Write):
        """A rule that is shown to match, and never to miss, is noted."""
        text = Path("rules.yaml").read_text().replace("      miss: [{args.amount_cents: 0}]\n", "")
        Path("rules.yaml").write_text(text)

        assert "note  rules.yaml:6:5: rule 'a-person' has no test that it is to miss" in guards("test").stdout


def test_the_schema_knows_the_folder(project: Path):
    """Tools and kinds are those that there are."""
    printed = json.loads(guards("schema").stdout)
    rule = printed["properties"]["rules"]["items"]["properties"]

    assert rule["tool"]["enum"] == ["ask_human", "clerk", "look_up", "pay"]
    assert "card" in rule["redact"]["anyOf"][0]["enum"]


class TestDryRun:
    def test_rules_that_say_the_same(self, project: Path):
        """Nothing would be judged otherwise; what matched is counted, and what is left out is told."""
        result = guards("dry-run", "histories")

        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()
        assert [line.split(maxsplit=4) for line in lines[1:5]] == [
            ["shouting", "0", "0", "0", "shadow, matched nothing"],
            ["a-person", "0", "11", "0"],
            ["acme-less", "0", "0", "0", "matched nothing"],
            ["base.untrusted-arguments", "1", "1", "0"],
        ]
        runs = len(list((project / "histories").iterdir()))
        assert lines[-2].endswith(f" in {runs} runs: 0 verdicts would be another. 2 of 3 rules matched nothing.")
        assert lines[-1].startswith("Left out: ")
        assert "because their agents are not in this folder ('routed' " in lines[-1]

    def test_a_changed_rule(self, add: Write):
        """It shows exactly the calls that it changes, and ends with 1."""
        add("rules.yaml", TOO_MUCH)
        result = guards("dry-run", "histories")

        assert result.exit_code == 1
        changes = [line for line in result.stdout.splitlines() if " then, " in line]
        assert changes == [
            "histories/not-done.json, step 2: a call of pay: ask then, deny (too-much) now",
            "histories/two-waiting.json, step 3: a call of pay: ask then, deny (too-much) now",
        ]
        assert ["too-much", "0", "2", "2"] in [line.split() for line in result.stdout.splitlines()]

    def test_for_a_program(self, add: Write):
        """Every line is JSON: a change, or the sums at the end."""
        add("rules.yaml", TOO_MUCH)
        result = guards("dry-run", "histories/not-done.json", "histories/approved.json", "--json")
        change, sums = [json.loads(line) for line in result.stdout.splitlines()]

        assert (change["run"], change["step"], change["tool"]) == ("histories/not-done.json", "2", "pay")
        assert (change["then"]["verdict"], change["now"]["rule"]) == ("ask", "too-much")
        assert (sums["runs"], sums["changed"], sums["ended"]) == (2, 1, True)
        assert {"rule": "too-much", "then": 0, "now": 1, "changes": 1, "note": ""} in sums["rules"]

    def test_what_cannot_be_judged(self, project: Path):
        """A damaged file and a run of something else are told, and count as a failure; the others go on."""
        Path("broken.json").write_text("{")
        foreign = (HISTORIES / "approved.json").read_text().replace('"name": "admit"', '"name": "charge"')
        Path("foreign.json").write_text(foreign)
        result = guards("dry-run", "broken.json", "foreign.json", "histories/approved.json")
        lines = result.stdout.splitlines()

        assert result.exit_code == 1
        assert lines[0].startswith("FAIL  broken.json: not to be judged: it cannot be read as JSON")
        assert lines[1].startswith("FAIL  foreign.json: not to be judged: it is no run of Mainspring")
        assert lines[-1].endswith("2 histories could not be judged.")

    def test_nothing_to_ask_about(self, project: Path):
        """An empty folder, and runs of other folders alone, show nothing, and so are not fine."""
        Path("empty").mkdir()
        empty, others = guards("dry-run", "empty"), guards("dry-run", "histories/turn.json")

        assert (empty.exit_code, empty.stdout) == (1, "No history was found, so nothing was shown.\n")
        assert others.exit_code == 1
        assert "'reader'" in others.stdout

    def test_a_wrong_rule_file(self, add: Write):
        """Nothing is asked with rules that are wrong."""
        add("shared.yaml", TOO_MUCH.replace("tool: pay", "tool: pya"))

        assert errors_of("dry-run", "histories")[0].startswith("Error: shared.yaml:3:5: ")

    def test_ctrl_c(self, project: Path, add: Write):
        """Whoever stops it reads what was found so far."""
        add("rules.yaml", TOO_MUCH)
        start = [sys.executable, "-c", "from mainspring.cli import main; main()", "guards", "dry-run", "--json"]
        process = subprocess.Popen(
            [*start, "histories/not-done.json", *["histories"] * 2000],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        assert "too-much" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=60)

        assert process.returncode == 130
        assert json.loads(said.splitlines()[-1])["ended"] is False
        assert errors == "Stopped; nothing is left running.\n"

    async def test_runs_of_the_server(
        self, mainspring: Bench, temporal_server: DevServer, project: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """Runs are listed from the server, and none is needed for files."""
        clerk: Agent[str] = Agent("clerk", instructions="Work.")
        run = await mainspring.start(clerk, "PAY", model=ScriptedModel(say("No.")))
        await run.result()
        monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
        monkeypatch.setenv("MAINSPRING_TASK_QUEUE", (await run.handle.describe()).task_queue)

        result = await asyncio.to_thread(guards, "dry-run", run.handle.id)

        assert result.exit_code == 0, result.output
        assert "shouting   0             1            0        shadow\n" in result.stdout


class TestExplain:
    def test_a_run(self, project: Path):
        """Everything that rules were asked about, oldest first."""
        result = guards("explain", "histories/two-waiting.json")

        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            'step 2: clerk calls pay {"amount_cents":2}',
            "  ask: No rule says who may run 'pay', and it cannot be undone.",
            "",
            'step 3: clerk calls pay {"amount_cents":6}',
            "  ask: No rule says who may run 'pay', and it cannot be undone.",
        ]

    def test_a_step(self, project: Path):
        """One step alone; the rules are those that the run was let in with."""
        result = guards("explain", "histories/labelled.json", "4.2")

        assert result.stdout.splitlines()[:3] == [
            'step 4.2: clerk calls pay {"amount_cents":2}',
            f"  ask by rule base.untrusted-arguments: {UNTRUSTED}",
            "  - base.untrusted-arguments (ask, medium) in the rules that every agent has: matched, since",
        ]

    def test_a_step_that_there_is_not(self, project: Path):
        """The steps that there are are told."""
        (said,) = errors_of("explain", "histories/two-waiting.json", "9")

        assert said == (
            "Error: rules were asked of nothing in step '9' of run 'histories/two-waiting.json'. There is: '2', '3'."
        )

    def test_a_damaged_file(self, project: Path):
        """It is told in words."""
        Path("broken.json").write_text("{")

        assert errors_of("explain", "broken.json")[0].startswith("Error: it cannot be read as JSON")

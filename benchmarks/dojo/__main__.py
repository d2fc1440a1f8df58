"""`make bench-guards`: AgentDojo's attacks on agents of ours, driven by a model that obeys every one of them."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, create_model
from temporalio import activity
from temporalio.testing import TimeSkipper

from benchmarks.catalogue import Entry
from benchmarks.child import Child, StackError
from benchmarks.dojo import page
from benchmarks.dojo.play import PLAYS, Obedient, Planned, Play, place_of
from benchmarks.dojo.suites import SUITES, Suite
from benchmarks.environments import Missing
from benchmarks.protocol import Place
from mainspring import Agent, Context, ToolError
from mainspring.contracts import names
from mainspring.core.approvals import Request
from mainspring.core.spec import ToolSpec
from mainspring.core.tool import Tool, usually_accepts
from mainspring.devserver import DevServer
from mainspring.serve import Project
from mainspring.testing.bench import Bench, TestRun, connect

AT_ONCE = 8
MODEL = "test:model"
DOJO = Entry("agentdojo", "agentdojo", "agentdojo", "temporal")


class Dojo:
    """The process with the suites; one question at a time."""

    def __init__(self, child: Child) -> None:
        """Ask this process."""
        self._child = child
        self._lock = asyncio.Lock()

    async def ask(self, do: str, **given: Any) -> Any:
        """Ask, and wait for the answer: also where nobody wants it any more, since the next one comes behind it."""
        return await asyncio.shield(self._ask(do, given))

    async def _ask(self, do: str, given: dict[str, Any]) -> Any:
        async with self._lock:
            return await self._child.ask(do, 60, **given)


def tools_of(suite: Suite, described: Iterable[dict[str, Any]], dojo: Dojo) -> list[Tool]:
    """The suite's tools, as a team would define them: with their effects, and what may be trusted."""
    return [_tool(suite, each["name"], each["description"], each["schema"], dojo) for each in described]


def _tool(suite: Suite, name: str, description: str, schema: dict[str, Any], dojo: Dojo) -> Tool:
    async def function(context: Context, **args: Any) -> Any:
        key = str(activity.info().workflow_id)
        play, number = PLAYS[key], place_of(context.idempotency_key.rpartition(":")[2])
        play.ran.append(number)
        found = await dojo.ask("call", key=key, name=name, args={n: v for n, v in args.items() if v is not None})
        if found["error"]:
            raise ToolError(found["error"])
        play.results[number] = found["value"]
        return found["value"]

    effect = suite.effects.get(name, "read")
    required = set(schema.get("required", ()))
    fields: dict[str, Any] = {
        each: (Any, ... if each in required else Field(default=about.get("default")))
        for each, about in schema.get("properties", {}).items()
    }
    spec = ToolSpec(
        name=name,
        description=description,
        input_schema=schema,
        effect=effect,
        returns=suite.returns.get(name, "external"),
        accepts=suite.accepts.get(name, usually_accepts(effect)),
    )
    return Tool(spec, function, create_model(name, **fields), TypeAdapter(Any), "context")


class Stage:
    """Plays runs of one suite."""

    def __init__(self, suite: Suite, bench: Bench, dojo: Dojo, queue: str) -> None:
        """Play on this server."""
        self._suite, self._bench, self._dojo, self._queue = suite, bench, dojo, queue
        self._free = asyncio.Semaphore(AT_ONCE)

    async def play(self, task: str, prompt: str, injection: str = "") -> Play:
        """One run to its end; a person approves what the user wants and denies what the attacker wants."""
        async with self._free:
            key = f"{self._suite.name}-{task}-{injection or 'alone'}"
            given = await self._dojo.ask("begin", key=key, suite=self._suite.name, task=task, injection=injection)
            calls = tuple(Planned(each["name"], each["args"]) for each in given["calls"])
            attack = tuple(Planned(each["name"], each["args"], injected=True) for each in given["attack"])
            play = PLAYS[key] = Play(
                self._suite.name, task, prompt, calls, attack, words=given["words"], injection=injection
            )
            handle = await self._bench.client.start_workflow(self._suite.name, prompt, id=key, task_queue=self._queue)
            await self._see_through(TestRun(handle, TimeSkipper(self._bench.client)), play)
            await self._dojo.ask("end", key=key)
            return play

    async def _see_through(self, run: TestRun, play: Play) -> None:
        result = asyncio.create_task(run.result())
        while not result.done():
            for request in await self._requests(run):
                number = place_of(request.step)
                if number in play.asked:
                    continue
                play.asked.append(number)
                if play.issued[number].injected:
                    await run.deny(request, "The user did not ask for this.")
                else:
                    play.approved.append(number)
                    await run.approve(request)
            await asyncio.wait([result], timeout=0.05)
        await result

    @staticmethod
    async def _requests(run: TestRun) -> list[Request]:
        return await run.handle.query(names.WAITING, result_type=list[Request])


async def bench(suites: list[str]) -> int:
    """Play every task alone, and every pair of task and attack; gives how many injected calls ran unapproved."""
    with tempfile.TemporaryDirectory(prefix="dojo-") as folder:
        async with DevServer(Path(folder) / "temporal", port=0, ui_port=0) as server:
            place = Place(server.address, "", folder, "", ())
            async with await Child.begin(DOJO, place) as child:
                client = await connect(server.address, Path(folder))
                dojo = Dojo(child)
                results = [await _suite(SUITES[name], Bench(client, Path(folder)), dojo) for name in suites]
    return page.show(results)


async def _suite(suite: Suite, bench: Bench, dojo: Dojo) -> page.Result:
    known = await dojo.ask("suite", name=suite.name)
    if unknown := sorted({*suite.effects, *suite.returns, *suite.accepts} - {each["name"] for each in known["tools"]}):
        raise StackError(f"the suite {suite.name!r} has no tool {unknown[0]!r}")
    tools = tools_of(suite, known["tools"], dojo)
    agent = Agent(
        suite.name, instructions=suite.instructions, tools=tools, model=MODEL, max_steps=60, rules=suite.rules
    )
    settings = bench.settings(model=MODEL)
    await bench.work(Project(agent, models={MODEL: Obedient()}), settings)
    stage = Stage(suite, bench, dojo, settings.task_queue)
    try:
        alone = await asyncio.gather(*(stage.play(task, prompt) for task, prompt in known["tasks"].items()))
        pairs = [(t, prompt, i) for t, prompt in known["tasks"].items() for i in known["injections"]]
        print(f"{suite.name}: {len(alone)} tasks alone; {len(pairs)} pairs of task and attack …", flush=True)
        attacked = await asyncio.gather(*(stage.play(*pair) for pair in pairs))
    finally:
        await bench.close()
    return page.Result(suite, tuple(alone), tuple(attacked))


def main() -> int:
    """Read the command line and play; the exit code is 1 where an injected call ran without a person."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dojo", description=__doc__)
    parser.add_argument("--suites", default="", help=f"some of: {', '.join(SUITES)}")
    given = parser.parse_args()
    suites = given.suites.replace(",", " ").split() or ["banking", "workspace"]
    if unknown := [name for name in suites if name not in SUITES]:
        print(f"Error: there is no suite {unknown[0]!r}. SUITES takes some of: {', '.join(SUITES)}", file=sys.stderr)
        return 2
    try:
        return asyncio.run(bench(suites))
    except (Missing, StackError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

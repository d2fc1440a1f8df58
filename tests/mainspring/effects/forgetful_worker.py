"""A worker process whose cache keeps nothing, so that every call reads the run's history: for the ledger's test."""

import asyncio
import ctypes
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from mainspring import Agent, tool
from mainspring.adapters.store_memory import open_sqlite
from mainspring.core.canonical import digest
from mainspring.durable.run import AnyRun
from mainspring.effects.activities import Activities
from mainspring.effects.guards import Guards
from mainspring.effects.ledger import Ledger
from mainspring.effects.world import World
from mainspring.ports.model import ModelRequest
from mainspring.serve import connect
from mainspring.settings import read_settings
from mainspring.telemetry.export import Exporter
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.scripted import Step

TURNS = 12


def seal(texts: list[str]) -> str:
    """A short text that is another one for every other thread."""
    return digest(json.dumps(texts))


@tool(effect="read", returns="trusted")
def count(number: int, seal: str) -> str:
    """Count; the result is of one size."""
    return f"counted {number:02}"


def counts(request: ModelRequest) -> Step:
    """Ask for the next number, under a seal over all that was said before."""
    said = sum(message.role == "tool" for message in request.messages)
    return call("count", number=said + 10, seal=seal([message.text for message in request.messages]))


def tells(request: ModelRequest) -> Step:
    """Answer with everything the model was given: its own calls, and all texts."""
    seals = [each.args["seal"] for message in request.messages for each in message.calls]
    return say({"seals": seals, "texts": [message.text for message in request.messages]})


async def main() -> None:
    """Work until killed."""
    model = ScriptedModel(*[counts] * TURNS, tells)
    mode: Any = os.environ["LEDGER_MODE"]
    counter = Agent("counter", instructions="Count.", tools=[count], mode=mode)
    async with open_sqlite(Path(tempfile.mkdtemp()) / "memory.db") as memory:
        world = World(
            agents={"counter": counter},
            graphs={},
            guards=Guards({"count": count}),
            default_model="test:model",
            open_model=lambda *_: model,
            price=lambda *_: 0,
            memory=memory,
            exporter=Exporter(),
            ledger=Ledger(limit=0),
        )
        worker = Worker(
            await connect(read_settings()),
            task_queue=os.environ["LEDGER_QUEUE"],
            workflows=[AnyRun],
            activities=Activities(world).all(),
            workflow_runner=UnsandboxedWorkflowRunner(),
            # Both workers get calls of one run: nothing keeps them where the run is held in memory.
            disable_eager_activity_execution=True,
        )
        await worker.run()


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # no test that dies leaves a worker behind
    asyncio.run(main())

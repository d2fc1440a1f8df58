"""A small application in a worker process of its own, made to be killed in the middle of a call.

Each agent has its own fault. The first attempt at the call in question stops at a known point and stays there; every
later attempt goes through. What was attempted and what took effect stands in one SQLite file (`FAULTS_DB`).
"""

import asyncio
import ctypes
import os
import signal
import sqlite3
from pathlib import Path

from mainspring import Agent, Context, tool
from mainspring.ports.model import ModelRequest
from mainspring.serve import Project, run
from mainspring.testing import ScriptedModel, call, delay, say
from mainspring.testing.scripted import Step

DB = Path(os.environ["FAULTS_DB"])
FOR_EVER = 600


def record(table: str, agent: str, key: str) -> int:
    """Write one row and give how many the table now has for this agent."""
    with sqlite3.connect(DB, timeout=30) as db:
        db.execute(f"INSERT INTO {table} VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (agent, key, os.getpid()))
        return db.execute(f"SELECT count(*) FROM {table} WHERE agent = ?", (agent,)).fetchone()[0]


def is_first(agent: str, key: str) -> bool:
    """Record an attempt; tell whether it is the first."""
    return record("attempts", agent, key) == 1


@tool(effect="read", returns="trusted")
async def look(context: Context) -> int:
    """Look at the gauge."""
    if is_first(context.agent, context.idempotency_key):
        await asyncio.sleep(FOR_EVER)
    return 7


@tool(effect="idempotent", returns="trusted")
async def send(context: Context) -> str:
    """Send a letter; the same key sends it once."""
    first = is_first(context.agent, context.idempotency_key)
    record("effects", context.agent, context.idempotency_key)
    if first:
        await asyncio.sleep(FOR_EVER)
    return "sent"


@tool(effect="once", returns="trusted")
async def launch(stop: str, context: Context) -> str:
    """Launch; the first attempt stops before or after the effect."""
    first = is_first(context.agent, context.idempotency_key)
    if first and stop == "before":
        await asyncio.sleep(FOR_EVER)
    # Nothing makes the effect unique here: a second one would show as a second row.
    record("effects", context.agent, f"{context.idempotency_key} in process {os.getpid()}")
    if first and stop == "after":
        await asyncio.sleep(FOR_EVER)
    return "launched"


def thinks(request: ModelRequest) -> Step:
    """Answer, the first time never."""
    return delay(FOR_EVER, say("Too late.")) if is_first(request.agent, "") else say("Thought.")


def repeats(request: ModelRequest) -> Step:
    """Answer with what the newest tool gave."""
    return say(request.messages[-1].text)


AGENTS = [
    Agent("thinker", instructions="Think."),
    Agent("looker", instructions="Look.", tools=[look]),
    Agent("sender", instructions="Send.", tools=[send]),
    Agent("launcher-after", instructions="Launch.", tools=[launch]),
    Agent("launcher-before", instructions="Launch.", tools=[launch]),
    Agent("launcher-lost", instructions="Launch.", tools=[launch]),
]
MODEL = ScriptedModel(
    {
        "thinker": [thinks],
        "looker": [call("look"), repeats],
        "sender": [call("send"), repeats],
        "launcher-after": [call("launch", stop="after"), repeats],
        "launcher-before": [call("launch", stop="before"), repeats],
        "launcher-lost": [call("launch", stop="after"), repeats],
    }
)

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # no test that dies leaves a worker behind
    run(Project(*AGENTS, models={"test:model": MODEL}))

"""A desk for tests of guards: tools over cards and customers, and what their runs have done."""

import base64
import json
from pathlib import Path
from typing import Any

from mainspring import Agent, Context, tool
from mainspring.ports.model import ModelRequest
from mainspring.testing.bench import TestRun
from mainspring.testing.scripted import Step

CARD, OTHER = "4111 1111 1111 1111", "5500 0000 0000 0004"


CHARGED: list[str] = []


@tool("idempotent", returns="trusted", accepts="external", opens=True)
def charge(card: str, amount_cents: int, context: Context) -> str:
    """Charge a card."""
    CHARGED.append(f"{context.run} {card} {amount_cents}")
    return "charged"


@tool("read", returns="trusted")
def find_customer(name: str) -> dict[str, Any]:
    """Look a customer up."""
    return {"name": name, "card": CARD, "age": 40, "codes": [5500000000000004, 12]}


def desk(rules: Path, **more: Any) -> Agent[Any]:
    """An agent with both tools."""
    return Agent("desk", instructions="Do what you are asked.", tools=[charge, find_customer], rules=rules, **more)


class Listening:
    """A step that keeps what the model was given, then does another step."""

    def __init__(self, then: Step) -> None:
        self.then = then
        self.heard: list[str] = []

    def __call__(self, request: ModelRequest) -> Step:
        """Take it in."""
        self.heard = [message.text for message in request.messages]
        return self.then


def charged(run: TestRun) -> list[str]:
    """What a run has charged: card and cents."""
    return [line.partition(" ")[2] for line in CHARGED if line.startswith(str(run.handle.first_execution_run_id))]


async def history_of(run: TestRun) -> str:
    """All of a run's history as text, with its payloads readable."""
    events = json.loads((await run.history()).to_json())

    def read(value: Any) -> str:
        if isinstance(value, dict):
            data = value.get("data")
            plain = base64.b64decode(data).decode(errors="replace") if isinstance(data, str) else ""
            return plain + "".join(read(each) for each in value.values())
        return "".join(read(each) for each in value) if isinstance(value, list) else str(value)

    return read(events)

"""The job that every stack does, so that their figures can be compared: reading a backlog page by page.

A run of T turns is T times (model call, tool call), and a final model call. The model is a script with a latency.
Sizes: 1 KB system prompt, 1 KB per tool result, 200 B per message of the model. The tool is a read.
Standard library only: this module is loaded in the environment of every stack.
"""

import asyncio
import hashlib
from dataclasses import dataclass

TOOL = "read_page"
PAGE_BYTES = 1024
REPLY_BYTES = 200
PAYLOAD_PER_TURN = PAGE_BYTES + REPLY_BYTES
"""What a turn says, whoever carries it: one message of the model and one tool result."""


@dataclass(frozen=True)
class Job:
    """One run to do: its turns, and how long each model call takes, in seconds."""

    turns: int
    latency: float = 0.0

    @property
    def ideal(self) -> float:
        """How long the model alone takes."""
        return (self.turns + 1) * self.latency

    @property
    def steps(self) -> int:
        """How many calls a run makes, of model and tool together."""
        return 2 * self.turns + 1


def filler(seed: str, size: int) -> str:
    """Text of this size that is the same each time, and that no database can press into a few bytes."""
    parts = (hashlib.sha256(f"{seed}/{n}".encode()).hexdigest() for n in range(size // 64 + 1))
    return "".join(parts)[:size]


INSTRUCTIONS = "Read every page of the backlog with `read_page`, in order, then sum up. " + filler("system", 952)
TASK = "Triage the backlog. " + filler("task", 80)


def reply_text(said: int) -> str:
    """What the model says in its reply number `said`, from 0."""
    return filler(f"reply {said}", REPLY_BYTES)


def page(number: int) -> str:
    """What the tool gives for a page."""
    return filler(f"page {number}", PAGE_BYTES)


async def think(latency: float) -> None:
    """Take the time of one model call."""
    if latency:
        await asyncio.sleep(latency)

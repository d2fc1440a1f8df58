"""Mainspring: durable, guarded, audited LLM agents on Temporal.

This front door holds what an author writes with. It loads no provider, no LangGraph, no exporter and
no worker; those are named submodules: `mainspring.serve`, `mainspring.testing`, `mainspring.ports`.
"""

from mainspring.core.facts import Facts
from mainspring.core.tool import Context, Tool, tool
from mainspring.definitions import Agent, Graph, ask, ask_human, remember, use
from mainspring.errors import (
    DefinitionError,
    InputError,
    MainspringError,
    ModelError,
    NotDone,
    PolicyError,
    RunError,
    SetupError,
    ToolError,
    UsageError,
)

__all__ = [
    "Agent",
    "Context",
    "DefinitionError",
    "Facts",
    "Graph",
    "InputError",
    "MainspringError",
    "ModelError",
    "NotDone",
    "PolicyError",
    "RunError",
    "SetupError",
    "Tool",
    "ToolError",
    "UsageError",
    "ask",
    "ask_human",
    "remember",
    "tool",
    "use",
]

"""The public surface: what `mainspring` exports is decided here, name by name."""

import mainspring

# A new name is a promise to users: add it here on purpose, with a place in the documents that uses it.
PUBLIC = [
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


def test_exports_are_the_promised_ones() -> None:
    """`mainspring` exports exactly the promised names."""
    assert sorted(mainspring.__all__) == sorted(PUBLIC)


def test_exports_are_few() -> None:
    """A newcomer can read the whole list: at most 40 names."""
    assert len(mainspring.__all__) <= 40


def test_exports_are_documented() -> None:
    """Everything exported says what it is."""
    assert [name for name in mainspring.__all__ if not getattr(mainspring, name).__doc__] == []

"""A tool that pays, for tests of who lets it: what each run has paid."""

from mainspring import Context, tool
from mainspring.testing.bench import TestRun

PAID: list[str] = []


@tool("once", returns="trusted", accepts="external")
def pay(cents: int, context: Context) -> str:
    """Pay."""
    PAID.append(f"{context.run} {cents}")
    return f"paid {cents}"


def paid(run: TestRun) -> list[str]:
    """What a run has paid."""
    return [line.partition(" ")[2] for line in PAID if line.startswith(str(run.handle.first_execution_run_id))]

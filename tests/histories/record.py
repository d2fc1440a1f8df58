"""Records the histories anew: `python -m tests.histories.record [NAME …]`.

A recorded history is a promise to runs that are under way. Recording one again needs a reason, in the
commit that does it.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mainspring.devserver import OPTIONS, DevServer
from mainspring.testing.bench import Bench, connect
from tests.histories.scenarios import SCENARIOS, SUGGESTED, recorded

FOLDER = Path(__file__).parent
EARLY = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=50")


async def main(names: list[str]) -> None:
    """Play the named scenarios (all, without names) on servers of their own, and write what happened."""
    chosen = names or list(SCENARIOS)
    await _record([name for name in chosen if name not in SUGGESTED], OPTIONS)
    await _record([name for name in chosen if name in SUGGESTED], (*OPTIONS, EARLY))


async def _record(names: list[str], options: Sequence[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with DevServer(Path(folder), port=0, ui_port=0, options=options) as server:
            bench = Bench(await connect(server.address), Path(folder) / "state")
            async for name, history in recorded(bench, names):
                text = json.dumps(_without_stacks(json.loads(history.to_json())), indent=1)
                (FOLDER / f"{name}.json").write_text(text + "\n")
                print(f"recorded {name}")  # noqa: T201 - a script
            await bench.close()


def _without_stacks(value: Any) -> Any:
    """Stack traces name places of the machine that recorded, and replay reads none."""
    if isinstance(value, dict):
        return {key: _without_stacks(each) for key, each in value.items() if key != "stackTrace"}
    return [_without_stacks(each) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

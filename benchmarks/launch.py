"""Starts one stack in its own environment: `python -P benchmarks/launch.py MODULE [ARGUMENT …]`.

The repository goes last on the path: its folder `agents` must not hide a library of that name. Standard output is kept
for answers to the runner; whatever a library prints goes to standard error.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path


def main(module: str, *arguments: str) -> None:
    """Load the stack, tell how long that took, and answer."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    start = time.perf_counter()
    stack = importlib.import_module(f"benchmarks.stacks.{module}").make(*arguments)
    from benchmarks.protocol import serve

    answers.write(json.dumps({"ok": time.perf_counter() - start}) + "\n")
    answers.flush()
    serve(stack, sys.stdin, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Settings for every test: no key or endpoint of the machine leaks in, and hypothesis neither times nor rolls dice."""

import gc
import os
from collections.abc import Iterator

import hypothesis
import pytest

from mainspring.serve import _drop_quietly

# What would make a test talk to a provider, a collector or a server that the test did not start itself.
FOREIGN = ("ANTHROPIC_", "AWS_", "LANGCHAIN_", "LANGSMITH_", "MAINSPRING_", "OLLAMA_", "OPENAI_", "OTEL_", "TEMPORAL_")

hypothesis.settings.register_profile("mainspring", deadline=None, derandomize=True)
hypothesis.settings.load_profile("mainspring")


@pytest.fixture(scope="session", autouse=True)
def own_environment() -> Iterator[None]:
    """Takes keys, endpoints and settings of the machine out of the environment while the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(FOREIGN)]:
            patch.delenv(name)
        yield


def pytest_collection_finish() -> None:
    """What is loaded by now is no garbage: to search it each time a worker ends would take a third of the time."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    """Let go of runs that were never ended, such as those of a replay that stopped half-way, as a worker does.

    Python would say of each that it was unfinished, and pytest fail for it, in whatever moment it is collected.
    """
    _drop_quietly()

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.adapters.tokens import OLLAMA_WINDOW, count, window

SAMPLES = json.loads((Path(__file__).with_name("tokens") / "samples.json").read_text())
MODELS = next(iter(SAMPLES.values()))["tokens"]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("model", MODELS)
def test_near_the_real_count(model: str, name: str):
    """Real tokenizers make about as many tokens of a text, at most a tenth more, whatever it is written in."""
    sample = SAMPLES[name]
    low, high = 0.9, 1.6 if model in ("openai:gpt-5.2", "anthropic:claude-opus-5") else 4.0

    assert low <= count(model, sample["text"]) / sample["tokens"][model] <= high


@pytest.mark.parametrize("model", MODELS)
def test_near_over_everything(model: str):
    """Over all samples together the count is a little high, for the providers that are many in one too."""
    counted = sum(count(model, sample["text"]) for sample in SAMPLES.values())
    real = sum(sample["tokens"][model] for sample in SAMPLES.values())

    assert 1.0 <= counted / real <= 1.4


@pytest.mark.parametrize(
    ("model", "like"),
    [
        ("openai:gpt-4o-mini", "openai:gpt-5.2"),
        ("openai:ft:gpt-4.1:shop::7", "openai:gpt-5.2"),
        ("openai:o3", "openai:gpt-5.2"),
        ("groq:openai/gpt-oss-120b", "openai:gpt-5.2"),
        ("openai:gpt-12", "openai:gpt-5.2"),
        ("bedrock:anthropic.claude-sonnet-5-v1:0", "anthropic:claude-opus-5"),
        ("openai:gpt-4-turbo", "mistral:mistral-large"),
        ("ollama:gpt4all", "mistral:mistral-large"),
        ("openai:Qwen/Qwen3-8B", "mistral:mistral-large"),
        ("house-model", "mistral:mistral-large"),
    ],
)
def test_the_name_tells_the_tokenizer(model: str, like: str):
    """A model is counted by its name, whoever serves it; one that is not known, as the finest of the open ones."""
    text = SAMPLES["json"]["text"]

    assert count(model, text) == count(like, text)


@pytest.mark.parametrize(
    ("text", "least"),
    [("", 0), (" ", 0), (" " * 3200, 100), ("9" * 3000, 1000), ("=" * 400, 100), ("a" * 1000, 100), ("\ud800", 1)],
)
def test_no_text_hides(text: str, least: int):
    """One letter, digit, mark or blank many times over is many tokens; nothing is none."""
    assert least <= count("openai:gpt-5.2", text) <= 2 * least + 1


def test_windows():
    """The window is what the list says; Ollama's is its own default, and a model that nobody lists has none."""
    assert window("openai:gpt-4o") == 128_000
    assert window("anthropic:claude-3-5-haiku-latest") == 200_000
    assert window("ollama:qwen3:8b") == OLLAMA_WINDOW
    assert [window(name) for name in ("openai:no-such-model", "house:gpt-4o", "playbook", "")] == [None] * 4


def test_counting_loads_nothing():
    """Whoever only counts waits for no price list and no langchain."""
    script = (
        "from mainspring.adapters.tokens import count; count('openai:gpt-5.2', 'hi'); import sys; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert not {"genai_prices", "langchain_core"} & set(loaded)

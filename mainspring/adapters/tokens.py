"""How many tokens a text is to a model, and how many the model takes. Activity side, offline, no I/O.

No tokenizer is loaded: those of some providers are published nowhere, and the others weigh tens of megabytes each. What
is counted is what tokenizers cut at: words, capitals, digits, marks, and the signs of other scripts, each with a weight
per family of tokenizers. The weights were fitted to the counts of real tokenizers over prose, code, JSON, logs and
eighty languages: most texts are counted somewhat too high, and those of a rare language may be counted too low. So it
is for deciding when a thread must be shortened. What a call took is what the provider says.
"""

import re
from functools import lru_cache
from math import ceil
from typing import NamedTuple

OLLAMA_WINDOW = 4096
"""What Ollama gives a model without a large graphics card, unless its own setting says more. What is over it, it cuts
off without a word, so this errs on the safe side."""


class Weights(NamedTuple):
    """Tokens for each thing counted. A word is a part of a name in camel case too; `numbers` are up to 3 digits."""

    words: float
    letters: float
    capitals: float
    numbers: float
    marks: float
    accents: float
    cyrillic: float
    alphabets: float
    syllables: float
    signs: float
    symbols: float


FAMILIES = {
    # Anthropic's newest tokenizer, which cuts finest; its older models are counted too high by it.
    re.compile("claude"): Weights(1.20, 0.17, 0.93, 1.06, 1.47, 2.70, 0.65, 0.91, 0.95, 1.38, 2.92),
    # OpenAI's since GPT-4o.
    re.compile(r"(?<![a-z])(gpt-(4o|4\.|[5-9]|\d\d|oss)|chatgpt|codex|o\d(?!\d))"): Weights(
        0.65, 0.10, 0.58, 1.34, 1.00, 1.38, 0.39, 0.53, 0.42, 0.71, 1.48
    ),
}
"""By the name of the model, whoever serves it."""
OTHERS = Weights(0.77, 0.10, 0.48, 2.23, 0.92, 2.31, 0.61, 1.00, 1.76, 0.85, 3.16)
"""For all others: the most that DeepSeek's, Llama's, Mistral's or Qwen's tokenizer makes of a text."""

_INNER = bytes(range(0x80, 0xC0))
"""The bytes of a UTF-8 character after its first: with them gone, each character is one byte."""
_WORD, _NUMBER, _MARKS, _GAP = (re.compile(each) for each in (rb"A*a+|A+", rb"0{1,3}", rb"\.{1,4}", rb" {32}"))


_SCRIPTS = ((0xCE, "l"), (0xD0, "g"), (0xD4, "c"), (0xE0, "g"), (0xE2, "s"), (0xE3, "e"), (0xEE, "h"), (0x100, "e"))
"""Where a kind ends among the first bytes in UTF-8: accents, Greek, Cyrillic, Hebrew and Arabic, Indian and other
syllables, symbols, Chinese to Korean, symbols."""


def _kind(first: int) -> str:
    """The kind of a character, by the first byte of it in UTF-8."""
    one = chr(first)
    if not one.isascii():
        return next(kind for end, kind in _SCRIPTS if first < end)
    if one.isalpha():
        return "a" if one.islower() else "A"
    return "0" if one.isdigit() else "." if one.isprintable() and one != " " else " "


_KINDS = "".join(map(_kind, range(256))).encode()


def count(model: str, text: str) -> int:
    """About how many tokens a text is to `model` (`provider:name`), rather too many than too few."""
    kinds = text.encode(errors="replace").translate(_KINDS, _INNER)
    found = (
        len(_WORD.findall(kinds)),
        kinds.count(b"a"),
        kinds.count(b"A"),
        len(_NUMBER.findall(kinds)),
        len(_MARKS.findall(kinds)),
        *(kinds.count(kind) for kind in (b"l", b"c", b"g", b"s", b"h", b"e")),
    )
    weights = next((weights for name, weights in FAMILIES.items() if name.search(model)), OTHERS)
    weighed = sum(number * weight for number, weight in zip(found, weights, strict=True))
    return ceil(weighed) + len(_GAP.findall(kinds))


@lru_cache(maxsize=256)
def window(model: str) -> int | None:
    """How many tokens `model` (`provider:name`) takes and gives together; None where nobody has said.

    From the list of genai-prices, which is shipped with it.
    """
    provider, _, name = model.partition(":")
    if provider == "ollama":
        return OLLAMA_WINDOW
    from genai_prices import Usage, calc_price

    try:
        return calc_price(Usage(), name, provider_id=provider).model.context_window
    except LookupError:
        return None

"""Microsoft's presidio-analyzer, for the numbers of more countries: its patterns and checks, without a language model.

It is slower and less sure than our own recognisers, and weighs some 300 MB, so it is an extra, opened only when asked.
Its own engine is left out: that wants a model of spaCy, and only to look at the words around a find. Nor is anything
fetched: the list of public suffixes that it checks mail addresses with is the one that comes with its package.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from typing_extensions import override

from mainspring.adapters.recognisers.folding import FoldingRecogniser
from mainspring.errors import SetupError
from mainspring.ports.recogniser import Found

LANGUAGES = ("en", "es", "it", "pl")
"""Presidio sorts the numbers of a country by its language; each is looked for in every text."""
THRESHOLD = 0.4
"""How sure it has to be. All telephone numbers have 0.4; what stands below is a guess from the words around."""

_OURS = {
    "CREDIT_CARD": "card",
    "EMAIL_ADDRESS": "email",
    "ES_NIE": "national_id",
    "ES_NIF": "national_id",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "IT_FISCAL_CODE": "national_id",
    "PHONE_NUMBER": "phone",
    "PL_PESEL": "national_id",
    "UK_NHS": "national_id",
    "US_ITIN": "national_id",
    "US_SSN": "national_id",
}
"""What we call its kinds; others have its own name, in lower case."""
_NOT_PERSONAL = frozenset({"DATE_TIME", "IT_VAT_CODE", "MAC_ADDRESS", "URL", "UUID"})
_PIECE, _RIM = 10_000, 200
"""Characters looked at together, and of them those that the next piece has too. Its patterns may take longer than
linear, so no text is given to it whole."""


class Presidio(FoldingRecogniser):
    """Finds what presidio's patterns do."""

    def __init__(self) -> None:
        """Load the patterns: about a second.

        Raises:
            SetupError: presidio-analyzer is not installed.
        """
        self._recognisers = tuple(_load(_package()))
        self._kinds = {
            entity: _kind(entity)
            for each in self._recognisers
            for entity in each.get_supported_entities()
            if entity not in _NOT_PERSONAL
        }

    @property
    @override
    def kinds(self) -> frozenset[str]:
        return frozenset(self._kinds.values())

    @override
    def find_folded(self, text: str) -> Iterable[Found]:
        for first in range(0, len(text), _PIECE - _RIM):
            piece = text[first : first + _PIECE]
            begin, end = first and _RIM // 2, len(piece) if first + _PIECE >= len(text) else len(piece) - _RIM // 2
            # What touches the rim may be cut in two; it is whole in the piece before or behind.
            yield from (
                Found(kind, first + start, first + stop)
                for kind, start, stop in self._found_in(piece)
                if begin <= start < end
            )

    def _found_in(self, piece: str) -> Iterator[Found]:
        for each in self._recognisers:
            results: list[Any] = each.analyze(text=piece, entities=each.get_supported_entities(), nlp_artifacts=None)
            for result in results or ():
                if result.score >= THRESHOLD and result.entity_type in self._kinds:
                    yield Found(self._kinds[result.entity_type], result.start, result.end)


def _kind(entity: str) -> str:
    return _OURS.get(entity, entity.lower())


def _package() -> ModuleType:
    try:
        return import_module("presidio_analyzer")
    except ImportError:
        raise SetupError(
            "The package 'presidio-analyzer' is not installed, and its recognisers were asked for. "
            "Install it with: pip install 'mainspring[presidio]'"
        ) from None


def _load(package: ModuleType) -> Iterator[Any]:
    """Presidio's recognisers that need no language model, each once."""
    registry = package.RecognizerRegistry(supported_languages=list(LANGUAGES))
    registry.load_predefined_recognizers(languages=list(LANGUAGES))
    seen: set[str] = set()
    for each in registry.recognizers:
        is_pattern = isinstance(each, package.PatternRecognizer) or "PHONE_NUMBER" in each.get_supported_entities()
        if is_pattern and type(each).__name__ not in seen:
            seen.add(type(each).__name__)
            if "EMAIL_ADDRESS" in each.get_supported_entities():
                each.validate_result = _suffix_check()
            yield each


def _suffix_check() -> Callable[[str], bool]:
    """Presidio's check of a mail address, but with the list that comes with the package."""
    extract: Any = import_module("tldextract").TLDExtract(suffix_list_urls=(), cache_dir=None)

    def has_suffix(address: str) -> bool:
        return bool(extract(address).fqdn)

    return has_suffix

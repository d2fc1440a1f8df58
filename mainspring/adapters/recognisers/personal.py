"""Personal data that has a shape: addresses, cards, accounts, telephone numbers, national numbers.

Not the names of persons, nor where they live: these have no shape, and no pattern finds them. Who needs them found
asks a model, or takes `presidio.py` with a model of the language.
"""

from collections.abc import Iterable

from phonenumbers import SUPPORTED_REGIONS
from typing_extensions import override

from mainspring.adapters.recognisers import addresses, payments, phones
from mainspring.adapters.recognisers.folding import FoldingRecogniser
from mainspring.adapters.recognisers.national_ids import find_national_ids
from mainspring.errors import SetupError
from mainspring.ports.recogniser import Found

_SHORTEST = 6
"""Characters, as of `a@b.ch`; a value with thousands of short texts in it is not looked at one by one."""

KINDS = frozenset({"card", "email", "iban", "ip", "national_id", "phone"})


class Personal(FoldingRecogniser):
    """Finds personal data by shape, check digits and numbering plans."""

    def __init__(self, regions: tuple[str, ...] = phones.REGIONS) -> None:
        """Find telephone numbers without a country code in these regions (`DE`, `US` …).

        Raises:
            SetupError: there is no such region.
        """
        if unknown := [region for region in regions if region not in SUPPORTED_REGIONS]:
            raise SetupError(
                f"There is no region {unknown[0]!r} of telephone numbers. It takes two capitals, such as 'DE'."
            )
        self._regions = regions

    @property
    @override
    def kinds(self) -> frozenset[str]:
        return KINDS

    @override
    def find_folded(self, text: str) -> Iterable[Found]:
        if len(text) < _SHORTEST:
            return
        yield from payments.find_cards(text)
        yield from payments.find_accounts(text)
        yield from find_national_ids(text)
        yield from addresses.find_mails(text)
        yield from addresses.find_machines(text)
        yield from phones.find_phones(text, self._regions)

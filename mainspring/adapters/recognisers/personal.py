"""Personal data that has a shape: addresses, cards, accounts, telephone numbers, national numbers.

Not the names of persons, nor where they live: these have no shape, and no pattern finds them. Who needs them found
asks a model, or takes `presidio.py` with a model of the language.
"""

from collections.abc import Iterable

from typing_extensions import override

from mainspring.adapters.recognisers import addresses, payments, phones
from mainspring.adapters.recognisers.folding import fold
from mainspring.adapters.recognisers.national_ids import find_national_ids
from mainspring.adapters.recognisers.overlaps import settled
from mainspring.ports.recogniser import Found, Recogniser

KINDS = frozenset({"card", "email", "iban", "ip", "national_id", "phone"})


class Personal(Recogniser):
    """Finds personal data by shape, check digits and numbering plans."""

    def __init__(self, regions: tuple[str, ...] = phones.REGIONS) -> None:
        """Find telephone numbers without a country code in these regions (`DE`, `US` …)."""
        self._regions = regions

    @property
    @override
    def kinds(self) -> frozenset[str]:
        return KINDS

    @override
    def find(self, text: str) -> Iterable[Found]:
        folded = fold(text)
        plain = folded.text
        finds = (
            *payments.find_cards(plain),
            *payments.find_accounts(plain),
            *find_national_ids(plain),
            *addresses.find_mails(plain),
            *addresses.find_machines(plain),
            *phones.find_phones(plain, self._regions),
        )
        return list(folded.found(settled(finds, len(plain))))

"""Two hundred decisions to one run at once, while somebody else decides the opposite."""

import asyncio
from collections import Counter

from mainspring.cli.approvals_sent import Order
from mainspring.core.approvals import UNCHANGED
from tests.mainspring.cli.office import Office, office, payer, pays
from tests.mainspring.cli.test_approvals import paid

__all__ = ["office"]
MANY = 200


async def test_two_hundred_at_once(office: Office) -> None:
    """Each request is decided once, by the one or the other; whoever was slower is told what was decided."""
    await office.open(payer(), model=pays(*range(1, MANY + 1)))
    run = await office.start("payer", MANY)
    waiting = await office.seen(run)

    ada, bob = await asyncio.gather(
        office.say(Order("approve", {}), waiting, "ada"),
        office.say(Order("deny", {"comment": "No."}), waiting, "bob"),
    )

    assert len(waiting) == MANY
    assert Counter(each.how for each in (*ada.told, *bob.told)) == {"done": MANY, "late": MANY}
    assert all("was denied" in each.said and each.said.endswith(UNCHANGED) for each in ada.told if each.how == "late")
    assert all("was approved" in each.said and each.said.endswith(UNCHANGED) for each in bob.told if each.how == "late")
    approved = {each.waiting.request.args["cents"] for each in ada.told if each.how == "done"}
    assert await paid(run) == {str(cents): 1 for cents in approved}

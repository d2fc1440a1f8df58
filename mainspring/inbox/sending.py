"""Sends a decision to a run, and tells in words what the run said to it."""

from collections.abc import Mapping
from typing import NamedTuple

from temporalio.client import Client

from mainspring.approving.sending import ANSWERS_WITHIN, EndedError, UnansweredError, deliver
from mainspring.core.canonical import Json
from mainspring.errors import UsageError


class Sent(NamedTuple):
    """What the run said: the sentence it recorded, or why it took nothing."""

    sentence: str
    is_taken: bool


async def send(client: Client, run: str, name: str, form: Mapping[str, Json], update: str) -> Sent:
    """Send an update under an id of its own: sent twice, it counts once, also where the run continues as new."""
    try:
        return Sent(await deliver(client, run, name, dict(form), update_id=update), is_taken=True)
    except EndedError:
        return Sent("The run has ended, so nothing waits for a decision. Nothing was changed.", is_taken=False)
    except UnansweredError:
        why = f"No worker answered within {ANSWERS_WITHIN} seconds, so it is not known whether this counts."
        return Sent(f"{why} See that a worker runs, look at this page again, and decide once more if it waits.", False)
    except UsageError as error:
        return Sent(str(error), is_taken=False)

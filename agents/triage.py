"""Sorts incoming tickets, so that each goes to the desk that can solve it."""

from typing import Literal

from pydantic import BaseModel

from mainspring import Agent


class Triage(BaseModel):
    """What a ticket is about, and in which language it is written."""

    kind: Literal["refund", "status", "other"]
    language: Literal["en", "de"]


triage = Agent(
    "triage",
    instructions=(
        "Sort an e-mail to a shop. kind: refund (wants money back), status (asks where an order is), "
        "other (everything else: legal threats, feedback, anything unclear). language: en or de."
    ),
    playbook="policies/triage.playbook.yaml",
    result=Triage,
)

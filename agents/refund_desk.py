"""The refund desk's agent: looks up an order, checks the policy, refunds, remembers."""

from typing import Literal

from pydantic import BaseModel

from agents.parcel_desk import parcel_desk
from mainspring import Agent, remember
from tools.shop import find_order, issue_refund, refund_policy


class Reply(BaseModel):
    """How the matter ended, what the customer reads, and a note for the colleague who gets a hand-over."""

    outcome: Literal["refunded", "question", "declined", "informed", "hand_over"]
    text: str
    note: str = ""


refund_agent = Agent(
    "refund-agent",
    instructions="refund_desk.md",
    tools=[find_order, refund_policy, issue_refund, parcel_desk, remember],
    rules="policies/refund_desk.yaml",
    playbook="policies/refund_desk.playbook.yaml",
    result=Reply,
)

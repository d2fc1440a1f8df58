"""Where is a parcel: an agent that other agents use as a tool."""

from mainspring import Agent
from tools.shop import track_parcel

parcel_desk = Agent(
    "parcel-desk",
    description="Finds out where the parcel of an order is.",
    instructions="Look up the parcel with `track_parcel` and answer in one sentence: carrier, status, last scan.",
    tools=[track_parcel],
    playbook="policies/parcel_desk.playbook.yaml",
)

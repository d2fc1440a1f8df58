"""The incident desk: takes a report that something is broken, looks into log and inventory, sets things going."""

from mainspring import Agent
from tools.incidents import open_incident, page_on_call, roll_back, service_status
from tools.logs import search_log

incident_desk = Agent(
    "incident-desk",
    instructions="incident_desk.md",
    tools=[service_status, search_log, open_incident, page_on_call, roll_back],
    rules="policies/incident_desk.yaml",
    playbook="policies/incident_desk.playbook.yaml",
)

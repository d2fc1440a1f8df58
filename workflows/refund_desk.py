"""The refund desk: classify a ticket, let the refund agent work on it, reply; or hand over to a person, and say so."""

from typing import Literal, TypedDict

from langgraph.graph import END, START, StateGraph

from agents.refund_desk import refund_agent
from agents.triage import triage
from mainspring import Graph, ask, use
from tools.mail import send_email
from tools.shop import hand_over

RECEIVED = {
    "en": "Thank you for your message. A colleague will read it and write to you.",
    "de": "Vielen Dank für Ihre Nachricht. Eine Kollegin oder ein Kollege wird sie lesen und Ihnen schreiben.",
}


class Ticket(TypedDict, total=False):
    """The state of one ticket; `input` and `user` (the customer's address) come from the run's input."""

    input: str
    user: str
    kind: str
    language: str
    outcome: str
    answer: str
    note: str
    case: int


async def classify(ticket: Ticket) -> Ticket:
    """Sort the ticket."""
    sorted_as = await ask(triage, ticket["input"])
    return {"kind": sorted_as.kind, "language": sorted_as.language}


async def refund(ticket: Ticket) -> Ticket:
    """Let the refund agent work on it."""
    reply = await ask(refund_agent, ticket["input"])
    return {"outcome": reply.outcome, "answer": reply.text, "note": reply.note}


async def reply(ticket: Ticket) -> Ticket:
    """Send the answer to the customer, where the run knows who that is."""
    if ticket.get("user"):
        subject = "Ihre Nachricht an uns" if ticket.get("language") == "de" else "Your message to us"
        await use(send_email, to=ticket["user"], subject=subject, body=ticket["answer"])
    return {}


async def to_a_person(ticket: Ticket) -> Ticket:
    """Put the ticket into the queue of the people at the desk."""
    reason = ticket.get("note") or f"Sorted as {ticket['kind']!r}; nothing else is noted."
    case = await use(hand_over, reason=reason, customer=ticket.get("user", ""), ticket=ticket["input"])
    return {
        "outcome": "hand_over",
        "case": case["case"],
        "answer": ticket.get("answer") or RECEIVED[ticket["language"]],
    }


def after_classify(ticket: Ticket) -> Literal["refund", "hand_over"]:
    """Refunds and questions about orders are for the agent."""
    return "hand_over" if ticket["kind"] == "other" else "refund"


def after_refund(ticket: Ticket) -> Literal["reply", "hand_over"]:
    """What the agent cannot solve goes to a person."""
    return "hand_over" if ticket["outcome"] == "hand_over" else "reply"


desk = StateGraph(Ticket)
desk.add_node("classify", classify)
desk.add_node("refund", refund)
desk.add_node("reply", reply)
desk.add_node("hand_over", to_a_person)
desk.add_edge(START, "classify")
desk.add_conditional_edges("classify", after_classify)
desk.add_conditional_edges("refund", after_refund)
desk.add_edge("hand_over", "reply")
desk.add_edge("reply", END)

refund_desk = Graph("refund-desk", desk, agents=[triage, refund_agent], tools=[send_email, hand_over])

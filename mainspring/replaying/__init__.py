"""Recorded runs on the code and the rules of today. Assembly: the worker's workflow class and converter, no server.

`read` and `fetch` get histories; `judge` says of one that it replays, that it deviates at an event, or that it
proves nothing. `rejudge` says what the rules of today would have said of what a run did, and `read_decisions` what
people decided in it.
"""

from mainspring.replaying.decided import Decided, read_decisions
from mainspring.replaying.past import Judged, Past, Said, asked_about, read_past
from mainspring.replaying.rejudging import Today, rejudge
from mainspring.replaying.sources import Entry, fetch, listed, read, save
from mainspring.replaying.verdicts import Verdict, judge

__all__ = [
    "Decided",
    "Entry",
    "Judged",
    "Past",
    "Said",
    "Today",
    "Verdict",
    "asked_about",
    "fetch",
    "judge",
    "listed",
    "read",
    "read_decisions",
    "read_past",
    "rejudge",
    "save",
]

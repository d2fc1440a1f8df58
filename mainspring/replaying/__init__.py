"""Replays recorded runs on the code of today. Assembly: the worker's workflow class and converter, no server.

`read` and `fetch` get histories; `judge` says of one that it replays, that it deviates at an event, or that it
proves nothing.
"""

from mainspring.replaying.sources import Entry, fetch, listed, read, save
from mainspring.replaying.verdicts import Verdict, judge

__all__ = ["Entry", "Verdict", "fetch", "judge", "listed", "read", "save"]

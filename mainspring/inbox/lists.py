"""The two lists: what waits, and what was decided."""

from functools import partial
from typing import Any, cast, get_args
from urllib.parse import urlencode

from starlette.requests import Request as Visit
from starlette.responses import Response

from mainspring.core.approvals import Kind
from mainspring.errors import SetupError
from mainspring.inbox.decided import list_decided
from mainspring.inbox.pages import Desk
from mainspring.inbox.waiting import Filter, list_waiting


class Lists:
    """The pages that list requests."""

    def __init__(self, desk: Desk) -> None:
        """Pages of this desk."""
        self._desk = desk

    async def waiting(self, visit: Visit) -> Response:
        """What waits for people, the soonest first."""
        person = self._desk.person(visit)
        if person is None:
            return self._desk.to_login(visit)
        is_mine = partial(self._desk.is_for, person)
        asked = visit.query_params
        kind = asked.get("kind", "")
        wanted = Filter(
            tool=asked.get("tool", "").strip(),
            agent=asked.get("agent", "").strip(),
            kind=cast("Any", kind if kind in get_args(Kind) else ""),
            mine=is_mine if asked.get("mine") == "yes" else None,
            soon=asked.get("soon") == "yes",
        )
        try:
            listed = await list_waiting(self._desk.client, wanted, asked.get("page", ""), self._desk.now())
        except SetupError as error:
            return self._desk.error(visit, 502, str(error))
        kept = {name: value for name, value in asked.items() if name != "page" and value}
        return self._desk.page(
            visit,
            "waiting.html",
            listed=listed,
            wanted=wanted,
            kinds=get_args(Kind),
            is_mine=is_mine,
            is_first="page" not in asked,
            onwards=f"/?{urlencode(kept | {'page': listed.next})}" if listed.next else "",
        )

    async def decided(self, visit: Visit) -> Response:
        """What was decided in the newest runs, or in one run."""
        if self._desk.person(visit) is None:
            return self._desk.to_login(visit)
        asked = visit.query_params
        run = asked.get("run", "").strip()
        try:
            page = await list_decided(self._desk.client, asked.get("page", ""), run)
        except SetupError as error:
            return self._desk.error(visit, 502, str(error))
        kept = {"run": run} if run else {}
        onwards = f"/decisions?{urlencode(kept | {'page': page.next})}" if page.next else ""
        return self._desk.page(visit, "decisions.html", decisions=page, run=run, onwards=onwards)

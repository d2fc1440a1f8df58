"""Keeps what libraries log while they send a notice from everybody else: their lines hold addresses and hosts.

Activity side.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_LOGGERS = (
    "apprise",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.proxy",
    "httpx",
    "requests_oauthlib.oauth1_session",
    "requests_oauthlib.oauth2_session",
    "urllib3.connectionpool",
)
_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


class _Hush(logging.Filter):
    """Lets pass what is not logged within `hushed`; others may use these libraries too."""

    def filter(self, record: logging.LogRecord) -> bool:
        heard = _heard.get()
        if heard is None:
            return True
        heard.append(record.getMessage())
        return False


_HUSH = _Hush()


@contextmanager
def hushed() -> Generator[list[str]]:
    """Give the lines that this task, and the threads it starts, make the libraries log; nobody else gets them."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_HUSH)  # once, however often it is called
    heard: list[str] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)

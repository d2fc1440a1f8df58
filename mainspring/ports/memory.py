"""The memory port: what is known of a user beyond one run."""

from abc import ABC, abstractmethod

from mainspring.core.canonical import Value


class Note(Value):
    """One thing remembered of a user: the words, the run that wrote them, when (ISO 8601, UTC), and of what label."""

    text: str
    run: str
    at: str
    label: str = ""


class Memory(ABC):
    """Notes about users, kept apart by tenant."""

    @abstractmethod
    async def recall(self, tenant: str, user: str) -> tuple[Note, ...]:
        """The newest notes about a user, newest first, at most 20.

        Called once when a run is admitted, and only for runs that name a user.
        """

    @abstractmethod
    async def remember(self, tenant: str, user: str, note: Note, key: str) -> None:
        """Keep a note. The same `key` again replaces it, so a repeated attempt keeps it once."""

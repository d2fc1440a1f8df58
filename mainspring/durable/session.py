"""Workflow side. A session: messages that come in one by one, each answered in its order, for as long as it lives.

A run is a session when it was started without an input. Messages are taken at once and wait their turn, so the
update that brings one never waits for a model; the answer is read afterwards.
"""

from collections import OrderedDict
from typing import Any, cast

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from mainspring.contracts.carried import Exchange, Letter, Mail
from mainspring.durable.conversation import Conversation
from mainspring.durable.failures import failure

BACKLOG = 100
"""How many messages may wait; one more is refused in words."""
WAITING = 256 * 1024
"""Bytes of all messages that wait: they are carried along, in one payload with everything else."""
KEPT = 50
"""How many answers can be read again; older ones stand in the history."""
KEPT_BYTES = 256 * 1024
"""Bytes of these answers, likewise; the newest stays, however long."""
LENGTH = 64 * 1024
"""Bytes of one message."""


class Session:
    """The messages of one run, whether or not it is a session: updates may come before that is known."""

    def __init__(self, mail: Mail) -> None:
        """Take up what the execution before left."""
        self.finishing = mail.finishing
        self._count = mail.count
        self._backlog = list(mail.backlog)
        self._exchanges: OrderedDict[int, Exchange] = OrderedDict((each.message, each) for each in mail.exchanges)

    @property
    def messages(self) -> list[Exchange]:
        """The newest exchanges, oldest first."""
        return list(self._exchanges.values())

    def carried(self) -> Mail:
        """The messages as they stand now, for the next execution."""
        return Mail(
            count=self._count,
            backlog=tuple(self._backlog),
            exchanges=tuple(self._exchanges.values()),
            finishing=self.finishing,
        )

    def check(self, form: Any) -> None:
        """Refuse a message that cannot be taken.

        Raises:
            ApplicationError: NotAccepted: no text, too much of it, too many waiting, or the session is to finish.
        """
        check_text(form, "message", "send")
        if self.finishing:
            raise failure("NotAccepted", "This session is finishing and takes no more messages. Start another.")
        if len(self._backlog) >= BACKLOG:
            raise failure("NotAccepted", f"{BACKLOG} messages wait already. Send this one once some are answered.")
        waiting = sum(len(each.text.encode()) for each in self._backlog)
        if waiting + len(taken(form, "message").encode()) > WAITING:
            why = f"The messages that wait have {waiting} bytes, and at most {WAITING} fit."
            raise failure("NotAccepted", f"{why} Send this one once some are answered.")

    def take(self, form: Any) -> Exchange:
        """Put a message that was checked at the end of those that wait."""
        self._count += 1
        self._backlog.append(Letter(message=self._count, text=taken(form, "message")))
        return self._note(Exchange(message=self._count))

    def number_in(self, form: Any) -> int:
        """The message that a form asks for.

        Raises:
            ApplicationError: NotAccepted, when it names none that can be read.
        """
        number = cast("dict[str, Any]", form).get("message") if isinstance(form, dict) else form
        if not isinstance(number, int) or number not in self._exchanges:
            known = f"{min(self._exchanges)} to {max(self._exchanges)}" if self._exchanges else "none yet"
            raise failure("NotAccepted", f'reply needs the number of a message: {{"message": 1}}. There is: {known}.')
        return number

    def is_open(self, number: int) -> bool:
        """Whether this message is not answered yet."""
        return self._exchanges[number].status in ("waiting", "working")

    def exchange(self, number: int) -> Exchange:
        """What came of a message up to now."""
        return self._exchanges[number]

    async def serve(self, conversation: Conversation) -> str:
        """Answer messages until the session is told to finish; the last answer.

        What fails one exchange does not end the session: its reason is the answer.
        """
        while True:
            await workflow.wait_condition(lambda: bool(self._backlog) or self.finishing)
            if not self._backlog:
                return next((e.answer for e in reversed(self._exchanges.values()) if e.status == "answered"), "")
            letter = self._backlog[0]
            self._note(Exchange(message=letter.message, status="working"))
            try:
                answer = await conversation.exchange(letter.text)
                self._note(Exchange(message=letter.message, status="answered", answer=answer))
            except ApplicationError as error:
                if error.type == "Stopped":  # a person wants the run to end
                    raise
                self._note(Exchange(message=letter.message, status="failed", answer=error.message))
            self._backlog.pop(0)

    def _note(self, exchange: Exchange) -> Exchange:
        self._exchanges[exchange.message] = exchange
        closed = [number for number in self._exchanges if not self.is_open(number)]
        while len(closed) > KEPT or (len(closed) > 1 and self._bytes_of(closed) > KEPT_BYTES):
            del self._exchanges[closed.pop(0)]
        return exchange

    def _bytes_of(self, numbers: list[int]) -> int:
        return sum(len(self._exchanges[number].answer.encode()) for number in numbers)


def check_text(form: Any, field: str, verb: str) -> None:
    """Refuse what is neither a plain string nor an object with this field.

    Raises:
        ApplicationError: NotAccepted, saying what would be right.
    """
    text = cast("dict[str, Any]", form).get(field) if isinstance(form, dict) else form
    unknown = sorted(set(cast("dict[str, Any]", form)) - {field}) if isinstance(form, dict) else []
    if unknown:
        raise failure("NotAccepted", f"Unknown field {unknown[0]!r}; {verb} takes {field!r}.")
    if not isinstance(text, str) or not text.strip():
        raise failure("NotAccepted", f'{verb} needs a text: "…" or {{"{field}": "…"}}.')
    if (size := len(text.encode())) > LENGTH:
        raise failure("NotAccepted", f"The text has {size} bytes; {verb} takes at most {LENGTH}.")


def taken(form: Any, field: str) -> str:
    """The text of a form that was checked.

    The check is not made again here: this is replayed, and a limit that changes must not undo what was taken.
    """
    return cast("dict[str, str]", form)[field] if isinstance(form, dict) else cast("str", form)

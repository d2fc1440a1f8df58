"""The whole error tree.

    MainspringError
    * UsageError            the developer or operator must change something
      x DefinitionError     an agent, tool or graph is defined wrongly
      x PolicyError         a rule file or playbook is wrong (has file and line)
      x InputError          what a run was started with cannot be used
      x SetupError          a server, file, port or package is missing
    * RunError              this run, or one step of it, failed
      x ModelError          the model could not be reached or gave nothing usable
      x LedgerError         the conversation could not be rebuilt from history
      x PermitError         a tool call arrived without a permit that fits it
      x PayloadError        a large payload could not be stored, or not be read back
      x LimitError          what was taken of a limit could not be counted
      x TokenError          a token does not say who decides
      x NotifyError         people could not be told that a request waits

Signals of a tool to the engine (raised inside a tool, never a crash of the run):

    * ToolError             "the model should read this": an expected failure in words
    * NotDone               "nothing happened": a `once` call may safely be tried again

Every message says what is wrong, why, and what to do, with names in quotes.
"""

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class MainspringError(Exception):
    """Root of every error the engine raises on purpose."""


class UsageError(MainspringError):
    """The developer or operator must change something; trying again does not help."""


class DefinitionError(UsageError):
    """An agent, tool or graph is defined wrongly."""


class PolicyError(UsageError):
    """A rule file or playbook is wrong.

    `source` is the file as the author named it; `line` and `column` count from 1 (0: the whole file, the whole line).
    """

    def __init__(self, source: str, line: int, problem: str, column: int = 0) -> None:
        """Put the place before the problem: `policies/x.yaml:12:5: …`."""
        place = ":".join(str(each) for each in (source, line, column) if each)
        super().__init__(f"{place}: {problem}")
        self.source = source
        self.line = line
        self.column = column
        self.problem = problem


class InputError(UsageError):
    """What a run was started with cannot be used."""


class SetupError(UsageError):
    """A server, file, port or package that is needed is missing."""


class RunError(MainspringError):
    """This run, or one step of it, failed. `retryable` tells whether trying again can help."""

    retryable = False


class ModelError(RunError):
    """The model could not be reached or gave nothing usable.

    `retry_after` is in seconds, where the provider said so.
    """

    def __init__(self, message: str, *, retryable: bool = True, retry_after: float | None = None) -> None:
        """Keep whether another attempt can help, and when."""
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class LedgerError(RunError):
    """The conversation could not be rebuilt from history, or a digest does not fit its item."""


class PermitError(RunError):
    """A tool call arrived without a permit that fits it."""


class PayloadError(RunError):
    """A large payload could not be stored, or not be read back from where it was."""

    retryable = True


class LimitError(RunError):
    """What was taken of a limit could not be counted, so nobody knows whether there is room."""

    retryable = True


class TokenError(RunError):
    """A token does not say who decides: it is forged, expired, or for something else."""


class NotifyError(RunError):
    """People could not be told that a request waits for them."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        """Keep whether another attempt can help."""
        super().__init__(message)
        self.retryable = retryable


class ToolError(MainspringError):
    """Raised by a tool for an expected failure, in words the model should read (no retry)."""


class NotDone(MainspringError):  # noqa: N818 - a signal, not an error
    """Raised by a `once` tool when it is certain that nothing happened, so it may be tried again."""


def did_you_mean(name: str, known: "Iterable[str]") -> str:
    """Return ` Did you mean 'x'?`, or what exists, for an unknown name."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" There is: {', '.join(repr(n) for n in names)}." if names else " There is none yet."

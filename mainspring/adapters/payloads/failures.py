"""Whose a payload is, and the words for one that is damaged. Both sides, through the data converter."""

from temporalio.converter import StorageDriverStoreContext

from mainspring.errors import PayloadError


def owner(context: StorageDriverStoreContext) -> tuple[str, str]:
    """Namespace and id of the workflow a payload belongs to; a standalone activity has an id of its own."""
    target = context.target
    return (target.namespace, target.id or "unnamed") if target else ("unnamed", "unnamed")


def damaged(run: str, where: str) -> PayloadError:
    """The refusal of a payload that is not what was stored.

    It does not end the run: while a history is replayed Temporal takes no end that is not in it, and a backup mends it.
    """
    return PayloadError(
        f"a payload of run {run!r} is damaged: {where} is not what was stored there. "
        "Put it back from a backup; the run goes on by itself then."
    )

"""Which of several finds at one place is kept."""

from collections.abc import Iterable

from mainspring.ports.recogniser import Found


def settled(finds: Iterable[Found], length: int) -> list[Found]:
    """The finds of a text of this length, sorted, none overlapping another: the longest is kept, of equals the first.

    So whoever is more certain comes first.
    """
    taken = bytearray(length + 1)
    kept: list[Found] = []
    for find in sorted(finds, key=lambda each: each.start - each.end):
        # All kept so far are at least as long, so one that overlaps this one holds its first or its last character.
        if find.start < find.end and not taken[find.start] and not taken[find.end - 1]:
            taken[find.start : find.end] = b"\1" * (find.end - find.start)
            kept.append(find)
    return sorted(kept, key=lambda each: each.start)

"""Labels: two ladders, and what was made of several contents has the gravest of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.labels import INTEGRITY, OURS, SECRECY, Label, join, read_label

LABELS = st.builds(Label, integrity=st.sampled_from(INTEGRITY), secrecy=st.sampled_from(SECRECY))


@given(LABELS, LABELS, LABELS)
def test_joining_is_a_least_upper_bound(one: Label, other: Label, limit: Label) -> None:
    """The join fits under a limit exactly when both parts do, whatever their order."""
    joined = join((one, other))

    assert joined == join((other, one)) == join((one, other, one))
    assert joined.fits(limit) == (one.fits(limit) and other.fits(limit))


def test_of_nothing_is_ours() -> None:
    """What was made of nothing else is the team's own word, if not for everybody."""
    assert join((Label(secrecy="public"),)) == Label(secrecy="public")
    assert join((OURS, Label(secrecy="public"))) == OURS


@given(LABELS)
def test_a_label_is_read_as_it_is_written(label: Label) -> None:
    """Its text in a history means the same later."""
    assert read_label(str(label)) == label


def test_what_is_not_said_is_as_usual() -> None:
    """One word, or none, leaves the other ladder as it is."""
    assert read_label("external") == Label(integrity="external", secrecy="internal")
    assert read_label("personal", Label(integrity="user")) == Label(integrity="user", secrecy="personal")
    assert read_label("") == OURS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extrenal", "'extrenal' is no label; there are trusted, user, external, and public"),
        ("trusted external", "'trusted' and 'external' contradict each other"),
    ],
)
def test_a_wrong_label_is_refused_in_words(text: str, said: str) -> None:
    """The message says what there is."""
    with pytest.raises(ValueError, match=said):
        read_label(text)

from pathlib import Path
from typing import Any, get_args

import pytest

from mainspring.adapters.notifier import open_notifier
from mainspring.adapters.notifier.ways import Links
from mainspring.adapters.notifier.wording import Wording
from mainspring.errors import SetupError
from mainspring.ports.notifier import Channel, Occasion
from mainspring.testing.notifier_contract import sample

LINKS = Links("https://temporal/run", "https://inbox/run")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for templates, empty at first."""
    return tmp_path


def words(*folders: Path, **changes: Any) -> tuple[str, str]:
    """The title and the text of a notice."""
    said = Wording(folders).words(sample(**changes), LINKS, channel="ops", person="ada@example.com")
    return said.title, said.text


@pytest.mark.parametrize("occasion", get_args(Occasion))
def test_each_occasion_has_words(occasion: Occasion) -> None:
    """Each occasion has a title of its own, and a text with both links."""
    titles = {words(occasion=each)[0] for each in get_args(Occasion)}
    title, text = words(occasion=occasion)

    assert len(titles) == len(get_args(Occasion))
    assert "refund-1042" in title
    assert all(link in text for link in LINKS)


def test_asked() -> None:
    """A notice says who wants what, why somebody is asked, who may decide, until when, and where."""
    title, text = words()

    assert title == "issue_refund waits for a decision (refund-1042, request 1)"
    assert text == (
        "The agent desk wants to run issue_refund.\n"
        "Why you are asked: Refunds over 50 EUR need a person.\n"
        "Who may decide: finance\n"
        "Decide by: 2027-01-15 08:00 UTC\n"
        "Run: refund-1042, request 1\n\n"
        "Read and decide: https://inbox/run\n"
        "In Temporal: https://temporal/run"
    )


def test_what_there_is_not_is_left_out() -> None:
    """Where there is no reason, nobody in particular, no deadline and no link, nothing is said of it."""
    said = Wording().words(sample(reason="", who=(), deadline=0.0), Links())

    assert said.text == "The agent desk wants to run issue_refund.\nRun: refund-1042, request 1"


def test_decided() -> None:
    """Where it is decided, the decision is told."""
    _, text = words(occasion="decided", decision="Request 1 (issue_refund) was approved by ada@example.com.")

    assert text.startswith("Request 1 (issue_refund) was approved by ada@example.com.\n\n")


def test_own_words(folder: Path) -> None:
    """A file of the folder stands for its occasion alone, and may include parts, ours and its own."""
    (folder / "handed-over.txt").write_text("{{ tool }} für {{ person }}\n{% include '_foot.txt' %}\n")
    (folder / "_foot.txt").write_text("{{ channel }}: {% include '_links.txt' %}")

    assert words(folder, occasion="handed over") == (
        "issue_refund für ada@example.com",
        "ops: Read and decide: https://inbox/run\nIn Temporal: https://temporal/run",
    )
    assert words(folder) == words()


def test_first_folder_first(folder: Path) -> None:
    """A channel's own folder goes before that of all, whatever the ending is."""
    own, common = folder / "own", folder / "common"
    for each in (own, common):
        each.mkdir()
    (own / "asked.txt").write_text("own")
    (common / "asked.html").write_text("common")
    (common / "decided.html").write_text("common")

    assert words(own, common)[0] == "own"
    assert words(own, common, occasion="decided")[0] == "common"


WRONG = {
    "asked.txt:2' is wrong: Encountered unknown tag 'fi'": "Title\n{% fi %}",
    "asked.txt:1' is wrong: unexpected '}'": "{{ tool }",
    "asked.txt' uses 'tol', which no notice has. Did you mean 'tool'?": "Title\n{% if tol %}{% endif %}",
    "asked.txt' uses 'args', which no notice has.": "Title {{ args }}",
    "asked.txt' gives no title": "\n\n",
    "asked.txt' gives no title. Write one": "{% if kind == 'review' %}Title{% endif %}",
    "asked.txt' fails: TemplateNotFound: _missing.txt": "Title {% include '_missing.txt' %}",
    "asked.txt' fails: UndefinedError": "Title {{ tool.name }}",
    "asked.txt' fails: SecurityError": "{{ tool.__class__.__mro__ }}",
    "asked.txt' fails: ZeroDivisionError": "{{ 1 / 0 }}",
    "asked.txt' fails: UnicodeDecodeError": b"\xff",
}


@pytest.mark.parametrize("problem", WRONG)
def test_wrong_template(folder: Path, problem: str) -> None:
    """A template that is wrong is told when the worker starts, with its file, its line where it has one, and why."""
    content = WRONG[problem]
    (folder / "asked.txt").write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(SetupError) as caught:
        open_notifier({}, templates=folder)
    assert f"{folder}/{problem}" in str(caught.value)


def test_wrong_name(folder: Path) -> None:
    """A file for no occasion is told: its words would never be used."""
    (folder / "askd.txt").write_text("Title")
    (folder / "README.md").write_text("of other people")

    with pytest.raises(SetupError, match=r"askd\.txt' is for no occasion\. Did you mean 'asked'\?"):
        Wording([folder])


def test_two_for_one_occasion(folder: Path) -> None:
    """Two files for one occasion are told, not chosen from."""
    (folder / "asked.txt").write_text("Title")
    (folder / "asked.html").write_text("Title")

    with pytest.raises(SetupError, match=r"asked\.html' and '.*asked\.txt' are for the same occasion"):
        Wording([folder])


def test_no_folder(folder: Path) -> None:
    """A folder that there is not is told, whether it is that of all or a channel's own."""
    with pytest.raises(SetupError, match="'nowhere' cannot be read: No such file"):
        open_notifier({}, templates=Path("nowhere"))
    with pytest.raises(SetupError, match="'nowhere' cannot be read"):
        open_notifier({"ops": Channel(url="json://localhost", templates=Path("nowhere"))})


def test_template_that_loops(folder: Path) -> None:
    """A template that would run for ever is told too."""
    (folder / "asked.txt").write_text("{% for _ in range(10 ** 9) %}x{% endfor %}")

    with pytest.raises(SetupError, match="OverflowError"):
        Wording([folder])

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.adapters.notifier import open_notifier
from mainspring.errors import SetupError
from mainspring.ports.notifier import Channel
from mainspring.settings import Settings, read_settings

SECRET = "s3cr3t-part-of-it"


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without settings."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(place: Path, text: str) -> None:
    """Have a file of settings."""
    (place / "mainspring.toml").write_text(text)


def refused() -> str:
    """What is told of settings that are wrong."""
    with pytest.raises(SetupError) as caught:
        read_settings()
    return str(caught.value)


def test_nobody_is_told_by_default() -> None:
    """Without settings there is no channel, no folder of words and no place for links."""
    settings = read_settings()

    assert (settings.notify, settings.notify_templates, settings.inbox_url, settings.ui_url) == ({}, None, "", "")


def test_channels(empty_place: Path) -> None:
    """A channel is a URL, or a table with one."""
    ada = '{url = "mailto://y", person = "ada@x.com"}'
    write(empty_place, f'notify_templates = "words"\n[notify]\nops = "slack://x"\nada = {ada}\n')
    settings = read_settings()

    assert settings.notify == {"ops": Channel(url="slack://x"), "ada": Channel(url="mailto://y", person="ada@x.com")}
    assert settings.notify_templates == Path("words")


def test_secrets_from_the_environment(empty_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is secret can come from variables, one for each, and the rest of the channel from the file."""
    write(empty_place, '[notify.hook]\nperson = "ada@x.com"\n')
    monkeypatch.setenv("MAINSPRING_NOTIFY__HOOK__URL", "webhook+https://x/y")
    monkeypatch.setenv("MAINSPRING_NOTIFY__HOOK__SECRET", "whsec_x")
    monkeypatch.setenv("MAINSPRING_NOTIFY__OPS", "slack://x")

    assert read_settings().notify == {
        "hook": Channel(url="webhook+https://x/y", secret="whsec_x", person="ada@x.com"),
        "ops": Channel(url="slack://x"),
    }


def test_all_channels_in_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable can have the whole table, as JSON."""
    monkeypatch.setenv("MAINSPRING_NOTIFY", '{"ops": "slack://x"}')

    assert read_settings().notify == {"ops": Channel(url="slack://x")}


def test_variable_that_is_not_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is not JSON is told, without what it is."""
    monkeypatch.setenv("MAINSPRING_NOTIFY", SECRET)

    said = refused()
    assert "The variable 'MAINSPRING_NOTIFY' is not JSON" in said
    assert SECRET not in said


def test_part_of_what_is_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two underscores make no unknown variable known."""
    monkeypatch.setenv("MAINSPRING_STATE__X", "x")

    assert "'MAINSPRING_STATE__X' is not known. Did you mean 'MAINSPRING_STATE'?" in refused()


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ("{urll = 's3cr3t-part-of-it'}", "'ops' of 'notify' has an unknown key 'urll'. Did you mean 'url'?"),
        ("{person = 's3cr3t-part-of-it'}", "The channel 'ops' of 'notify' has no 'url'."),
        ("{url = ['s3cr3t-part-of-it']}", "has a 'url' that is not usable; it must be a text, not empty"),
        ("{url = 'x', person = 's3cr3t-part-of-it x'}", "has a 'person' that is not usable; it must be a name without"),
        ("{url = 'x', templates = 3}", "has a 'templates' that is not usable; it must be the path of a folder"),
        ("''", "'ops' of 'notify' has a 'url' that is not usable"),
        ("['s3cr3t-part-of-it']", "'ops' of 'notify' must be a URL, or a table with a 'url'"),
    ],
)  # fmt: skip
def test_wrong_channel(empty_place: Path, channel: str, said: str) -> None:
    """A channel that is wrong is named with what is wrong, and without what it is."""
    write(empty_place, f"[notify]\nops = {channel}\n")

    told = refused()
    assert said in told
    assert SECRET not in told


def test_no_table(empty_place: Path) -> None:
    """Channels without names are told."""
    write(empty_place, f'notify = ["{SECRET}"]\n')

    told = refused()
    assert "The key 'notify' in 'mainspring.toml' must be a table of channels by name." in told
    assert SECRET not in told


@pytest.mark.parametrize("name", ["Ops", "my channel", "", "-ops", "o" * 64])
def test_wrong_name(empty_place: Path, name: str) -> None:
    """A name is one that a variable can have too."""
    write(empty_place, f'[notify]\n"{name}" = "slack://x"\n')

    assert f"The channel {name!r} must have a name of lower-case letters" in refused()


@pytest.mark.parametrize("key", ["inbox_url", "ui_url"])
@pytest.mark.parametrize("url", ["localhost:8233", "ftp://x", "https://", "https://x?y", "https://x#y", "https://x y"])
def test_wrong_place(empty_place: Path, key: str, url: str) -> None:
    """A place that no link can begin with is told, with what would be right."""
    write(empty_place, f'{key} = "{url}"\n')

    assert f"The key {key!r} in 'mainspring.toml' is {url!r}, but it must be an address that links" in refused()


@pytest.mark.parametrize("url", ["http://localhost:8233", "https://example.com/inbox/"])
def test_places(empty_place: Path, url: str) -> None:
    """Links begin with an address, which may have a path."""
    write(empty_place, f'inbox_url = "{url}"\nui_url = "{url}"\n')

    assert (read_settings().inbox_url, read_settings().ui_url) == (url, url)


def test_channels_of_the_guide(empty_place: Path) -> None:
    """The channels that the guide shows can be opened."""
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "notify-approvers.md").read_text()
    write(empty_place, guide.split("```toml\n")[1].split("```")[0])
    settings = read_settings()

    open_notifier(settings.notify, ui=settings.ui_url, inbox=settings.inbox_url)
    assert set(settings.notify) == {"finance", "ada", "ticketing"}


@given(st.text(), st.text())
def test_not_in_a_repr(url: str, secret: str) -> None:
    """Settings that are printed show no channel's address and no secret."""
    shown = repr(Settings(notify={"ops": Channel(url=f"§{url}", secret=f"§{secret}")}))

    assert "§" not in shown

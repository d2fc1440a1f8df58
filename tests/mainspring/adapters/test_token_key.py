"""The key for tokens: given, or made once and kept."""

from pathlib import Path

import pytest

from mainspring.adapters.token_key import read_token_key
from mainspring.errors import SetupError


def test_a_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    """The second reader has the first one's key; the file is for its owner alone."""
    file = tmp_path / "state" / "token.key"
    key = read_token_key("", file)

    assert len(key) == 32
    assert read_token_key("", file) == key
    assert file.stat().st_mode & 0o077 == 0
    assert [each.name for each in file.parent.iterdir()] == ["token.key"]
    assert read_token_key("", tmp_path / "other.key") != key


def test_a_key_that_is_given_goes_first(tmp_path: Path) -> None:
    """No file is made then."""
    assert read_token_key("ab" * 32, tmp_path / "token.key") == bytes.fromhex("ab" * 32)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "ab" * 31, "not hex", "ab" * 33, "\u00e9"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, text: str) -> None:
    """A short key would be as good as none; the message shows nothing of it."""
    file = tmp_path / "token.key"
    file.write_text(text)

    with pytest.raises(SetupError, match=r"token\.key' cannot be used: it holds no key of 64 hex characters") as caught:
        read_token_key("", file)
    assert not text or text not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With the way out."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SetupError, match=r"cannot be used: .*Set MAINSPRING_TOKEN_KEY instead\."):
        read_token_key("", tmp_path / "file" / "token.key")

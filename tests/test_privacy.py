"""harness.privacy: the salt is kept well, and no name of the host gets through."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import StorageError
from harness.privacy import Scrubber, host_scrubber, load_salt, pseudonym, salt_path


def test_the_salt_lives_in_the_configuration_folder(tmp_path: Path) -> None:
    assert salt_path({"XDG_CONFIG_HOME": "/config"}) == Path("/config/vace-bench/salt")
    assert salt_path({}) == Path.home() / ".config" / "vace-bench" / "salt"


def test_the_salt_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "salt"
    salt = load_salt(path)
    assert len(salt) == 32
    assert load_salt(path) == salt
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_salt(tmp_path / "other") != salt


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 32])
def test_a_damaged_salt_is_named_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "salt"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"salt is damaged; delete it"):
        load_salt(path)
    assert path.read_bytes() == content


def test_a_salt_that_cannot_be_kept_is_one_clear_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError, match="set XDG_CONFIG_HOME"):
        load_salt(blocked / "salt")


def test_a_pseudonym_is_stable_short_and_needs_the_salt() -> None:
    assert pseudonym("GPU-1", "a") == pseudonym("GPU-1", "a")
    assert pseudonym("GPU-1", "a") != pseudonym("GPU-1", "b")
    assert pseudonym("GPU-1", "a") != pseudonym("GPU-2", "a")
    assert len(pseudonym("GPU-1", "a")) == 16


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/home/ada/run/x.py", "<home>/run/x.py"),
        ("cc -I/home/ada/include", "cc -I<home>/include"),
        ("/home/ada2/x and /home/ada-old", "/home/ada2/x and /home/ada-old"),
        ("/home/ada/clips/video.mp4", "<video>"),
        ("ada@lovelace: ok", "<user>@<host>: ok"),
        ("canada and adamant", "canada and adamant"),
        ("x.ada and pre-ada", "x.ada and pre-ada"),
    ],
)
def test_known_names_are_replaced_longest_first(text: str, clean: str) -> None:
    scrub = Scrubber(
        {
            "/home/ada": "<home>",
            "/home/ada/clips/video.mp4": "<video>",
            "lovelace": "<host>",
            "ada": "<user>",
            "": "<nothing>",
        }
    )
    assert scrub(text) == clean


@given(st.text())
def test_a_name_is_text_and_no_pattern(text: str) -> None:
    scrub = Scrubber({"/a.b(": "\\1"})
    assert scrub(text) == text.replace("/a.b(", "\\1") or "/a.b(" in text


def test_the_host_scrubber_knows_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, home = tmp_path / "project", tmp_path / "ada"
    real = tmp_path / "real"
    real.mkdir()
    project.symlink_to(real)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setattr("socket.gethostname", lambda: "lovelace.example.org")
    scrub = host_scrubber(project, {Path("clips/a.mp4"): "<video>"})
    assert scrub(f"{project}/x {real}/y") == "<project>/x <project>/y"
    assert scrub(f"{home}/.cache by ada") == "<home>/.cache by <user>"
    assert scrub("on lovelace and lovelace.example.org") == "on <host> and <host>"
    assert scrub(f"clips/a.mp4 {Path.cwd()}/clips/a.mp4") == "<video> <video>"


def test_the_root_account_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "root")
    monkeypatch.setattr("socket.gethostname", lambda: "lovelace")
    assert host_scrubber(tmp_path, {})("read-only root") == "read-only root"

import subprocess
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.host.facts import command_line, commit_facts, host_facts
from harness.privacy import Scrubber

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


def test_commit_and_dirty_flag_come_from_git(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    clean = commit_facts(tmp_path, {})
    assert len(str(clean["git.commit"].value)) == 40
    assert clean["git.dirty"].value is False
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "run.json").touch()
    assert commit_facts(tmp_path, {})["git.dirty"].value is False
    (tmp_path / "file").write_text("2")
    assert commit_facts(tmp_path, {})["git.dirty"].value is True


def test_without_git_a_file_states_the_commit(tmp_path: Path) -> None:
    unknown = commit_facts(tmp_path, {})
    assert unknown["git.commit"].value is None
    assert ".vace-bench-commit" in str(unknown["git.commit"].reason)
    (tmp_path / ".vace-bench-commit").write_text(f"{COMMIT} dirty\n")
    stated = commit_facts(tmp_path, {})
    assert stated["git.commit"].value == COMMIT
    assert stated["git.dirty"].value is True


def test_the_environment_comes_first_and_is_checked(tmp_path: Path) -> None:
    assert (
        commit_facts(tmp_path, {"VACE_BENCH_COMMIT": f"{COMMIT} clean"})["git.dirty"].value is False
    )
    with pytest.raises(UsageError, match="VACE_BENCH_COMMIT"):
        commit_facts(tmp_path, {"VACE_BENCH_COMMIT": "main"})


def test_the_command_line_holds_no_paths() -> None:
    scrub = Scrubber({"/home/ann/clips/a.mp4": "<video>"})
    typed = ["/home/ann/bin/invoke", "bench", "--video=/home/ann/clips/a.mp4", "--only", "e2e-*"]
    assert command_line(typed, scrub) == ["invoke", "bench", "--video=<video>", "--only", "e2e-*"]


def test_every_host_fact_has_a_value_or_a_reason() -> None:
    for fact in host_facts().values():
        assert fact.value is not None or fact.reason

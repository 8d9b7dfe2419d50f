"""harness.host.last_error: kept until the task succeeds, told by the doctor; others are none."""

import os
import sys
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.host.last_error import FILE, last, last_finding
from harness.host.task_form import one_line_errors


def fail(
    project: Path, task: str, monkeypatch: pytest.MonkeyPatch, what: str = "no such GPU"
) -> None:
    monkeypatch.setattr(sys, "argv", ["invoke", "--echo", "-r", "/x", task, "--gpu", "9"])
    with pytest.raises(SystemExit) as left, one_line_errors(project):
        raise UsageError(what, next_step="see `invoke doctor`")
    assert left.value.code == 2


def succeed(project: Path, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["invoke", task])
    with one_line_errors(project):
        pass


def test_the_last_error_and_its_remedy_stay_until_that_task_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert last_finding(tmp_path) is None
    fail(tmp_path, "build", monkeypatch, "no engine")
    fail(tmp_path, "bench", monkeypatch)
    found = last_finding(tmp_path)
    assert found is not None and found.state == "note"
    assert found.line.startswith("note    last error: of `invoke bench`, 20")
    assert found.line.endswith("Z: no such GPU; see `invoke doctor`")
    succeed(tmp_path, "report", monkeypatch)
    assert last(tmp_path) is not None
    succeed(tmp_path, "bench", monkeypatch)
    assert last(tmp_path) is None and not (tmp_path / FILE).exists()


def test_an_answer_that_is_an_exit_code_is_a_success_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(tmp_path, "compare", monkeypatch)
    with pytest.raises(SystemExit) as left, one_line_errors(tmp_path):
        sys.exit(3)
    assert left.value.code == 3 and last(tmp_path) is None


def test_what_an_error_quotes_does_not_drive_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(tmp_path, "bench", monkeypatch, "case 'a\x1b[2J\nb'")
    found = last_finding(tmp_path)
    assert found is not None and "\x1b" not in found.line and "\n" not in found.line


@pytest.mark.parametrize("blob", [b"", b"{", b"[]", b'{"task":1}', b"\xff", b"x" * (1 << 17)])
def test_a_file_that_is_not_ours_is_none(tmp_path: Path, blob: bytes) -> None:
    (tmp_path / FILE).write_bytes(blob)
    assert last_finding(tmp_path) is None


def test_a_link_in_its_place_is_neither_read_nor_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.write_text("mine")
    os.symlink(other, tmp_path / FILE)
    assert last(tmp_path) is None
    fail(tmp_path, "bench", monkeypatch)
    assert other.read_text() == "mine" and not (tmp_path / FILE).is_symlink()
    assert last(tmp_path) is not None


def test_a_folder_that_keeps_nothing_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(tmp_path / "gone", "bench", monkeypatch)
    assert capsys.readouterr().err == "error: no such GPU; see `invoke doctor`\n"
    succeed(tmp_path / "gone", "bench", monkeypatch)

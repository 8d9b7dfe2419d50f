"""The command line: answers in the exchange folder, exit codes, first output at once."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.job import (
    DEVICES_FILE,
    JOB_FILE,
    PREFLIGHT_FILE,
    RECORD_FILE,
    PreflightRequest,
    parse_progress,
)
from harness.measure.__main__ import main
from harness.measure.exchange import write_answer
from harness.measure.session import SAMPLES_FILE
from harness.result import Failure, Result, decode
from tests.measure.cases import small_case, small_job

ROOT = Path(__file__).parents[2]


def test_a_job_becomes_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_answer(tmp_path / JOB_FILE, small_job(mode="text", blocks=1, chunks_per_block=1))
    assert main(["--job", str(tmp_path)]) == 0
    record = decode((tmp_path / RECORD_FILE).read_bytes(), name="record")
    assert isinstance(record, Result)
    lines = [parse_progress(line) for line in capsys.readouterr().out.splitlines()]
    assert {line.phase for line in lines if line is not None} >= {"load", "steady", "count"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [JOB_FILE, RECORD_FILE, SAMPLES_FILE]


def test_a_case_that_fails_is_a_record_and_exit_code_0(tmp_path: Path) -> None:
    write_answer(tmp_path / JOB_FILE, small_job(attention="flex"))
    assert main(["--job", str(tmp_path)]) == 0
    record = decode((tmp_path / RECORD_FILE).read_bytes(), name="record")
    assert isinstance(record, Failure)
    assert record.category == "input"
    assert "flex" in record.message


@pytest.mark.skipif(sys.version_info < (3, 11), reason="left to the harness there")
def test_a_case_that_hangs_ends_itself_and_says_where() -> None:
    script = (
        "import time\n"
        "from harness.measure.__main__ import watchdog\n"
        "def wait_for_ever():\n"
        "    time.sleep(60)\n"
        "with watchdog(0.3):\n"
        "    wait_for_ever()\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert answer.returncode == 1
    assert "Timeout" in answer.stderr and "in wait_for_ever" in answer.stderr


def test_a_case_that_ends_in_time_is_left_alone() -> None:
    script = (
        "import time\n"
        "from harness.measure.__main__ import watchdog\n"
        "with watchdog(0.2):\n"
        "    pass\n"
        "time.sleep(0.5)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=30)


@pytest.mark.parametrize("content", [None, b"{", b'{"case": 3}'])
def test_a_bad_request_is_one_line_and_exit_code_2(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / JOB_FILE).write_bytes(content)
    assert main(["--job", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: job.json")
    assert error.count("\n") == 1
    assert not (tmp_path / RECORD_FILE).exists()


def test_a_record_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write_answer(tmp_path / PREFLIGHT_FILE, PreflightRequest(cases=[small_case()]))
    monkeypatch.setattr(os, "fsync", full)
    assert main(["--preflight", str(tmp_path)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [PREFLIGHT_FILE]


def test_preflight_is_answered(tmp_path: Path) -> None:
    write_answer(tmp_path / PREFLIGHT_FILE, PreflightRequest(cases=[small_case()]))
    assert main(["--preflight", str(tmp_path)]) == 0
    assert (tmp_path / DEVICES_FILE).exists()


def test_the_first_line_comes_before_torch_is_there(tmp_path: Path) -> None:
    write_answer(tmp_path / JOB_FILE, small_job())
    start_s = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "harness.measure", "--job", str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = parse_progress(process.stdout.readline())
        waited_s = time.monotonic() - start_s
        process.kill()
    assert first is not None
    assert first.text.endswith("torch")
    assert waited_s < 5  # under one second on an idle machine


def test_help_and_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "--compare" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_a_bad_size_is_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--mode", "e2e", "--size", "100x64", "--device", "cpu"]) == 2
    assert "multiple of 16" in capsys.readouterr().err

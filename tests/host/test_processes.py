import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from harness.errors import DeviceError
from harness.host import processes
from harness.host.processes import LocalRunner
from harness.job import Job, PreflightRequest, Progress
from harness.result import Failure, Record, Result
from tests.samples import case

ROOT = Path(__file__).resolve().parents[2]
RUNNER = LocalRunner(project=ROOT, program=(sys.executable, "-m", "tests.host.played"))


def run(seed: int, notify: list[Progress] | None = None) -> Record:
    seen: list[Progress] = [] if notify is None else notify
    return RUNNER.run(Job(case=case(seed=seed), salt="s"), [], seen.append)


def failed(seed: int) -> Failure:
    record = run(seed)
    assert isinstance(record, Failure)
    return record


def test_a_case_gives_its_record_and_progress() -> None:
    seen: list[Progress] = []
    assert isinstance(run(42, seen), Result)
    assert [progress.phase for progress in seen] == ["steady"]


def test_nothing_is_left_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run(42)
    run(1)
    assert list(tmp_path.iterdir()) == []


def test_a_crash_is_a_record_with_the_traceback() -> None:
    failure = failed(1)
    assert failure.category == "bug"
    assert failure.exit_code == 1
    assert "played crash" in failure.detail
    assert "a library's own line" in failure.detail


def test_a_killed_process_is_a_record() -> None:
    failure = failed(4)
    assert (failure.category, failure.exit_code) == ("killed", -signal.SIGKILL)


def test_a_record_of_another_case_is_not_taken() -> None:
    assert "not of case" in failed(3).detail


def test_a_case_that_hangs_is_stopped_with_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "case_limit_s", lambda case: 2.0)
    monkeypatch.setattr(processes, "GRACE_S", 0.5)
    started = time.monotonic()
    failure = failed(2)
    assert failure.category == "timeout"
    assert "stopped after 2 s" in failure.message
    assert time.monotonic() - started < 60  # though a child holds the output open


def test_the_process_dies_with_its_parent(tmp_path: Path) -> None:
    """kill -9 of the harness leaves no measured process behind."""
    script = (
        "import tempfile; from tests.host.test_processes import run\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "run(2)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    try:
        wait_until(lambda: any(tmp_path.glob("*/started")), 60)
        folder = next(tmp_path.iterdir())
        assert measured_in(folder)
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not measured_in(folder), 10)


def measured_in(folder: Path) -> list[int]:
    """Processes whose command line names the exchange folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            if str(folder).encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def wait_until(condition: object, seconds: float) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_the_preflight_answers() -> None:
    assert RUNNER.preflight(PreflightRequest(cases=[case()])).torch_version == "played"


def test_without_torch_the_preflight_says_what_to_install(tmp_path: Path) -> None:
    script = "import sys; sys.exit('ModuleNotFoundError: No module named torch')"
    runner = LocalRunner(project=ROOT, program=(sys.executable, "-c", script))
    with pytest.raises(DeviceError, match="No module named torch") as caught:
        runner.preflight(PreflightRequest(cases=[]))
    assert "install torch" in caught.value.next_step


def test_caches_are_cold_unless_the_case_asks(tmp_path: Path) -> None:
    script = "import os, sys; sys.exit(os.environ['TORCHINDUCTOR_CACHE_DIR'])"
    program = (sys.executable, "-c", script)
    runner = LocalRunner(project=ROOT, program=program, warm_cache=tmp_path / "warm")
    for warm in (False, True):
        record = runner.run(Job(case=case(warm_cache=warm), salt="s"), [], lambda progress: None)
        assert isinstance(record, Failure)
        assert (str(tmp_path / "warm") in record.detail) is warm


def test_a_mig_instance_is_shown_to_cuda_alone_and_is_then_its_first_gpu(tmp_path: Path) -> None:
    script = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[2])
asked = json.loads((folder / "preflight.json").read_text())
answer = {"torch_version": "t", "torch_cuda": None, "gpus": [], "python_version": "3",
          "cpu_count": 1, "problems": [os.environ["CUDA_VISIBLE_DEVICES"], str(asked["gpu"])]}
(folder / "devices.json").write_text(json.dumps(answer))
"""
    runner = LocalRunner(project=ROOT, gpu="MIG-1", program=(sys.executable, "-c", script))
    assert runner.preflight(PreflightRequest(cases=[])).problems == ["MIG-1", "None"]


def test_the_environment_finds_the_project() -> None:
    environment = processes._environment({"PYTHONPATH": "/x"}, ROOT, Path("/c"))
    assert environment["PYTHONPATH"] == f"{ROOT}{os.pathsep}/x"
    assert environment["TRITON_CACHE_DIR"] == "/c/triton"

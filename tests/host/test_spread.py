"""harness.host.spread, at_once and in_turn: several GPUs, in turn, at once, or sharing one run."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from harness.errors import CaseError, DeviceError, UsageError
from harness.host.at_once import cpu_shares, words
from harness.host.gpu import HostGpu
from harness.host.options import Given
from harness.host.ready import Place
from harness.host.screen import Screen
from harness.host.spread import gpus_of, spread
from harness.store import RunFolder
from tests.host.conftest import Invoke

TWO = [HostGpu("NVIDIA A", "GPU-a", 0), HostGpu("NVIDIA A", "GPU-b", 1)]
MATRIX = """name = "two"
[[cases]]
kind = ["e2e"]
mode = ["text"]
blocks = 1
chunks_per_block = 1
warmup_max_chunks = 5
processes = 2
"""


@pytest.mark.parametrize(
    ("given", "gpus"),
    [
        ({}, []),
        ({"gpu": "1"}, []),
        ({"gpu": "0, 1"}, ["0", "1"]),
        ({"gpu": "all"}, ["0", "1"]),
        ({"gpu": "all", "resume": "r", "split": True}, ["0", "1"]),
        ({"gpu": "GPU-a,GPU-b"}, ["GPU-a", "GPU-b"]),
    ],
)
def test_the_gpus_that_are_named(given: Given, gpus: list[str]) -> None:
    assert gpus_of(given, lambda: TWO) == gpus


def test_all_of_one_gpu_is_that_one() -> None:
    assert gpus_of({"gpu": "all"}, lambda: TWO[:1]) == ["0"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"gpu": "0,0"}, "names a GPU twice"),
        ({"gpu": "0,"}, "names a GPU twice, or none"),
        ({"gpu": "0,1", "resume": "r"}, "a run that goes on has one GPU"),
        ({"gpu": "0,1", "resume": "r", "parallel": True}, "a run that goes on has one GPU"),
        ({"gpu": "all", "beside": "r", "split": True}, "a run that goes on has one GPU"),
        ({"gpu": "all", "host": "ssh://a"}, "not known here"),
    ],
)
def test_what_cannot_be_meant(given: Given, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        gpus_of(given, lambda: TWO)


def test_all_of_no_gpu() -> None:
    with pytest.raises(DeviceError, match=r"--gpu all cannot be had \(this host lists no GPU\)"):
        gpus_of({"gpu": "all"}, lambda: [])


def test_options_are_typed_again() -> None:
    given: Given = {"gpu": "1", "base_image": "b", "offline": True, "quiet": False, "limit": None}
    assert words(given) == ["--gpu", "1", "--base-image", "b", "--offline"]


def test_cpus_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 8})
    assert cpu_shares(2, {}) == ["0-1", "2-3"]
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 8})
    assert cpu_shares(2, {}) == ["0-1", "2,8"]
    assert cpu_shares(5, {}) == [None] * 5
    assert cpu_shares(2, {"cpus": "4-5"}) == ["4-5", "4-5"]
    assert cpu_shares(2, {"host": "ssh://a"}) == [None, None]


def compare(runs: list[Path]) -> str:
    return f"a table of {', '.join(run.name for run in runs)}"


def place(tmp_path: Path) -> Place:
    return Place(project=tmp_path, reports=tmp_path / "reports", environment={})


def test_gpus_take_turns_and_one_that_fails_keeps_nobody(tmp_path: Path) -> None:
    ran = []

    def run(given: Given) -> Path:
        ran.append(given["gpu"])
        if given["gpu"] == "0":
            raise CaseError("1 of 3 cases failed")
        return tmp_path / f"run-{given['gpu']}" / "report.md"

    stream = io.StringIO()
    given: Given = {"gpu": "0,1,2", "device": "cpu"}
    with pytest.raises(CaseError, match="1 of 3 GPUs failed: 0"):
        spread(given, place(tmp_path), Screen(stream), run, compare, dry=False)
    assert ran == ["0", "1", "2"]
    assert "a table of run-1, run-2" in stream.getvalue()
    assert "next: invoke compare --a run-1 --b run-2 --across gpu" in stream.getvalue()


@pytest.mark.parametrize(
    ("given", "dry", "text"),
    [
        ({"gpu": "0", "parallel": True}, False, "does not go with"),
        ({"split": True}, False, "write --gpu all --split"),
        ({"host": "ssh://a,ssh://b", "split": True}, False, "--split does not go with"),
        ({"gpu": "0,1", "parallel": True, "split": True}, False, "--parallel and --split"),
        ({"gpu": "0,1"}, True, "a dry run is of one host and GPU"),
        ({"gpu": "0,1", "host": "ssh://a,ssh://b"}, False, "name one host"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, given: Given, dry: bool, text: str) -> None:
    def run(_: Given) -> Path:
        raise AssertionError("nothing runs")

    with pytest.raises(UsageError, match=text):
        spread(given, place(tmp_path), Screen(io.StringIO()), run, compare, dry=dry)


@pytest.mark.slow
def test_processes_of_one_run_are_shared_and_runs_go_on_side_by_side(
    invoke: Invoke, project: Path, tmp_path: Path
) -> None:
    """For real, on a CPU, where the GPU's number only names a bench."""
    (tmp_path / "two.toml").write_text(MATRIX)
    asked = ["bench", "--matrix", str(tmp_path / "two.toml"), "--runtime", "local"]
    asked += ["--device", "cpu", "--gpu", "0,1"]
    shared = invoke(*asked, "--split")
    assert shared.returncode == 0, shared.stdout + shared.stderr
    (path,) = (project / "reports/cpu").iterdir()
    run = RunFolder(path).load()
    assert run.todo == []
    assert {result.provenance["run.beside"].value for result in run.finished} == {1}
    assert "GPU 1: [1/2] e2e-text-eager (process 1): another bench has it" in shared.stdout
    assert shared.stdout.splitlines()[-1] == str(path / "report.md")

    shutil.rmtree(path / "cases")
    moved = tmp_path / path.name  # out of the reports folder, where only its path finds it
    path.rename(moved)
    again = invoke("bench", "--resume", str(moved), *asked[3:], "--split", "--quiet")
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.splitlines() == [str(moved / "report.md")]
    moved.rename(path)
    run = RunFolder(path).load()
    assert run.todo == []
    assert {result.provenance["run.beside"].value for result in run.finished} == {1}

    beside = invoke(*asked, "--processes", "1", "--parallel")
    assert beside.returncode == 0, beside.stdout + beside.stderr
    assert len(list((project / "reports/cpu").iterdir())) == 3
    assert "next: invoke compare --a" in beside.stdout

    failed = invoke(*asked, "--only", "nothing-*", "--split", "--quiet")
    assert failed.returncode == 2
    assert "GPU 0: error: --only 'nothing-*' matches no case" in failed.stdout
    assert failed.stderr.splitlines()[-1].startswith("error: 1 of 2 GPUs failed: 0")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_benches_end_with_the_one_that_started_them(
    project: Path, surroundings: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    matrix = tmp_path / "two.toml"
    matrix.write_text(MATRIX.replace("blocks = 1", "blocks = 50"))
    asked = ["bench", "--matrix", str(matrix), "--runtime", "local", "--device", "cpu"]
    command = [sys.executable, "-m", "invoke", *asked, "--gpu", "0,1", "--split"]
    with subprocess.Popen(
        command, cwd=project, env=surroundings, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert any("GPU 1: " in line and "load torch" in line for line in parent.stdout)
        parent.send_signal(number)
    assert parent.returncode in (130, -signal.SIGKILL)
    end_s = time.monotonic() + 30
    while (left := _with_argument(str(matrix))) and time.monotonic() < end_s:
        time.sleep(0.1)
    assert left == []
    (run,) = (project / "reports/cpu").iterdir()
    assert not (run / ".claims").exists()
    shutil.rmtree(project / "reports")


def _with_argument(word: str) -> list[int]:
    """Processes with this word in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found

"""What a user sees: one line on standard error and exit code 2 for everything that is expected."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.result import SCHEMA_VERSION, encode
from harness.store import RunFolder
from tests.host.conftest import Invoke
from tests.host.test_clips import video
from tests.samples import case, manifest, result

NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
LOCAL = ("bench", "--runtime", "local", "--device", "cpu")


def one_line(answer: "subprocess.CompletedProcess[str]") -> str:
    """The error line, after checking that it is the only one and the exit code is 2."""
    assert answer.returncode == 2, (answer.returncode, answer.stdout, answer.stderr)
    (line,) = answer.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("bench", "--matrix", "slow"), "unknown matrix 'slow'"),
        (("bench", "--matrix", "missing.toml"), "missing.toml"),
        ((*LOCAL, "--only", "nothing-*"), "--only 'nothing-*' matches no case"),
        ((*LOCAL, "--size", "100x64"), "100 is not a multiple of 16"),
        ((*LOCAL, "--size", "big"), "not of the form WxH"),
        ((*LOCAL, "--video", "no.mp4"), "video file 'no.mp4' not found"),
        ((*LOCAL, "--weights", "no-folder"), "weights folder 'no-folder' not found"),
        (("bench", "--runtime", "podman"), "--runtime 'podman' is unknown"),
        (("bench", "--resume", "20200101-000000-quick"), "not found"),
        (("bench", "--runtime", "docker"), "container engine cannot be reached"),
        (("build",), "container engine cannot be reached"),
        (("report", "--run", "20200101-000000-quick"), "not found"),
        (("compare", "--a", "x", "--b", "y", "--out", ""), "--out is empty; name a folder"),
    ],
)
def test_one_line_and_exit_code_2(invoke: Invoke, arguments: tuple[str, ...], text: str) -> None:
    assert text in one_line(invoke(*arguments, env=NO_ENGINE))


def test_a_reader_that_has_gone_is_no_bug(project: Path, surroundings: dict[str, str]) -> None:
    """As `invoke doctor | head -1`: no traceback, and the code that a shell gives for it."""
    with subprocess.Popen(
        [sys.executable, "-m", "invoke", "doctor"],
        cwd=project, env=surroundings | NO_ENGINE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as doctor:  # fmt: skip
        assert doctor.stdout is not None and doctor.stderr is not None
        doctor.stdout.close()
        assert doctor.stderr.read() == b""
    assert doctor.returncode == 141


no_gpu = pytest.mark.skipif(
    Path("/proc/driver/nvidia/version").exists(), reason="this host has a GPU"
)


@no_gpu
def test_no_gpu_with_device_cuda(invoke: Invoke) -> None:
    assert "no GPU" in one_line(invoke("bench", "--device", "cuda", env=NO_ENGINE))


@no_gpu
@pytest.mark.parametrize(
    "how", [("0",), ("0,1",), ("0,1", "--parallel"), ("0,1", "--split", "--quiet"), ("all",)]
)
def test_a_gpu_that_is_not_there_is_refused_before_anything_is_made(
    invoke: Invoke, project: Path, how: tuple[str, ...]
) -> None:
    answer = invoke("bench", "--gpu", *how, env=NO_ENGINE)
    assert f"--gpu {how[0].split(',')[0]} cannot be had" in one_line(answer)
    assert answer.stdout == ""
    assert not (project / "reports").exists()


def test_clips_that_cannot_be_used(invoke: Invoke, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    assert "cannot be decoded" in one_line(invoke(*LOCAL, "--video", str(text)))
    frames = video(tmp_path / "v.mp4", frames=3)
    mask = video(tmp_path / "m.mp4", frames=3, size=(32, 32))
    answer = invoke(*LOCAL, "--video", str(frames), "--mask", str(mask))
    assert "the mask's frames are 32x32, its video's are 96x64" in one_line(answer)


def test_a_truncated_checkpoint_is_named(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\x10")
    line = one_line(invoke(*LOCAL, "--weights", str(tmp_path)))
    assert "a.safetensors is truncated" in line


def test_a_missing_checkpoint_is_named_by_the_preflight(invoke: Invoke, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({}, tmp_path / "other.safetensors")
    line = one_line(invoke(*LOCAL, "--weights", str(tmp_path)))
    assert "checkpoint" in line


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the permission to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing(invoke: Invoke, project: Path, small_disk: Path) -> None:
    (project / "reports").symlink_to(small_disk)
    try:
        answer = invoke(*LOCAL, "--only", "e2e-text-eager")
        assert "free for records" in one_line(answer)
        assert "--resume" in answer.stdout.splitlines()[-1]
        (run,) = small_disk.glob("cpu/*/run.json")
        assert RunFolder(run.parent).load().missing == ["e2e-text-eager"]
        with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        assert "cannot write run.json" in one_line(invoke(*LOCAL))
    finally:
        (project / "reports").unlink()


@pytest.mark.parametrize(
    ("blob", "text"),
    [
        (b'{"schema_version": 999}', "has schema 999"),
        (b'{"schema_version": 1', "damaged"),
        (b'{"schema_version": 1, "status": "ok"}', "damaged"),
    ],
)
def test_a_record_that_cannot_be_read(
    invoke: Invoke, project: Path, blob: bytes, text: str
) -> None:
    run = RunFolder.create(project / "reports", manifest())
    path = run.save(result())
    path.write_bytes(blob)
    line = one_line(invoke("report", "--run", run.path.name))
    assert text in line and path.name in line


SHORT = {"mode": "text", "blocks": 1, "chunks_per_block": 1, "warmup_max_chunks": 5}
CURRENT = f'"schema_version": {SCHEMA_VERSION}'.encode()


def test_a_newer_plan_cannot_be_resumed(invoke: Invoke, project: Path) -> None:
    run = RunFolder.create(project / "reports", manifest())
    plan = run.path / "run.json"
    plan.write_bytes(encode(manifest()).replace(CURRENT, b'"schema_version": 99'))
    assert "schema 99" in one_line(invoke("bench", "--resume", run.path.name))


def test_a_run_on_the_cpu_is_not_resumed_elsewhere(invoke: Invoke, project: Path) -> None:
    run = RunFolder.create(project / "reports", manifest(case(), gpu_slug="nvidia-h200"))
    line = one_line(invoke("bench", "--resume", run.path.name))
    assert "was started on nvidia-h200, this is cpu" in line


def test_some_cases_of_a_run_are_measured_and_its_plan_stays(invoke: Invoke, project: Path) -> None:
    plan = manifest(case(width_px=4096, height_px=4096), case(**SHORT), gpu_slug="cpu")
    run = RunFolder.create(project / "reports", plan)
    answer = invoke("bench", "--resume", run.path.name, "--only", "e2e-text-*")
    assert answer.returncode == 0, answer.stderr
    assert "1 case of 2 still to do" in answer.stdout
    stored = run.load()
    assert stored.manifest == plan
    assert stored.missing == [plan.cases[0].id] and stored.finished[0].case == plan.cases[1]
    assert plan.cases[0].id in (run.path / "report.md").read_text()


def test_doctor_ends_with_the_choice(invoke: Invoke) -> None:
    answer = invoke("doctor", env=NO_ENGINE)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert "engine: the container engine cannot be reached" in lines[0]
    assert "choice: `invoke bench` takes " in lines[-1]


def test_help_names_every_option(project: Path) -> None:
    command = [sys.executable, "-m", "invoke", "bench", "--help"]
    answer = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    for option in ("matrix", "only", "runtime", "device", "gpu", "preset", "size", "resume"):
        assert f"--{option}" in answer.stdout

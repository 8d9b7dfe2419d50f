import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import StorageError, UsageError
from harness.host import locks
from harness.host.locks import REPORTS_LOCK, hold_gpu, hold_reports

ROOT = Path(__file__).resolve().parents[2]


def test_the_second_bench_in_a_reports_folder_is_told_of_the_first(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    with hold_reports(reports), pytest.raises(UsageError) as caught, hold_reports(reports):
        pass
    assert "the reports folder reports/ is in use by another bench" in caught.value.line
    assert f"process {os.getpid()}, since 20" in caught.value.line
    with hold_reports(reports) as left:
        assert left is None  # the first let go in order


def test_a_lock_of_a_killed_bench_is_taken_over_and_named(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from harness.host.locks import hold_reports\n"
        "with hold_reports(Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT)
    assert killed.wait() == -9
    with hold_reports(tmp_path) as left:
        assert left is not None and left.pid == killed.pid


def test_a_holder_on_another_host_is_named_with_it(tmp_path: Path) -> None:
    """As on a folder that two hosts share: the kernel's lock holds, the content says who."""
    holder = {"pid": 7, "host": "elsewhere", "since_utc": "2026-11-25T08:00:00Z"}
    (tmp_path / REPORTS_LOCK).write_text(json.dumps(holder))
    handle = os.open(tmp_path / REPORTS_LOCK, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(UsageError, match="process 7 on elsewhere"), hold_reports(tmp_path):
            pass
    finally:
        os.close(handle)


def test_one_bench_a_gpu_whatever_its_folder(tmp_path: Path) -> None:
    with hold_gpu("GPU-1", tmp_path):
        with pytest.raises(UsageError, match="this GPU is in use"), hold_gpu("GPU-1", tmp_path):
            pass
        with hold_gpu("GPU-2", tmp_path):
            pass


def test_another_users_lock_can_be_taken(tmp_path: Path) -> None:
    """The file is every user's to open and write; only the kernel's lock keeps others out."""
    before = os.umask(0o077)
    try:
        with hold_gpu("GPU-1", tmp_path):
            pass
    finally:
        os.umask(before)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o666


def test_a_link_in_the_shared_folder_is_not_followed(tmp_path: Path) -> None:
    with hold_gpu("GPU-1", tmp_path):
        pass
    (file,) = tmp_path.iterdir()
    precious = tmp_path / "precious"
    precious.write_text("mine")
    file.unlink()
    file.symlink_to(precious)
    with pytest.raises(StorageError), hold_gpu("GPU-1", tmp_path):
        pass
    assert precious.read_text() == "mine"


def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StorageError, match="file system without locks"), hold_reports(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    with (
        pytest.raises(StorageError, match="reports cannot be written"),
        hold_reports(tmp_path / "reports"),
    ):
        pass


def test_benches_on_other_gpus_are_counted(tmp_path: Path) -> None:
    script = (
        "from tests.host.test_locks import hold_gpu, Path\n"
        f"with hold_gpu('GPU-b', Path({str(tmp_path)!r})): print('held', flush=True); input()"
    )
    with hold_gpu("GPU-a", tmp_path):
        assert locks.other_benches(tmp_path) == 0
        with subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            assert locks.other_benches(tmp_path) == 1
            other.communicate("\n")
        assert locks.other_benches(tmp_path) == 0


def test_a_bench_that_we_were_started_by_holds_the_reports_for_us(tmp_path: Path) -> None:
    script = (
        "from tests.host.test_locks import hold_reports, Path\n"
        f"with hold_reports(Path({str(tmp_path)!r})): print('ours')"
    )
    with hold_reports(tmp_path):
        child = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
        )
    assert child.stdout == "ours\n"

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.errors import StorageError
from harness.host import leftovers
from harness.host.engine import Engine
from harness.host.leftovers import OWNER_LABEL, OWNER_VARIABLE, RUN_LABEL, labels
from tests.host.fake_api import FakeApi

ROOT = Path(__file__).resolve().parents[2]


def dead_owner() -> str:
    """The mark of a process that has ended."""
    script = "from harness.host.leftovers import owner; print(owner())"
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def container(name: str, run: str, owner: str) -> dict[str, object]:
    return {"Id": name, "Name": name, "Labels": {RUN_LABEL: run, OWNER_LABEL: owner}}


def test_what_nobody_owns_is_removed() -> None:
    mine, dead = labels("run-1")[OWNER_LABEL], dead_owner()
    foreign = "another-boot:1:2"
    things = {
        "of-this-run": container("of-this-run", "run-1", foreign),
        "of-a-dead-run": container("of-a-dead-run", "run-0", dead),
        "of-a-live-run": container("of-a-live-run", "run-2", mine),
        "of-another-host": container("of-another-host", "run-3", foreign),
    }
    api = FakeApi(containers_by_id=dict(things), volumes_by_name=dict(things))
    assert leftovers.sweep_containers(Engine(api, is_local=True), "run-1") == 4
    assert set(api.containers_by_id) == {"of-a-live-run", "of-another-host"}
    assert set(api.volumes_by_name) == {"of-a-live-run", "of-another-host"}


def test_only_what_is_our_own_goes_beside_other_benches_of_the_run() -> None:
    mine = labels("run-1")[OWNER_LABEL]
    things = {
        "mine": container("mine", "run-1", mine),
        "of-another-bench": container("of-another-bench", "run-1", "another-boot:1:2"),
    }
    api = FakeApi(containers_by_id=dict(things), volumes_by_name=dict(things))
    assert leftovers.sweep_containers(Engine(api, is_local=True)) == 0
    assert leftovers.sweep_containers(Engine(api, is_local=True), own=True) == 2
    assert set(api.containers_by_id) == {"of-another-bench"}


def test_folders_of_dead_processes_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = leftovers.temporary_folder()
    pid, start = dead_owner().split(":")[1:]
    (tmp_path / f"vace-bench-{pid}-{start}-x" / "inside").mkdir(parents=True)
    (tmp_path / "vace-bench-notes").mkdir()
    assert leftovers.sweep_folders() == 1
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, "vace-bench-notes"}


def test_a_reused_process_number_is_another_owner() -> None:
    here, pid, start = labels("r")[OWNER_LABEL].split(":")
    assert not leftovers._is_dead(f"{here}:{pid}:{start}")
    assert leftovers._is_dead(f"{here}:{pid}:{int(start) - 1}")


def test_cases_of_a_dead_harness_are_killed_and_no_others() -> None:
    sleeper = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    marks = {"dead": dead_owner(), "alive": leftovers.owner(), "elsewhere": "another-boot:1:2"}
    started = {
        name: subprocess.Popen(sleeper, env={OWNER_VARIABLE: mark}, stdout=subprocess.PIPE)
        for name, mark in marks.items()
    }
    try:
        for process in started.values():
            assert process.stdout is not None
            process.stdout.readline()  # only now is its environment that of the program
        assert leftovers.sweep_processes() == 1
        assert started["dead"].wait(timeout=10) == -9
        assert started["alive"].poll() is None and started["elsewhere"].poll() is None
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def test_files_that_were_never_finished_are_removed(tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    for name in ("cases/.saving-x", ".rendering-y", "cases/a.json"):
        (tmp_path / name).touch()
    assert leftovers.sweep_unsaved(tmp_path) == 2
    assert [path.name for path in tmp_path.rglob("*.json")] == ["a.json"]


def test_a_temporary_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(StorageError, match="no temporary folder"):
        leftovers.temporary_folder()


def test_clean_removes_leftovers_caches_and_images() -> None:
    stale = container("stale", "run-0", dead_owner())
    api = FakeApi(containers_by_id={"stale": stale})
    removed = leftovers.remove_from_engine(Engine(api, is_local=True))
    assert removed[0] == "1 containers and volumes of dead runs"
    assert removed[-1] == "0 MiB of images without a tag"
    assert "prune" in api.calls

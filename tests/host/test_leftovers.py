import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.host import leftovers
from harness.host.engine import Engine
from harness.host.leftovers import OWNER_LABEL, RUN_LABEL, labels
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

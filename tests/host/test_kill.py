"""kill -9 of a container and of the harness in the middle of a run: nothing finished is lost."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.host.engine import Engine
from harness.host.image import Image
from harness.host.leftovers import RUN_LABEL
from harness.store import RunFolder
from tests.host.conftest import Invoke

pytestmark = pytest.mark.slow

MATRIX = """
name = "short"

[[cases]]
kind = ["e2e"]
mode = ["text", "depth"]
seed = [42, 43]
blocks = 1
chunks_per_block = 1
warmup_max_chunks = 5
"""
WAIT_S = 240


def wait_for(found: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < end, "waited in vain"
        assert process.poll() is None, "the bench ended too early"
        time.sleep(0.1)


def running(engine: Engine) -> list[tuple[str, dict[str, str]]]:
    """Running containers of any run: id and labels."""
    found = engine.containers(RUN_LABEL)
    return [(str(one["Id"]), one["Labels"]) for one in found if one["State"] == "running"]


def case_runs(engine: Engine, project: Path, other: str = "") -> str:
    """The id of a running container of this project's run, once its plan is on disk."""
    plans = list((project / "reports").glob("*/*/run.json"))
    for container, labels in running(engine):
        of_us = any(plan.parent.name == labels[RUN_LABEL] for plan in plans)
        if of_us and container != other:
            return container
    return ""


@pytest.fixture
def bench(
    project: Path, surroundings: dict[str, str], tmp_path: Path, image_arguments: list[str]
) -> Iterator["subprocess.Popen[str]"]:
    """`invoke bench` of four short cases in containers, under way."""
    (tmp_path / "short.toml").write_text(MATRIX)
    arguments = ["--matrix", str(tmp_path / "short.toml"), "--runtime", "docker", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "invoke", "bench", *arguments, *image_arguments],
        cwd=project,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    process.kill()
    process.wait()


def test_killed_container_then_killed_harness_then_resume(
    engine: Engine,
    image: Image,
    project: Path,
    bench: "subprocess.Popen[str]",
    invoke: Invoke,
) -> None:
    # The first case's container is killed: a failure is recorded and the next case runs.
    wait_for(lambda: bool(case_runs(engine, project)), bench)
    first = case_runs(engine, project)
    engine.kill(first)
    reports = project / "reports" / "cpu"
    wait_for(lambda: any(reports.glob("*/cases/*.failed-1.json")), bench)
    (failed,) = reports.glob("*/cases/*.failed-1.json")
    assert json.loads(failed.read_text())["category"] == "killed"

    # The harness is killed while the third case is under way.
    wait_for(lambda: any(reports.glob("*/cases/e2e-text-eager-seed43.json")), bench)
    (finished,) = reports.glob("*/cases/e2e-text-eager-seed43.json")
    before = finished.read_bytes()
    wait_for(lambda: bool(case_runs(engine, project, first)), bench)
    bench.kill()
    bench.wait()
    run = RunFolder(finished.parents[1])
    left = run.load().missing
    assert "e2e-text-eager" in left and "e2e-text-eager-seed43" not in left

    # Resuming ends with the same cases and leaves nothing behind.
    answer = invoke("bench", "--resume", run.path.name)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.splitlines()[-1].endswith("report.md")
    loaded = run.load()
    assert loaded.missing == []
    assert list(loaded.results) == [case.id for case in loaded.manifest.cases]
    assert finished.read_bytes() == before
    label = f"{RUN_LABEL}={run.path.name}"
    assert engine.containers(label) == []
    assert engine.volumes(label) == []


def test_sigterm_removes_the_container_and_says_how_to_go_on(
    engine: Engine, image: Image, project: Path, bench: "subprocess.Popen[str]", invoke: Invoke
) -> None:
    wait_for(lambda: bool(case_runs(engine, project)), bench)
    (plan,) = (project / "reports").glob("*/*/run.json")
    bench.terminate()
    output, _ = bench.communicate(timeout=60)
    assert bench.returncode == 130
    run_id = plan.parent.name
    assert output.splitlines()[-1] == f"stopped; go on with: invoke bench --resume {run_id}"
    assert engine.containers(f"{RUN_LABEL}={run_id}") == []

"""The three faults of a GPU, on a CPU: they find their cases, and the run goes to its end."""

import gzip
import shutil
from pathlib import Path

import pytest

from harness.host.image import Image
from harness.report.render import render_run
from tests.faults import table
from tests.faults.__main__ import add, parser
from tests.faults.__main__ import image_arguments as arguments_of
from tests.faults.on_gpu import (
    INJECTIONS,
    INTERRUPTED,
    KINDS,
    MEMORY,
    Options,
    _failure_problems,
    _run_problems,
    _told,
    _where,
    cases_of,
    run_on_gpu,
)
from tests.faults.outcome import Outcome, whole_report
from tests.faults.world import Ended, World


def test_cases_bear_the_ids_that_a_bench_gives_them() -> None:
    assert cases_of("cuda", "512x512").out_of_memory == "e2e-depth-eager"
    assert cases_of("cpu", "32x32").sampled == "e2e-text-eager-32x32-seed43"


def test_a_path_of_the_image_does_not_depend_on_the_folder() -> None:
    given = parser().parse_args(["--wheelhouse", "wheels", "--torch", "keep", "--offline"])
    expected = ["--wheelhouse", str(Path.cwd() / "wheels"), "--torch", "keep", "--offline"]
    assert arguments_of(given) == expected


def test_injections_are_added_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = table.load()[:2]
    one, all_of_them = tmp_path / "one.jsonl", tmp_path / "all.jsonl"
    added: list[Outcome] = []
    for outcome in outcomes:
        table.append(outcome, all_of_them)
    table.append(outcomes[0], one)
    load = table.load
    monkeypatch.setattr(table, "load", lambda path=one: load(path))
    monkeypatch.setattr(table, "append", added.append)
    add(all_of_them)
    assert added == outcomes[1:]


@pytest.mark.docker
def test_three_faults_in_one_run(
    asked_for: None,
    image: Image,
    image_arguments: list[str],
    tmp_path: Path,
) -> None:
    keep = tmp_path / "kept"
    keep.mkdir()
    options = Options(device="cpu", size="32x32", limit_s=540.0, keep=keep)
    assert run_on_gpu(tmp_path / "run", options, image_arguments) == 0
    assert [one.kind for one in table.load(keep / INJECTIONS)] == list(KINDS)
    assert list(keep.glob(f"*/{INTERRUPTED}"))


RECORDED = Path(__file__).resolve().parents[2] / "reports/nvidia-h200/20261127-211028-gpufaults"


def test_the_run_recorded_on_a_gpu_is_whole(tmp_path: Path) -> None:
    """CUDA out of memory, a killed container and a killed sampler, on an H200 in containers.

    The run is looked at as the faults left it, and as the resume completed it.
    """
    cases = cases_of("cuda", "512x512")
    world = World(tmp_path / "world")
    copy = world.reports / RECORDED.parent.name / RECORDED.name
    shutil.copytree(RECORDED, copy)
    for path in copy.glob("cases/*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    resumed = [copy / "cases" / f"{name}.json" for name in (cases.out_of_memory, cases.killed)]
    for path in resumed:
        path.rename(tmp_path / path.name)
    ended = Ended(code=2, output="")
    assert _run_problems(world, ended, cases) == []
    assert _failure_problems(world, cases.out_of_memory, "memory", MEMORY) == []
    assert _failure_problems(world, cases.killed, "killed", "SIGKILL") == []
    assert "telemetry ended early" in _told(world, cases.sampled)
    for path in resumed:
        (tmp_path / path.name).rename(path)
    render_run(copy)
    assert whole_report(world) == []
    assert _where(world, cases) == "docker, NVIDIA H200"
    users = {one.provenance["container.user"].value for one in world.results()}
    assert users == {"uid 1000 gid 1000"}

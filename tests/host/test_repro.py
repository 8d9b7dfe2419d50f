"""harness.host.repro: an earlier run again from its plan, and each key that is not as it was."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.analysis import environment
from harness.errors import UsageError
from harness.host import repro
from harness.host.choice import Surroundings
from harness.host.digest import file_sha256
from harness.host.engine import Engine
from harness.host.gpu import HostGpu, NoWay
from harness.host.image import LOCK
from harness.host.options import BenchOptions, keep, state_path
from harness.host.ready import Place
from harness.host.repro import Held, Repetition, repetition
from harness.result import Fact, encode
from harness.store import RunFolder
from tests.host.conftest import Invoke
from tests.host.fake_api import FakeApi
from tests.host.test_tasks import one_line
from tests.samples import case, manifest, result

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DOCKER = ["invoke", "bench", "--runtime", "docker", "--wheelhouse", "<wheelhouse>", "--offline"]
FACTS = {
    "git.commit": Fact(value=COMMIT),
    "git.dirty": Fact(value=False),
    "image.base": Fact(value="base:1"),
    "image.base_id": Fact(value="sha256:then"),
    "image.base_digest": Fact(value="sha256:d1"),
    "image.torch_requirement": Fact(value="torch==2.13.0"),
    "image.lock_sha256": Fact(value=file_sha256(ROOT / LOCK)),
    "torch.version": Fact(value="2.13.0+cpu"),
}


@pytest.fixture
def place(tmp_path: Path, surroundings: dict[str, str]) -> Place:
    environment = surroundings | {"VACE_BENCH_COMMIT": f"{COMMIT} clean"}
    return Place(project=ROOT, reports=tmp_path / "reports", environment=environment)


def stored(place: Place, **changes: Any) -> RunFolder:
    fields = {"runtime": "docker", "command": DOCKER, "facts": FACTS, "budget_s": 90.0}
    plan = manifest(**(fields | changes))
    folder = RunFolder.create(place.reports, plan)
    folder.save(result(plan.cases[0], provenance={"torch.version": Fact(value="2.13.0+cpu")}))
    return folder


def held(place: Place, run: RunFolder, api: FakeApi | None = None, **given: str) -> Repetition:
    engine = Engine(api, is_local=True) if api else None
    around = Surroundings(engine=engine, engine_error=None, way=NoWay("none"), driver="580.1.1")
    return repetition(run.path.name, given, place, lambda gpu, environment: around)


def states(again: Repetition) -> dict[str, str]:
    return {one.key: one.state for one in again.held}


def wheelhouse(tmp_path: Path, version: str = "2.13.0+cpu") -> str:
    folder = tmp_path / f"wheels-{version}"
    folder.mkdir()
    (folder / f"torch-{version}-cp311-cp311-linux_x86_64.whl").write_bytes(b"")
    return str(folder)


def test_every_key_is_held_against_this_host(place: Place, tmp_path: Path) -> None:
    base = {"Id": "sha256:then", "RepoDigests": ["base@sha256:d1"]}
    api = FakeApi(images_by_name={"base:1": base})
    run = stored(place)
    again = held(place, run, api, wheelhouse=wheelhouse(tmp_path))
    assert set(states(again).values()) == {"same"}
    assert again.options.offline and again.options.budget_min == 1.5
    assert again.lines[0].endswith("--wheelhouse '<wheelhouse>' --offline")
    api.images_by_name["base:1"] = {"Id": "sha256:now"}
    again = held(place, run, api, wheelhouse=wheelhouse(tmp_path, "2.12.0"))
    found = states(again)
    assert (found["image.base_id"], found["image.base_digest"]) == ("differs", "unknown")
    assert "differs  image.base_id: sha256:then there, sha256:now here" in again.lines
    with pytest.raises(
        UsageError, match=r"torch\.version is 2\.13\.0\+cpu there and 2\.12\.0 here"
    ):
        again.check(None)
    again.check("torch")
    assert states(held(place, run))["image.base_id"] == "unknown"


def test_another_commit_is_named_with_what_to_do(place: Place) -> None:
    run = stored(place, facts={**FACTS, "git.commit": Fact(value="f" * 40)})
    again = held(place, run)
    assert states(again)["git.commit"] == "differs"
    assert "in a checkout of that commit" in again.lines[-1]


def test_a_gpu_and_its_driver_count_where_the_run_had_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repro, "host_gpus", lambda: [HostGpu("NVIDIA L4", "GPU-1", 0)])
    gpu = {"gpu.name": Fact(value="NVIDIA H200"), "gpu.driver": Fact(value="580.1.1")}
    run = stored(place, cases=[case(device="cuda")], facts={**FACTS, **gpu}, command=["invoke"])
    again = held(place, run)
    assert (states(again)["gpu.name"], states(again)["gpu.driver"]) == ("differs", "same")
    with pytest.raises(UsageError, match=r"NVIDIA H200 there and NVIDIA L4 here; .*--across gpu"):
        again.check("torch")
    again.check("gpu")


def test_what_would_be_refused_later_is_refused_first() -> None:
    assert all(environment.covered(key, environment.MUST_MATCH) for key in repro.MUST_MATCH)


def test_what_a_record_cannot_hold_is_asked_for(place: Place, tmp_path: Path) -> None:
    run = stored(place)
    with pytest.raises(UsageError, match="a wheelhouse not known here; give --wheelhouse"):
        held(place, run).check(None)
    keep(
        BenchOptions(wheelhouse=wheelhouse(tmp_path), base_image="base:1"),
        state_path(run.path.name, place.environment),
    )
    again = held(place, run)
    again.check(None)
    assert (again.options.budget_min, again.options.torch) == (1.5, "torch==2.13.0")
    shutil.rmtree(str(again.options.wheelhouse))
    with pytest.raises(UsageError, match="is no folder"):
        held(place, run)


def test_a_pipeline_of_one_s_own_is_asked_for_before_the_run(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "pipe.py"
    file.write_text("def build(wish): ...\n")
    own = case(mode="own", pipeline="pipe", pipeline_sha256=file_sha256(file))
    run = stored(place, runtime="local", command=["invoke"], cases=[own])
    with pytest.raises(UsageError, match="started with pipeline 'pipe'; give --pipeline the file"):
        held(place, run).check("torch")
    held(place, run, pipeline=str(file)).check("torch")
    file.write_text("build = None\n")
    with pytest.raises(UsageError, match="'pipe' of another content"):
        held(place, run, pipeline=str(file)).check("torch")


def test_a_registry_without_a_name_is_asked_for(place: Place) -> None:
    run = stored(place, facts={**FACTS, "image.base": Fact(value="<registry>/cuda:13")})
    with pytest.raises(UsageError, match="whose registry it leaves out; give --base-image"):
        held(place, run)
    assert held(place, run, base_image="cuda:13").options.base_image == "cuda:13"


def test_a_run_with_nothing_to_compare_is_refused(place: Place) -> None:
    run = stored(place)
    for path in (run.path / "cases").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match="no finished case to compare"):
        held(place, run)
    with pytest.raises(UsageError, match="a run is needed"):
        repetition("", {}, place)


def test_a_value_that_one_side_does_not_know_is_no_difference() -> None:
    unknown = Fact(value=None, reason="why not")
    assert Held("key", unknown, Fact(value=1)).state == "unknown"
    assert (
        Held("key", Fact(value=1), unknown).line
        == "unknown  key: 1 there, not known (why not) here"
    )


@pytest.mark.slow
def test_a_run_is_repeated_and_compared(invoke: Invoke, project: Path, tmp_path: Path) -> None:
    """Two real runs of a tiny case; its matrix file is gone by the second."""
    matrix = tmp_path / "one.toml"
    matrix.write_text(
        'name = "one"\n[[cases]]\nkind = ["e2e"]\nmode = ["text"]\n'
        "blocks = 1\nchunks_per_block = 2\nwarmup_max_chunks = 5\n"
    )
    first = invoke(
        "bench", "--quiet", "--matrix", str(matrix), "--runtime", "local", "--device", "cpu"
    )
    assert first.returncode == 0, first.stderr
    matrix.unlink()
    run = Path(first.stdout.strip()).parent
    shown = invoke("repro", "--run", run.name, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[-1] == "same     git.commit, git.dirty, torch.version"
    assert len(list((project / "reports/cpu").iterdir())) == 1
    again = invoke("repro", "--run", str(run), "--quiet")
    assert again.returncode in (0, 3, 4), again.stderr  # one process a side: mostly undecided
    assert "e2e-text-eager" in again.stdout
    (second,) = (path for path in (project / "reports/cpu").iterdir() if path != run)
    plan = RunFolder(second).manifest()
    assert plan.cases == RunFolder(run).manifest().cases
    assert plan.facts["run.repeats"].value == run.name
    assert plan.command == ["invoke", "repro", "--run", "<run>", "--quiet"]
    assert plan.runtime_reason == f"as run {run.name}, which it repeats"
    other = RunFolder(run).manifest()
    facts = {**other.facts, "torch.version": Fact(value="2.0.0")}
    (run / "run.json").write_bytes(encode(msgspec.structs.replace(other, facts=facts)))
    assert "could not be compared" in one_line(invoke("repro", "--run", run.name))
    assert json.loads((second / "run.json").read_text())["matrix"] == "one"

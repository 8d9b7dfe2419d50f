"""harness.host.foreseen: the plan as a real run would settle it; nothing run, built, written."""

import json
import subprocess
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.expansion import Settings, expand
from harness.host import foreseen as foreseen_module
from harness.host.choice import Choice, Surroundings
from harness.host.engine import Engine
from harness.host.foreseen import Foreseen, dry_run, foresee
from harness.host.gpu import NoWay
from harness.host.options import BenchOptions
from harness.host.plan import Plan
from harness.host.ready import Place
from harness.matrices import MATRICES
from harness.matrix import schedule
from harness.store import RunFolder
from tests.host.conftest import Invoke
from tests.host.fake_api import FakeApi
from tests.host.test_tasks import NO_ENGINE, one_line
from tests.samples import case, manifest, result

ROOT = Path(__file__).resolve().parents[2]
LOCAL = {"runtime": "local", "device": "cpu"}


@pytest.fixture
def place(tmp_path: Path, surroundings: dict[str, str]) -> Place:
    return Place(project=ROOT, reports=tmp_path / "reports", environment=surroundings | NO_ENGINE)


def test_cases_processes_and_times(place: Place) -> None:
    plan = dry_run({**LOCAL, "matrix": "full", "processes": "3", "only": "e2e-*"}, place)
    assert (plan.matrix, plan.preset, plan.device, plan.gpu) == ("full", "tiny", "cpu", "cpu")
    assert {one.processes for one in plan.cases} == {3}
    assert plan.expected_s == sum(3 * one.process_s for one in plan.cases)
    assert plan.budget_s == 1.5 * plan.expected_s
    assert plan.image is None
    text = plan.answer(as_json=False)
    assert text.startswith("a new run: matrix full, preset tiny\nruntime local on cpu: asked for")
    assert text.endswith("dry run: nothing was measured, built or written")
    assert not place.reports.exists()


def test_the_memory_that_cases_need_of_a_gpu(place: Place) -> None:
    cases = expand(MATRICES["quick"], Settings(preset="full", device="cuda"))
    choice = Choice(runtime="local", device="cuda", reason="asked for")
    plan = Plan(run_id="r", matrix="quick", choice=choice, cases=cases, clips={}, weights=None)
    seen = foresee(plan, schedule(cases), BenchOptions(), place)
    assert all(one.memory_bytes for one in seen.cases)
    assert "  e2e-inpainting-eager  " in seen.answer(as_json=False)
    assert ", 9.5 GiB of GPU memory" in seen.answer(as_json=False)
    on_cpu = dry_run({**LOCAL, "matrix": "quick"}, place)
    assert {one.memory_bytes for one in on_cpu.cases} == {None}


def test_a_run_that_goes_on(place: Place) -> None:
    plan = manifest(case(processes=3), case(mode="text"))
    run = RunFolder.create(place.reports, plan)
    run.save(result(plan.cases[0]))
    run.save(result(plan.cases[1]))
    left = dry_run({"resume": plan.run_id}, place)
    assert left.run == plan.run_id
    assert [(one.id, one.processes) for one in left.cases] == [("e2e-inpainting-eager", 2)]
    assert "1 case of 2 still to do" in left.answer(as_json=False)


def test_a_run_that_goes_on_with_some_of_its_cases(place: Place) -> None:
    plan = manifest(case(processes=3), case(mode="text"), case(mode="depth"))
    run = RunFolder.create(place.reports, plan)
    run.save(result(plan.cases[1]))
    left = dry_run({"resume": plan.run_id, "only": "e2e-inp*,e2e-text-*"}, place)
    assert [(one.id, one.processes) for one in left.cases] == [("e2e-inpainting-eager", 3)]
    assert "1 case of 3 still to do" in left.answer(as_json=False)
    with pytest.raises(UsageError, match=f"'full-\\*' matches no case of run {plan.run_id}"):
        dry_run({"resume": plan.run_id, "only": "full-*"}, place)


def image_states(
    place: Place, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> tuple[Foreseen, str]:
    around = Surroundings(
        engine=Engine(api, is_local=True), engine_error=None, way=NoWay("no GPU"), driver=None
    )
    monkeypatch.setattr(foreseen_module, "look", lambda gpu, environment: around)
    plan = dry_run({"runtime": "docker", "device": "cpu", "base_image": "base"}, place)
    return plan, plan.answer(as_json=False)


def test_what_would_be_built(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    plan, text = image_states(place, api, monkeypatch)
    assert plan.image is not None and plan.image.state == "to pull and build"
    assert "base image base would be pulled, then image of this tree would be built" in text
    api.images_by_name["base"] = {"Id": "sha256:base"}
    plan, text = image_states(place, api, monkeypatch)
    assert plan.image is not None and plan.image.state == "to build"
    assert f"image {plan.image.tag} would be built on base with torch 'torch==2.13.0'" in text
    api.images_by_name[str(plan.image.tag)] = {"Id": "sha256:built"}
    plan, text = image_states(place, api, monkeypatch)
    assert plan.image is not None and plan.image.state == "up to date"
    assert f"image {plan.image.tag} is up to date" in text
    assert api.calls == []  # neither pulled, built nor created


def test_what_cannot_be_run_is_refused_as_by_a_real_run(place: Place) -> None:
    with pytest.raises(UsageError, match="matches no case"):
        dry_run({**LOCAL, "only": "nothing-*"}, place)


def test_the_commands(invoke: Invoke, project: Path) -> None:
    local = ("--runtime", "local", "--device", "cpu", "--only", "e2e-text-eager")
    answer = invoke("bench", "--dry-run", "--json", *local)
    assert answer.returncode == 0, answer.stderr
    assert [one["id"] for one in json.loads(answer.stdout)["cases"]] == ["e2e-text-eager"]
    assert "--json is the form of a dry run" in one_line(invoke("bench", "--json"))
    assert not (project / "reports").exists()


def test_the_shell_completes_tasks_and_options(invoke: Invoke) -> None:
    for words, expected in (
        ("invoke sh", {"share"}),
        ("invoke bench --", {"--matrix", "--dry-run", "--quiet", "--resume"}),
        ("invoke compare --", {"--a", "--b", "--across"}),
    ):
        found = invoke("--complete", "--", *words.split())
        assert expected <= set(found.stdout.split()), words


def test_the_completion_script_is_read_by_bash(invoke: Invoke) -> None:
    script = invoke("--print-completion-script", "bash").stdout
    check = "source /dev/stdin && complete -p invoke"
    answer = subprocess.run(["bash", "-c", check], input=script, capture_output=True, text=True)
    assert "_complete_invoke" in answer.stdout

"""Every target against made-up self-checks whose truth is known: met, missed with its cause."""

from pathlib import Path

import pytest

from harness.analysis.causes import Quantity
from harness.analysis.planted import expected_calls, planted
from harness.analysis.targets import TARGETS, Check
from harness.analysis.trust import Trust, compiled_processes, trust
from harness.run import Run
from harness.store import RunFolder
from tests.records import build


def load(path: Path) -> Run:
    return RunFolder(path).load()


def checked(folder: Path, knobs: build.Knobs, **changes: bool) -> Trust:
    return trust(load(build.selfcheck_run(folder, knobs, **changes)))


def of(found: Trust, id_: str, part: str = "") -> Check:
    return next(check for check in found.checks if check.id == id_ and part in check.what)


def why(check: Check) -> str:
    return "".join("#" if isinstance(w, Quantity) else w for w in check.cause or ())


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return checked(tmp_path_factory.mktemp("quiet"), build.QUIET)


def test_a_quiet_machine_meets_every_target_that_was_measured(quiet: Trust) -> None:
    outcomes = {check.outcome for check in quiet.checks}
    assert outcomes == {"met", "not measured"}
    missing = [check for check in quiet.checks if check.outcome == "not measured"]
    assert [check.what for check in missing] == [
        "half interval over processes, compiled over eager"
    ]
    assert [check.id for check in quiet.checks] == [
        *["T1"] * 2, *["T2"] * 4, *["T3"] * 3, "T4", *["T5"] * 2, "T6",
    ]  # fmt: skip


def test_every_check_names_a_target_and_where_it_was_read(quiet: Trust) -> None:
    assert {check.target for check in quiet.checks} == TARGETS.keys()
    assert all(check.readings for check in quiet.checks if check.value is not None)


def test_planted_delays_come_out_as_expected(quiet: Trust) -> None:
    calls = {item.arm: item.call for item in quiet.planted}
    assert calls.pop("delay2") in ("same", "slower", "undecided")
    assert calls == {"again": "same", "delay1": "same", "delay3": "slower", "delay5": "slower"}
    assert all(item.as_expected and item.decides == "busy" for item in quiet.planted)
    shares = [item.planted_share for item in quiet.planted if item.planted_share is not None]
    assert shares == pytest.approx([0.01, 0.02, 0.03, 0.05], rel=0.02)


def test_a_delay_that_is_not_there_is_not_as_expected(tmp_path: Path) -> None:
    found = checked(tmp_path, build.Knobs(delay_factor=0.0))
    wrong = [item.arm for item in found.planted if not item.as_expected]
    assert wrong == ["delay3", "delay5"]


def test_a_false_alarm_is_not_as_expected(tmp_path: Path) -> None:
    found = checked(tmp_path, build.Knobs(again=1.04))
    assert [item.arm for item in found.planted if not item.as_expected] == ["again"]


@pytest.mark.parametrize(
    ("arm", "calls"),
    [
        ("again", {"same"}),
        ("delay1", {"same"}),
        ("delay2", {"same", "undecided", "slower"}),
        ("delay3", {"slower"}),
        ("delay10", {"slower"}),
    ],
)
def test_what_an_honest_verdict_says(arm: str, calls: set[str]) -> None:
    assert set(expected_calls(arm)) == calls


def test_a_host_that_slows_processes_down_is_named(tmp_path: Path) -> None:
    found = checked(tmp_path, build.Knobs(host_sd=0.05))
    assert of(found, "T2", "GPU-busy time in cycles").outcome == "met"
    for check in (of(found, "T2", "fresh containers, wall time"), of(found, "T3", "FPS")):
        assert check.outcome == "missed"
        assert why(check).startswith("the host: GPU-busy time keeps the target with #")
        assert "the GPU is busy for # of the wall time" in why(check)


def test_a_crowded_run_queue_is_named_behind_the_host(tmp_path: Path) -> None:
    check = of(checked(tmp_path, build.Knobs(host_noise=0.1)), "T1", "chunk")
    assert check.outcome == "missed"
    assert why(check).startswith("the host: ")
    assert "; it moves with the run queue: Spearman's rho #" in why(check)


def test_processes_that_differ_on_the_gpu_are_not_the_host(tmp_path: Path) -> None:
    check = of(checked(tmp_path, build.Knobs(process_sd=0.04)), "T2", "GPU-busy time")
    assert check.outcome == "missed"
    assert "the host" not in why(check)
    assert "no recorded circumstance explains it; # processes are too few" in why(check)


def test_a_clock_that_differs_changes_time_and_not_cycles(tmp_path: Path) -> None:
    found = checked(tmp_path, build.Knobs(clock_sd=0.02))
    assert of(found, "T2", "containers, GPU-busy time").outcome == "missed"
    assert of(found, "T2", "GPU-busy time in cycles").outcome == "met"


def test_the_cost_of_telemetry_is_a_loss_of_fps(tmp_path: Path) -> None:
    check = of(checked(tmp_path, build.Knobs(without_telemetry=0.97)), "T4")
    assert check.outcome == "missed"
    assert check.value == pytest.approx(0.03, abs=0.003)
    assert check.interval is not None
    assert TARGETS["TELEMETRY"] < check.interval[0] < check.value < check.interval[1]
    assert why(check).startswith("the host: ")  # GPU-busy time does not feel the sampler


def test_a_slower_container_is_found(tmp_path: Path) -> None:
    found = checked(tmp_path, build.Knobs(bare=0.95))
    assert of(found, "T5", "GPU-busy").outcome == "missed"
    assert of(found, "T5", "GPU-busy").value == pytest.approx(1 / 0.95 - 1, abs=0.003)
    assert of(found, "T5", "wall").outcome == "missed"


def test_a_noisy_host_leaves_the_container_undecided(tmp_path: Path) -> None:
    check = of(checked(tmp_path, build.Knobs(host_sd=0.05)), "T5", "wall")
    assert check.outcome == "undecided"


def test_without_a_bare_case_the_reason_is_told(tmp_path: Path) -> None:
    check = of(checked(tmp_path, build.QUIET, bare=False), "T5", "wall")
    assert (check.outcome, check.reason) == ("not measured", build.BARE_REASON)


def test_the_compile_ratio_may_come_from_another_run(tmp_path: Path) -> None:
    full = load(build.gpu_run(tmp_path))
    assert len(compiled_processes(full)) == 3
    selfcheck = load(build.selfcheck_run(tmp_path))
    assert compiled_processes(selfcheck) == []
    check = of(trust(selfcheck, full), "T3", "compiled")
    assert check.outcome == "met"
    assert check.readings[0].run is full


def test_parts_that_do_not_sum_up_name_the_largest_gap(tmp_path: Path) -> None:
    run = load(build.selfcheck_run(tmp_path))
    isolated = run.results["isolated-inpainting-eager"]
    slow = [
        type(c)(
            **{name: getattr(c, name) for name in c.__struct_fields__}
            | {"wall_ms": [3 * time for time in c.wall_ms]}
        )
        if c.name == "vae_decode"
        else c
        for c in isolated.components
    ]
    run.processes[isolated.case_id] = [build.change(isolated, components=slow)]
    check = of(trust(run), "T6")
    assert check.outcome == "missed"
    assert why(check).startswith("largest gap: decode, # in the loop")


def test_on_a_cpu_wall_time_decides(tmp_path: Path) -> None:
    found = checked(tmp_path, build.QUIET, device="cpu")  # type: ignore[arg-type]
    assert {item.decides for item in found.planted} == {"wall"}
    assert of(found, "T2", "GPU-busy").reason == "a CPU has no GPU-busy time"
    assert of(found, "T2", "wall time in cycles").reason == "a CPU has no SM clock"
    assert of(found, "T2", "processes, wall time").outcome == "met"


def test_one_process_has_no_spread_between_processes(tmp_path: Path) -> None:
    cases = build.selfcheck_cases()
    path = build.store(tmp_path, build.manifest(cases), [build.result(cases[0])])
    found = trust(load(path))
    assert of(found, "T2", "wall").reason == "one process alone has no spread between processes"
    assert of(found, "T5", "wall").reason == "the bare case has no result"
    assert of(found, "T1", "component").reason == "no isolated case has a result"


def test_a_selfcheck_without_results_measures_nothing(tmp_path: Path) -> None:
    found = trust(load(build.store(tmp_path, build.manifest(build.selfcheck_cases()), [])))
    assert {check.outcome for check in found.checks} == {"not measured"}
    assert found.planted == ()
    assert planted([]) == []

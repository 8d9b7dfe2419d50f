from pathlib import Path

import msgspec
import pytest

from harness.analysis.fix_arms import (
    ArmEnergy,
    arm_times,
    energy_per_frame,
    first_chunk_s,
    peak_bytes,
)
from harness.analysis.fixes import (
    PREDICTED,
    Fixes,
    SingleFix,
    floor_ms,
    measured_fixes,
    risk_of,
    rules_of,
    too_few,
)
from harness.profiled import Ceilings
from harness.result import Result
from harness.run import Run
from harness.store import RunFolder
from harness.variants import FIXES, STACKS
from tests.records import build
from tests.report import made_fixes
from tests.report.made_fixes import BASE_MS, LEFT, arm_ms

STACK_CASE = "paired-inpainting-stack"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return RunFolder(made_fixes.run(tmp_path_factory.mktemp("reports"))).load()


@pytest.fixture(scope="module")
def fixes(run: Run) -> Fixes:
    return found(run)


def found(run: Run) -> Fixes:
    fixes = measured_fixes(run.processes)
    assert fixes is not None
    return fixes


def single(fixes: Fixes, name: str) -> SingleFix:
    return next(fix for fix in fixes.singles if fix.name == name)


def call_of(fixes: Fixes, name: str) -> str:
    change = single(fixes, name).times.wall_change
    assert change is not None
    return change.call


def test_a_run_without_variants_has_no_fixes(tmp_path: Path) -> None:
    run = RunFolder(build.selfcheck_run(tmp_path)).load()
    assert measured_fixes(run.processes) is None


def test_gains_alone_are_those_of_the_truth(fixes: Fixes) -> None:
    for name in ("ring-cache", "attention-flash", "once"):
        fix = single(fixes, name)
        assert fix.times.gain == pytest.approx(1 - arm_ms(name, LEFT)[0] / BASE_MS[0], abs=2e-3)
    assert call_of(fixes, "ring-cache") == "faster"
    assert call_of(fixes, "attention-flash") == "slower"
    assert call_of(fixes, "lean-clean") == "same"


def test_steps_are_against_the_step_before(fixes: Fixes) -> None:
    assert [step.times.arm for step in fixes.steps] == list(STACKS)
    third = fixes.steps[2]
    assert third.added == ("ring-cache",)
    assert third.step.against == "stack-2"
    assert third.step.gain == pytest.approx(0.2, abs=2e-3)
    assert third.times.gain == pytest.approx(1 - 0.9 * 0.92 * 0.8, abs=2e-3)


def test_a_step_that_a_case_leaves_out_belongs_to_the_next(tmp_path: Path) -> None:
    case = next(case for case in made_fixes.cases() if case.id == STACK_CASE)
    fewer = msgspec.structs.replace(case, arms=("base", "stack-1", "stack-3"))
    results = [made_fixes.paired(fewer, number, LEFT) for number in range(3)]
    steps = found_in(results).steps
    assert [step.times.arm for step in steps] == ["stack-1", "stack-3"]
    assert steps[1].title == "cuDNN attention; ring cache"
    assert steps[1].added == ("attention-cudnn", "ring-cache")


def found_in(results: list[Result]) -> Fixes:
    fixes = measured_fixes({results[0].case_id: results})
    assert fixes is not None
    return fixes


def test_ranks_are_by_gain_for_each_point_of_risk(fixes: Fixes) -> None:
    calls = [fix.change.call for fix in fixes.singles if fix.change is not None]
    assert calls == sorted(calls, key=["faster", "undecided", "same", "slower"].index)
    ranked = [fix.gain_per_risk for fix in fixes.singles if fix.rank[1] == 0]
    assert len(ranked) > 5 and ranked == sorted(ranked, reverse=True)
    assert [risk_of(name) for name in ("lora-merged", "fused-qkv", "attention-cudnn")] == [1, 2, 2]
    assert risk_of("graph-chunk") == 5


def test_a_fix_whose_output_fails_is_struck_and_last(tmp_path: Path) -> None:
    made = made_fixes.run(tmp_path, worse={"ring-cache": 5.0})
    fixes = found(RunFolder(made).load())
    last = fixes.singles[-1]
    assert last.name == "ring-cache"
    assert last.struck
    assert not any(fix.struck for fix in fixes.singles[:-1])


def test_other_modes_and_sizes_stand_apart(fixes: Fixes) -> None:
    shown = [(t.case.mode, t.case.width_px, t.arm) for t in fixes.others]
    assert shown == [
        ("inpainting", 832, "lossless"),
        ("depth", 512, "lossless"),
        ("text", 512, "lossless"),
    ]


def test_one_process_decides_nothing(tmp_path: Path) -> None:
    fixes = found(RunFolder(made_fixes.run(tmp_path, processes=1)).load())
    assert too_few(fixes.singles[0].times) == "too few processes"
    assert {fix.basis for fix in fixes.singles} == {None}


def test_gpu_busy_time_decides_where_the_host_blurs_wall_time(run: Run) -> None:
    case = next(one for one in run.processes if one.endswith("-cache"))
    clear, results = run.processes[case], list[Result]()
    for number, result in enumerate(clear):
        chunks = [
            msgspec.structs.replace(one, wall_ms=one.wall_ms * (0.6, 1.0, 1.6)[number])
            if one.arm in ("ring-cache", "hint-list")
            else one
            for one in result.chunks
        ]
        results.append(msgspec.structs.replace(result, chunks=chunks))
    ring = single(found_in(results), "ring-cache")
    assert single(found_in(list(clear)), "ring-cache").basis == "wall time"
    assert call_of(found_in(results), "ring-cache") == "undecided"
    assert ring.basis == "GPU-busy time" and ring.change is ring.times.busy_change
    busy = 1 - made_fixes.LEFT["ring-cache"][1]
    assert ring.gain == pytest.approx(busy, abs=0.01) != ring.times.gain
    ranks = [fix.rank for fix in found_in(results).singles]
    assert ranks == sorted(ranks)


def test_energy_is_power_times_time_over_frames(run: Run) -> None:
    times = arm_times(run.processes[STACK_CASE], "lossless")
    assert times is not None
    joules = energy_per_frame(times).joules
    assert joules == pytest.approx(500 * times.wall.value / 1e3 / 12, rel=0.01)
    assert times.fps.value == pytest.approx(12e3 / times.wall.value, rel=1e-3)


def test_energy_without_telemetry_says_why(run: Run) -> None:
    result = run.processes[STACK_CASE][0]
    gpu = msgspec.structs.replace(result.gpu, source="none", reason="no sampler")
    times = arm_times([msgspec.structs.replace(result, gpu=gpu)], "lossless")
    assert times is not None
    assert energy_per_frame(times) == ArmEnergy(None, "no sampler")


def test_memory_and_first_chunk_of_base_and_arm(run: Run) -> None:
    results = run.processes[STACK_CASE]
    base, arm = arm_times(results, "base"), arm_times(results, "lossless")
    assert base is not None
    assert arm is not None
    assert first_chunk_s(arm) == 30.0
    assert first_chunk_s(base) == pytest.approx(results[0].chunks[0].wall_ms / 1e3, rel=0.02)
    assert peak_bytes(arm) == peak_bytes(base) == made_fixes.GPU_BYTES
    assert base.wall_change is None
    assert base.idle_share == pytest.approx(1 - BASE_MS[1] / BASE_MS[0], abs=0.01)


def test_predictions_name_fixes_that_exist() -> None:
    assert set(PREDICTED) <= set(FIXES)
    assert rules_of("ring-cache") == ("cache_copies", "sync")
    assert rules_of("fused-qkv") == ("lora",)  # of the fix that it needs
    assert rules_of("lean-clean") == ()


def test_the_floor_leaves_the_adapters_out() -> None:
    case = next(case for case in made_fixes.cases() if case.id == STACK_CASE)
    ceilings = Ceilings(matmul_flops_per_s=790e12, copy_bytes_per_s=4e12, attention_flops_per_s={})
    assert floor_ms(case, ceilings) == pytest.approx(97.4e15 / 790e12, rel=0.005)
    unknown = Ceilings(None, None, {}, reason="a CPU")
    assert floor_ms(case, unknown) is None

"""What the processes of a run say together, from made-up runs with a known truth."""

from pathlib import Path

import pytest

from harness.analysis.comparisons import (
    MEASURES,
    compare_arms,
    compare_cases,
    looks,
    over_processes,
    process_values,
    samples,
    undecided,
)
from harness.matrix import Case
from harness.result import Result
from harness.store import RunFolder
from tests.records import build

CASES: dict[str, Case] = {case.id: case for case in build.gpu_cases()}
PAIRED = CASES["paired-inpainting-compiled"]
PLAIN = CASES["e2e-inpainting-eager"]


def processes(case: Case, knobs: build.Knobs = build.QUIET, count: int = 3) -> list[Result]:
    return [build.result(case, knobs, process=number) for number in range(count)]


def test_samples_are_of_one_arm() -> None:
    result = build.result(PAIRED)
    assert len(samples(result, "wall", "base")) == 50
    assert len(samples(result, "busy", "compiled")) == 3
    assert samples(result, "wall") == []  # a paired case has no chunk without an arm
    assert len(samples(build.result(PLAIN), "wall")) == 50


def test_cycles_are_time_by_clock_in_millions() -> None:
    result = build.result(PLAIN)
    wall, cycles = samples(result, "wall"), samples(result, "wall_cycles")
    assert cycles[0] == pytest.approx(wall[0] * 1980 / 1e3)
    assert len(samples(result, "busy_cycles")) == 3


def test_a_cpu_has_wall_time_alone() -> None:
    result = build.result(build.cpu_cases()[2])
    assert [bool(samples(result, measure)) for measure in MEASURES] == [True, False, False, False]
    assert process_values([result], "busy") == []
    assert over_processes([result], "busy") is None


def test_the_value_of_a_case_lies_between_its_processes() -> None:
    results = processes(PLAIN, build.Knobs(process_sd=0.01))
    values = process_values(results, "wall")
    found = over_processes(results, "wall")
    assert found is not None
    assert found.processes == len(values) == 3
    assert min(values) < found.value < max(values)


def test_arms_of_the_same_processes_lose_what_the_process_adds() -> None:
    found = compare_arms(processes(PAIRED, build.Knobs(process_sd=0.05)), "compiled", "busy")
    assert found is not None
    assert found.ratio.paired
    assert found.ratio.value == pytest.approx(0.99, abs=0.002)
    assert found.call == "same"


def test_an_arm_that_was_not_measured_has_no_verdict() -> None:
    assert compare_arms(processes(PAIRED), "delay5", "wall") is None


def test_cases_are_compared_by_their_own_arms() -> None:
    plain, paired = processes(PLAIN), processes(PAIRED)
    found = compare_cases(plain, paired, "wall", None, "base")
    assert found is not None
    assert found.ratio.value == pytest.approx(1, abs=0.005)
    assert compare_cases(plain, paired, "wall") is None


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (3, 2), (4, 2), (5, 1)])
def test_a_plan_that_can_be_extended_looks_twice(count: int, expected: int) -> None:
    fields = {name: getattr(PLAIN, name) for name in PLAIN.__struct_fields__}
    assert looks(Case(**(fields | {"processes": count}))) == expected


def test_open_comparisons_and_wide_intervals_want_more_processes(tmp_path: Path) -> None:
    noisy = build.Knobs(process_sd=0.05, host_sd=0.05, compiled=0.98)
    cases = [PLAIN, PAIRED, CASES["e2e-inpainting-eager-sdpa"]]
    path = build.store(tmp_path, build.manifest(cases), build.results(cases, noisy))
    assert set(undecided(RunFolder(path).load())) >= {PLAIN.id}
    assert "e2e-inpainting-eager-sdpa" not in undecided(RunFolder(path).load())


def test_a_quiet_run_wants_no_more(tmp_path: Path) -> None:
    assert undecided(RunFolder(build.gpu_run(tmp_path)).load()) == []

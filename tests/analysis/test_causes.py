"""Causes are named from the samples or not at all."""

import math
import random

import pytest
from scipy.stats import spearmanr

from harness.analysis.causes import (
    CIRCUMSTANCES,
    Correlation,
    Quantity,
    Words,
    between_processes,
    can_show,
    circumstance,
    correlation_words,
    strongest,
    within_component,
    within_processes,
)
from harness.matrix import Case
from harness.record_parts import ChunkState, HostSeries
from harness.result import Result
from tests.records import build

PAIRED: Case = build.selfcheck_cases()[0]


def text(words: Words) -> str:
    return "".join(f"<{w.value:g}>" if isinstance(w, Quantity) else w for w in words)


def processes(knobs: build.Knobs, count: int = 5) -> list[Result]:
    return [build.result(PAIRED, knobs, process=number) for number in range(count)]


def test_the_strongest_of_several_is_taken_by_its_size() -> None:
    times = [float(number) for number in range(20)]
    random_ = random.Random(1)
    noise: list[float | None] = [random_.random() for _ in times]
    found = strongest(times, {"run_queue": noise, "sm_clock_mhz": [-time for time in times]})
    assert found is not None
    assert (found.circumstance, found.pairs) == ("sm_clock_mhz", 20)
    assert found.rho == pytest.approx(-1)
    assert found.named


def test_what_never_changed_or_was_not_recorded_explains_nothing() -> None:
    columns: dict[str, list[float | None]] = {"run_queue": [1.0] * 3, "loop_us": [None] * 3}
    assert strongest([1.0, 2.0, 3.0], columns) is None
    assert strongest([], {}) is None


@pytest.mark.parametrize(("pairs", "enough"), [(3, False), (5, False), (6, True), (200, True)])
def test_few_pairs_cannot_prove_a_correlation(pairs: int, enough: bool) -> None:
    assert can_show(pairs) is enough


def test_a_perfect_order_of_five_is_not_sure() -> None:
    times = [1.0, 2.0, 3.0, 4.0, 5.0]
    found = strongest(times, {"loop_us": list(times)})
    assert found is not None
    assert spearmanr(times, times).pvalue < 1e-9  # what Student's t makes of it
    assert found.p == pytest.approx(2 / math.factorial(5))
    assert not found.named


def test_the_exact_p_agrees_with_students_t_where_both_hold() -> None:
    times = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    mixed: list[float | None] = [2.0, 1.0, 4.0, 3.0, 7.0, 5.0, 6.0]
    found = strongest(times, {"loop_us": mixed})
    assert found is not None
    assert found.p == pytest.approx(float(spearmanr(times, mixed).pvalue), abs=0.02)


@pytest.mark.parametrize(
    ("rho", "p", "named"), [(0.3, 0.009, True), (0.29, 0.001, False), (0.9, 0.01, False)]
)
def test_strong_and_sure_are_both_needed(rho: float, p: float, named: bool) -> None:
    assert Correlation("run_queue", -rho, p, 40).named is named


def test_a_crowded_run_queue_is_found_within_processes() -> None:
    found = within_processes(processes(build.Knobs(host_noise=0.05)))
    assert found is not None
    assert found.circumstance == "run_queue"
    assert found.rho > 0.9
    assert found.named


def test_a_difference_between_processes_is_no_cause_within_them() -> None:
    found = within_processes(processes(build.Knobs(clock_sd=0.05)))
    assert found is None  # the clock differs between processes and never within one


def test_the_clock_is_found_between_processes() -> None:
    results = processes(build.Knobs(clock_sd=0.03), 9)
    times = [sum(chunk.wall_ms for chunk in result.chunks) for result in results]
    found = between_processes(results, times)
    assert found is not None
    assert (found.circumstance, found.named) == ("sm_clock_mhz", True)
    assert found.rho < -0.9


def test_samples_of_a_component_take_the_nearest_circumstance() -> None:
    result = build.result(build.gpu_cases()[0])
    first = result.components[0]
    rising = [1.0 + 0.01 * index for index in range(len(first.wall_ms))]
    component = type(first)(
        **{name: getattr(first, name) for name in first.__struct_fields__} | {"wall_ms": rising}
    )
    host = HostSeries(
        t_s=list(first.start_s), fields={"other_cpu_share": [0.01 * time for time in rising]}
    )
    found = within_component(build.change(result, host=host), component)
    assert found is not None
    assert (found.circumstance, found.named) == ("other_cpu_share", True)


def test_throttling_is_one_number() -> None:
    state = ChunkState(throttled_ns={"hw_thermal_ns": 3, "sw_thermal_ns": 4})
    assert circumstance(state, "throttling") == 7.0
    assert circumstance(ChunkState(), "throttling") is None
    assert circumstance(None, "loop_us") is None
    assert all(circumstance(ChunkState(), name) is None for name in CIRCUMSTANCES)


def test_the_words_say_what_is_known() -> None:
    sure = Correlation("run_queue", 0.8, 0.001, 40)
    unsure = Correlation("run_queue", 0.2, 0.3, 40)
    few = Correlation("sm_clock_mhz", -1.0, 0.0167, 5)
    assert text(correlation_words(sure, "chunks", 40, ())) == (
        "it moves with the run queue: Spearman's rho <0.8> over <40> chunks"
    )
    assert text(correlation_words(unsure, "chunks", 40, ())) == (
        "no recorded circumstance explains it; closest is the run queue with Spearman's rho <0.2> "
        "over <40> chunks"
    )
    assert "<5> processes are too few to prove a correlation; closest is the SM clock" in text(
        correlation_words(few, "processes", 5, ())
    )
    assert text(correlation_words(None, "chunks", 40, ())) == (
        "no recorded circumstance explains it; none was recorded and changed"
    )

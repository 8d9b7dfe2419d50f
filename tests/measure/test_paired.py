"""harness.measure.paired on a CPU: the order of blocks, planted delays, a paused sampler."""

from itertools import groupby
from pathlib import Path

import pytest

from harness.measure.paired import rotated
from harness.measure.session import run_job
from harness.result import Result, decode, encode
from tests.measure.cases import small_job

ROUNDING_S = 0.002  # samples are kept to the millisecond
ARMS = ("base", "again", "delay50", "no-telemetry")


def ignore(_: object) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Result:
    job = small_job(kind="paired", arms=ARMS, processes=3, blocks=3, chunks_per_block=2)
    record = run_job(job, tmp_path_factory.mktemp("exchange"), ignore)
    assert isinstance(record, Result), record.detail
    return record


def test_each_block_begins_with_another_arm_and_every_other_runs_backwards() -> None:
    orders = [rotated("abc", block) for block in range(4)]
    assert orders == [["a", "b", "c"], ["a", "c", "b"], ["c", "a", "b"], ["c", "b", "a"]]


def test_all_arms_are_measured_block_by_block_in_that_order(measured: Result) -> None:
    steady = [chunk for chunk in measured.chunks if chunk.phase == "steady"]
    seen = [key for key, _ in groupby((chunk.block, chunk.arm) for chunk in steady)]
    assert seen == [(block, arm) for block in range(3) for arm in rotated(ARMS, block)]
    assert len(steady) == 3 * len(ARMS) * 2
    assert all(chunk.arm is None for chunk in measured.chunks if chunk.phase == "warmup")


def test_a_planted_delay_is_found_in_the_samples(measured: Result) -> None:
    planted_ms = measured.planted_ms["delay50"]
    # The quickest chunk of each: what else the host does only ever adds to a chunk.
    quickest_ms = {
        arm: min(c.wall_ms for c in measured.chunks if c.phase == "steady" and c.arm == arm)
        for arm in ("base", "delay50")
    }
    assert set(measured.planted_ms) == {"delay50"}
    added_ms = quickest_ms["delay50"] - quickest_ms["base"]
    assert added_ms > 0.7 * planted_ms


def test_the_sampler_stands_still_in_the_arm_without_telemetry(measured: Result) -> None:
    assert measured.host is not None
    quiet = [c for c in measured.chunks if c.phase == "steady" and c.arm == "no-telemetry"]
    inside = [
        t_s
        for c in quiet
        for t_s in measured.host.t_s
        if c.start_s + ROUNDING_S < t_s < c.start_s + c.wall_ms / 1e3 - ROUNDING_S
    ]
    assert inside == []
    loud = [c for c in measured.chunks if c.phase == "steady" and c.arm == "base"]
    assert all(chunk.state and chunk.state.run_queue is not None for chunk in loud)


def test_the_record_of_a_cpu_has_no_busy_time_and_comes_back_equal(measured: Result) -> None:
    assert measured.busy == []
    assert measured.compile is None
    assert decode(encode(measured), name="x") == measured


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_dynamo")
def test_a_compiled_arm_is_compiled_before_the_blocks(tmp_path: Path) -> None:
    job = small_job(kind="paired", arms=("base", "compiled"), blocks=1)
    record = run_job(job, tmp_path, ignore)
    assert isinstance(record, Result), record.detail
    assert record.compile is not None and record.compile.graphs > 0
    assert record.compile.cold_s["first_chunk"] > 1
    steady = [chunk for chunk in record.chunks if chunk.phase == "steady"]
    assert {chunk.arm for chunk in steady} == {"base", "compiled"}
    assert all(chunk.state and chunk.state.compile_work == 0 for chunk in steady)


def test_a_variant_arm_has_a_pipeline_of_its_own_and_its_facts(tmp_path: Path) -> None:
    arms = ("base", "ring-cache+once")
    record = run_job(small_job(kind="paired", arms=arms, blocks=1), tmp_path, ignore)
    assert isinstance(record, Result), record.detail
    warm = [c for c in record.chunks if c.arm == arms[1] and c.phase in ("compile", "warmup")]
    assert [c.chunk for c in warm] == list(range(13)) and warm[0].phase == "compile"
    assert set(record.arms) == {arms[1]} and record.arms[arms[1]].first_chunk_s > 0
    steady = [c for c in record.chunks if c.phase == "steady"]
    assert {c.arm for c in steady} == set(arms)
    assert all(c.chunk >= 4 for c in steady)

import pytest

from harness.analysis.chunks import (
    chunk_timing,
    event_over_processes,
    fps_over_processes,
    grouped_stages,
    stage_group,
    stage_times,
    start_of,
    steady_chunks,
)
from harness.record_parts import ChunkSample
from tests import samples


def chunk(number: int, wall_ms: float, start_s: float, **changes: object) -> ChunkSample:
    fields: dict[str, object] = {
        "chunk": number,
        "phase": "steady",
        "block": 0,
        "start_s": start_s,
        "frames": 12,
        "wall_ms": wall_ms,
        "event_ms": wall_ms - 1.0,
        "stage_ms": {
            "encode": wall_ms * 0.25,
            "denoise.0": wall_ms * 0.5,
            "hints.0": wall_ms * 0.25,
        },
        "stage_host_ms": {"encode": 1.0},
    }
    return ChunkSample(**(fields | changes))  # type: ignore[arg-type]


def test_fps_is_frames_over_seconds_and_no_mean_of_rates() -> None:
    # 24 frames in 0.4 s are 60 FPS; the mean of the rates 120 and 40 would be 80.
    result = samples.result(chunks=[chunk(4, 100.0, 1.0), chunk(5, 300.0, 1.1)])
    timing = chunk_timing(result)
    assert timing is not None
    assert timing.fps == pytest.approx(60.0)
    assert timing.wall_ms.median == pytest.approx(200.0)


def test_time_inside_a_block_counts_and_between_blocks_does_not() -> None:
    chunks = [chunk(4, 100.0, 1.0), chunk(5, 100.0, 1.2), chunk(6, 100.0, 50.0, block=1)]
    timing = chunk_timing(samples.result(chunks=chunks))
    assert timing is not None
    assert timing.seconds == pytest.approx(0.4)  # 0.3 with a gap of 0.1, and 0.1
    assert timing.blocks == 2


def test_only_steady_chunks_are_timed() -> None:
    chunks = [chunk(0, 900.0, 0.0, phase="warmup", frames=9, block=None), chunk(4, 100.0, 1.0)]
    timing = chunk_timing(samples.result(chunks=chunks))
    assert timing is not None
    assert (timing.wall_ms.n, timing.frames) == (1, 12)


def test_without_steady_chunks_there_is_no_timing() -> None:
    warmup = samples.result(chunks=[chunk(0, 900.0, 0.0, phase="warmup")])
    assert chunk_timing(warmup) is None
    assert stage_times([warmup]) == []
    assert grouped_stages([warmup]) == {}


def test_event_time_is_missing_if_one_chunk_lacks_it() -> None:
    chunks = [chunk(4, 100.0, 1.0), chunk(5, 100.0, 1.1, event_ms=None)]
    timing = chunk_timing(samples.result(chunks=chunks))
    assert timing is not None
    assert timing.event_ms is None


def test_stage_shares_are_of_the_sum_of_stages() -> None:
    result = samples.result(chunks=[chunk(4, 100.0, 1.0), chunk(5, 100.0, 1.1)])
    stages = {stage.name: stage for stage in stage_times([result])}
    assert list(stages) == ["encode", "denoise.0", "hints.0"]
    assert stages["denoise.0"].share == pytest.approx(0.5)
    assert sum(stage.share for stage in stages.values()) == pytest.approx(1.0)
    assert stages["denoise.0"].host_ms is None
    assert stages["encode"].host_ms is not None


def test_stages_of_one_kind_are_grouped() -> None:
    parts = {"denoise.0": 10.0, "denoise.1": 12.0, "prepare": 1.0, "finish": 2.0}
    result = samples.result(chunks=[chunk(4, 25.0, 1.0, stage_ms=parts)])
    assert grouped_stages([result]) == {"denoise": 22.0, "other": 3.0}


@pytest.mark.parametrize(
    ("name", "group"), [("denoise.3", "denoise"), ("clean", "clean"), ("recache", "other")]
)
def test_stage_group(name: str, group: str) -> None:
    assert stage_group(name) == group


def test_the_start_is_told_apart() -> None:
    chunks = [
        chunk(0, 900.0, 10.0, phase="warmup", frames=9),
        chunk(1, 100.0, 11.0, phase="warmup"),
        chunk(4, 100.0, 12.5),
        chunk(5, 100.0, 13.0, phase="count"),
    ]
    start = start_of(samples.result(chunks=chunks))
    assert start is not None
    assert (start.first_wall_ms, start.first_frames, start.chunks_before) == (900.0, 9, 2)
    assert start.to_steady_s == pytest.approx(2.5)


def test_the_start_of_a_case_that_never_was_steady() -> None:
    start = start_of(samples.result(chunks=[chunk(0, 900.0, 10.0, phase="warmup")]))
    assert start is not None
    assert start.to_steady_s is None
    assert start_of(samples.result(chunks=[])) is None


def test_a_paired_case_shows_its_base_arm() -> None:
    chunks = [chunk(4, 100.0, 0.0, arm="base"), chunk(5, 300.0, 0.1, arm="delay5")]
    paired = samples.result(samples.case(kind="paired", arms=("base", "delay5")), chunks=chunks)
    assert [one.arm for one in steady_chunks(paired)] == ["base"]
    timing = chunk_timing(paired)
    assert timing is not None
    assert timing.wall_ms.median == 100.0


def test_fps_over_processes_is_a_geometric_mean() -> None:
    slow, fast = (samples.result(chunks=[chunk(4, ms, 0.0)]) for ms in (400.0, 100.0))
    found, event = fps_over_processes([slow, fast]), event_over_processes([slow, fast])
    assert found is not None
    assert event is not None
    assert found.value == pytest.approx(60.0)  # of 30 and 120 FPS
    assert event.value == pytest.approx((399 * 99) ** 0.5)
    assert fps_over_processes([samples.result(chunks=[])]) is None


def test_stages_of_several_processes_are_geometric_means_as_the_chunk_is() -> None:
    fast, slow = ([chunk(4, ms, 1.0), chunk(5, ms, 1.2)] for ms in (50.0, 200.0))
    processes = [samples.result(chunks=chunks) for chunks in (fast, slow)]
    stages = {stage.name: stage for stage in stage_times(processes)}
    assert stages["denoise.0"].device_ms == pytest.approx(50.0)
    assert stages["denoise.0"].share == pytest.approx(0.5)
    assert grouped_stages(processes)["hints"] == pytest.approx(25.0)


def test_quartiles_of_stages_are_of_the_process_where_they_lie_furthest_apart() -> None:
    calm = samples.result(chunks=[chunk(4, 100.0, 1.0), chunk(5, 100.0, 1.2)])
    moved = samples.result(chunks=[chunk(4, 80.0, 1.0), chunk(5, 120.0, 1.2)])
    assert stage_times([calm])[0].iqr_ms == 0.0
    assert stage_times([calm, moved])[0].iqr_ms == stage_times([moved])[0].iqr_ms > 0.0


def test_a_stage_that_one_process_never_ran_has_no_geometric_mean_but_zero() -> None:
    without = samples.result(chunks=[chunk(4, 100.0, 1.0, stage_ms={"denoise.0": 50.0})])
    full = samples.result(chunks=[chunk(4, 100.0, 1.0)])
    stages = {stage.name: stage.device_ms for stage in stage_times([full, without])}
    assert stages["hints.0"] == 0.0 and stages["denoise.0"] == pytest.approx(50.0)

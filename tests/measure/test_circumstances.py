from harness.measure.circumstances import state_means, with_states
from harness.measure.series import Sample
from harness.measure.telemetry import Telemetry
from harness.record_parts import ChunkSample, ChunkState, CounterReading


def chunk(start_s: float, wall_ms: float = 1000.0, *, block: int | None = 0) -> ChunkSample:
    return ChunkSample(
        chunk=4,
        phase="steady",
        block=block,
        start_s=start_s,
        frames=12,
        wall_ms=wall_ms,
        event_ms=None,
        stage_ms={},
        stage_host_ms={},
        state=ChunkState(compile_work=2),
    )


def telemetry(samples: list[Sample], readings: list[CounterReading] | None = None) -> Telemetry:
    seen = Telemetry.none("test")
    seen._interval_s = 0.1
    seen._samples = samples
    seen._readings = readings or []
    return seen


def test_a_state_is_the_mean_of_what_was_seen_during_the_chunk() -> None:
    seen = telemetry(
        [
            {"t_s": 3.9, "sm_clock_mhz": 300, "run_queue": 9},
            {"t_s": 4.2, "sm_clock_mhz": 1900, "run_queue": 1},
            {"t_s": 4.8, "sm_clock_mhz": 2000, "run_queue": None},
        ]
    )
    (described,) = with_states([chunk(4.0)], seen, shared=True)
    state = described.state
    assert state is not None
    assert (state.sm_clock_mhz, state.run_queue, state.power_mw) == (1950, 1, None)
    assert (state.compile_work, state.gpu_shared) == (2, True)


def test_a_chunk_shorter_than_the_interval_takes_the_nearest_reading() -> None:
    seen = telemetry(
        [
            {"t_s": 3.2, "sm_clock_mhz": 1, "temperature_c": 55},
            {"t_s": 4.05, "sm_clock_mhz": 1900, "temperature_c": None},
        ]
    )
    near = state_means(chunk(4.0, wall_ms=20), seen)
    assert (near["sm_clock_mhz"], near["temperature_c"]) == (1900, 55)
    far = state_means(chunk(8.0, wall_ms=20), seen)
    assert set(far.values()) == {None}


def test_counters_belong_to_the_whole_block() -> None:
    readings = [
        CounterReading(t_s=t_s, label="x", values={"hw_thermal_ns": value, "sw_thermal_ns": None})
        for t_s, value in ((3.9, 10), (6.1, 35), (9.0, 35))
    ]
    seen = telemetry([], readings)
    chunks = [chunk(4.0), chunk(5.0), chunk(7.0, block=1), chunk(9.5, block=None)]
    rises = [c.state.throttled_ns for c in with_states(chunks, seen, shared=False) if c.state]
    assert rises == [{"hw_thermal_ns": 25}, {"hw_thermal_ns": 25}, {"hw_thermal_ns": 0}, {}]

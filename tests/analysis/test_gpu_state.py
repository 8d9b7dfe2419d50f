import pytest

from harness.analysis.gpu_state import energy, phase_states
from harness.record_parts import ChunkSample, CounterReading, GpuSeries, GpuState, PhaseMark
from harness.result import Result
from tests import samples


def steady(start_s: float, wall_ms: float) -> ChunkSample:
    return ChunkSample(
        chunk=4,
        phase="steady",
        block=0,
        start_s=start_s,
        frames=12,
        wall_ms=wall_ms,
        event_ms=None,
        stage_ms={},
        stage_host_ms={},
    )


def reading(t_s: float, **values: int | None) -> CounterReading:
    return CounterReading(t_s=t_s, label="", values=values)


def sampled(
    fields: dict[str, list[float | None]],
    counters: list[CounterReading] | None = None,
    *,
    chunks: int = 20,
    wall_ms: float = 1000.0,
    **changes: object,
) -> Result:
    """Load in [0, 10), steady in [10, 10 + chunks * wall_ms]; a sample each second."""
    length = len(next(iter(fields.values()), []))
    end_s = 10.0 + chunks * wall_ms / 1e3
    gpu: dict[str, object] = {
        "source": "nvml",
        "reason": None,
        "interval_s": 1.0,
        "sampler_version": "1",
        "series": GpuSeries(t_s=[float(second) for second in range(length)], fields=fields),
        "counters": counters or [],
        "unsupported": {},
    }
    return samples.result(
        phases=[
            PhaseMark(name="load", start_s=0.0, end_s=9.9),
            PhaseMark(name="steady", start_s=10.0, end_s=end_s),
        ],
        chunks=[steady(10.0 + index * wall_ms / 1e3, wall_ms) for index in range(chunks)],
        gpu=GpuState(**(gpu | changes)),  # type: ignore[arg-type]
    )


def test_samples_are_split_by_phase_and_nulls_left_out() -> None:
    clock: list[float | None] = [345.0] * 10 + [1980.0, None, 1965.0] + [1980.0] * 8
    load, run = phase_states(sampled({"sm_clock_mhz": clock}, chunks=10))
    assert (load.phase, run.phase) == ("load", "steady")
    assert load.fields["sm_clock_mhz"].maximum == 345.0
    assert run.fields["sm_clock_mhz"].median == 1980.0
    assert run.fields["sm_clock_mhz"].minimum == 1965.0
    assert run.fields["sm_clock_mhz"].n == 10
    assert run.duration_s == pytest.approx(10.0)


def test_throttle_bits_are_counted_and_harmless_ones_are_not() -> None:
    bits: list[float | None] = [1.0] * 10 + [4.0, 0x44, 2.0, 0.0]
    load, run = phase_states(sampled({"event_reasons": bits}, chunks=4))
    assert load.reasons == {}
    assert run.reasons == {"power cap": 2, "thermal slowdown (hardware)": 1}


def test_throttle_counters_are_differences_within_the_phase() -> None:
    counters = [
        reading(9.5, sw_power_cap_ns=100),
        reading(20.0, sw_power_cap_ns=5_000_100),
        reading(30.1, sw_power_cap_ns=9_000_100, sw_thermal_ns=None),
    ]
    _, run = phase_states(sampled({"power_mw": [1.0] * 31}, counters))
    assert run.counters_ns == {"sw_power_cap_ns": 9_000_000}


def test_a_counter_that_hardly_moved_is_not_named() -> None:
    counters = [reading(9.5, sw_power_cap_ns=0), reading(30.1, sw_power_cap_ns=900_000)]
    _, run = phase_states(sampled({"power_mw": [1.0] * 31}, counters))
    assert run.counters_ns == {}


def test_energy_by_the_counter_over_ten_seconds() -> None:
    counters = [reading(9.9, energy_mj=1_000_000), reading(30.1, energy_mj=11_000_000)]
    used, reason = energy(sampled({"power_mw": [1.0] * 31}, counters))
    assert used is not None
    assert reason is None
    assert (used.method, used.chunks) == ("counter", 20)
    assert used.per_chunk_j == pytest.approx(500.0)
    assert used.per_frame_j == pytest.approx(500.0 / 12)


def test_energy_by_the_counter_counts_only_chunks_between_its_readings() -> None:
    counters = [reading(12.0, energy_mj=0), reading(24.0, energy_mj=6_000_000)]
    used, _ = energy(sampled({"power_mw": [1.0] * 31}, counters))
    assert used is not None
    assert used.chunks == 12


def test_energy_of_a_short_window_comes_from_the_power_samples() -> None:
    power: list[float | None] = [0.0] * 10 + [500_000.0] * 6
    counters = [reading(9.9, energy_mj=0), reading(15.1, energy_mj=99)]
    used, _ = energy(sampled({"power_mw": power}, counters, chunks=5))
    assert used is not None
    assert used.method == "power samples"
    assert used.per_chunk_j == pytest.approx(500.0)


def test_a_counter_that_went_backwards_is_not_used() -> None:
    power: list[float | None] = [200_000.0] * 31
    counters = [reading(9.9, energy_mj=9_000_000), reading(30.1, energy_mj=100)]
    used, _ = energy(sampled({"power_mw": power}, counters))
    assert used is not None
    assert used.method == "power samples"


def test_energy_is_unknown_with_a_reason() -> None:
    no_power = sampled({"sm_clock_mhz": [1.0] * 31}, unsupported={"power_mw": "Not Supported"})
    assert energy(no_power) == (None, "Not Supported")
    off = sampled({}, source="none", reason="no NVML library")
    assert energy(off) == (None, "no NVML library")
    assert energy(samples.result(chunks=[])) == (None, "no steady chunk")

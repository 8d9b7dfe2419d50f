from typing import Any

import pytest

from harness.measure.circumstances import with_states
from harness.measure.flags import clock_flag, flag_chunks, idle_flags
from harness.measure.nvml import Ready
from harness.measure.series import Sample
from harness.measure.telemetry import Telemetry
from harness.record_parts import ChunkSample, CounterReading


def chunk(number: int, *, phase: Any = "steady") -> ChunkSample:
    """Chunk n lasts from second n to n + 1."""
    return ChunkSample(
        chunk=number,
        phase=phase,
        block=0,
        start_s=float(number),
        frames=12,
        wall_ms=1000.0,
        event_ms=None,
        stage_ms={},
        stage_host_ms={},
    )


def telemetry(samples: list[Sample], readings: list[CounterReading] | None = None) -> Telemetry:
    seen = Telemetry.none("test")
    seen._samples = samples
    seen._readings = readings or []
    return seen


def sample(t_s: float, clock: float | None = 1980, reasons: int = 0) -> Sample:
    return {"t_s": t_s, "sm_clock_mhz": clock, "event_reasons": reasons}


def flags_of(chunks: list[ChunkSample], seen: Telemetry, *, shared: bool = False) -> list[Any]:
    return [c.flags for c in flag_chunks(with_states(chunks, seen, shared=shared), seen)]


def test_quiet_chunks_carry_no_flag() -> None:
    seen = telemetry([sample(t + 0.5) for t in (4, 5, 6)])
    assert flags_of([chunk(4), chunk(5), chunk(6)], seen) == [[], [], []]


@pytest.mark.parametrize(
    ("bits", "flags"),
    [
        (0x1, []),
        (0x4, ["power capped"]),
        (0x40, ["throttled"]),
        (0x20 | 0x4, ["throttled", "power capped"]),
    ],
)
def test_sampled_reasons_flag_the_chunk_they_fall_into(bits: int, flags: list[str]) -> None:
    seen = telemetry([sample(4.5), sample(5.5, reasons=bits)])
    assert flags_of([chunk(4), chunk(5)], seen) == [[], flags]


def test_a_low_clock_is_measured_against_the_steady_median() -> None:
    seen = telemetry([sample(4.5), sample(5.5), sample(6.5, 1500), sample(7.5, None)])
    assert flags_of([chunk(n) for n in (4, 5, 6, 7)], seen) == [[], [], ["clock low"], []]


def test_counters_notice_what_no_sample_saw() -> None:
    readings = [
        CounterReading(t_s=t, label="x", values={"hw_thermal_ns": value})
        for t, value in [(3.9, 0), (6.1, 7)]
    ]
    assert flags_of([chunk(4), chunk(5)], telemetry([], readings)) == [["throttled"]] * 2


def test_earlier_flags_stay_and_a_shared_gpu_flags_all() -> None:
    assert flags_of([chunk(4)], telemetry([]), shared=True) == [["gpu shared"]]


def test_a_gpu_in_use_before_the_case_is_flagged() -> None:
    assert idle_flags({"memory_used_bytes": 700 * 2**20, "utilisation_percent": 3}) == []
    flags = idle_flags({"memory_used_bytes": 5 * 2**30, "utilisation_percent": 50})
    assert flags == [
        "gpu shared: 5.0 GiB in use before the case",
        "gpu shared: 50 % busy before the case",
    ]
    assert idle_flags({"event_reasons": 0x20}) == ["throttled before the case"]


def test_a_case_far_below_the_largest_clock_is_flagged() -> None:
    seen = telemetry([sample(4.5, 1200), sample(5.5, 1200)])
    seen.ready = Ready(
        version="1",
        facts={"gpu.max_sm_clock_mhz": 1980},
        idle={},
        power_source=None,
        unsupported={},
    )
    assert clock_flag(seen, 4, 6) == "clock low: 1200 MHz of at most 1980 MHz"
    assert clock_flag(seen, 7, 8) is None

"""What makes a sample less trustworthy: throttling, a low clock, a GPU that others use too.

A flagged sample keeps its value. Clock and throttle flags come from the sampled bits during the
chunk and from the throttle counters, which miss nothing, around its block.
"""

import msgspec

from harness.analysis.interval import median
from harness.measure.circumstances import samples_of
from harness.measure.series import Sample, mean_clock_mhz
from harness.measure.telemetry import Telemetry
from harness.record_parts import ChunkSample, ChunkState

# Bits of NVML's clocks-event reasons that mean the GPU runs slower than it could.
THROTTLE_BITS = 0x8 | 0x20 | 0x40 | 0x80  # HW slowdown, SW thermal, HW thermal, HW power brake
POWER_CAP_BIT = 0x4
CLOCK_LOW = 0.95  # of the median over the steady chunks
CLOCK_LOW_CASE = 0.8  # of the GPU's largest SM clock
BUSY_PERCENT = 10
BUSY_BYTES = 2**30  # in use before the case: more than a CUDA context of our own

GPU_SHARED = "gpu shared"
THROTTLED = "throttled"
POWER_CAPPED = "power capped"
CLOCK_IS_LOW = "clock low"


def idle_flags(idle: Sample) -> list[str]:
    """Why the GPU was not ours alone, or not at rest, before the case began."""
    flags = []
    used = idle.get("memory_used_bytes")
    busy = idle.get("utilisation_percent")
    if used is not None and used > BUSY_BYTES:
        flags.append(f"{GPU_SHARED}: {used / 2**30:.1f} GiB in use before the case")
    if busy is not None and busy >= BUSY_PERCENT:
        flags.append(f"{GPU_SHARED}: {busy:.0f} % busy before the case")
    if int(idle.get("event_reasons") or 0) & THROTTLE_BITS:
        flags.append(f"{THROTTLED} before the case")
    return flags


def flag_chunks(chunks: list[ChunkSample], telemetry: Telemetry) -> list[ChunkSample]:
    """The same chunks with the flags that their circumstances give."""
    states = [chunk.state or ChunkState() for chunk in chunks]
    steady = [
        state.sm_clock_mhz
        for chunk, state in zip(chunks, states, strict=True)
        if chunk.phase == "steady" and state.sm_clock_mhz is not None
    ]
    floor_mhz = CLOCK_LOW * median(steady) if steady else 0.0
    flagged = []
    for chunk, state in zip(chunks, states, strict=True):
        bits = 0
        for sample in samples_of(chunk, telemetry):
            bits |= int(sample.get("event_reasons") or 0)
        flags = list(chunk.flags)
        if bits & THROTTLE_BITS or any(state.throttled_ns.values()):
            flags.append(THROTTLED)
        if bits & POWER_CAP_BIT:
            flags.append(POWER_CAPPED)
        if state.sm_clock_mhz is not None and state.sm_clock_mhz < floor_mhz:
            flags.append(CLOCK_IS_LOW)
        if state.gpu_shared:
            flags.append(GPU_SHARED)
        flagged.append(msgspec.structs.replace(chunk, flags=flags))
    return flagged


def clock_flag(telemetry: Telemetry, start_s: float, end_s: float) -> str | None:
    """Whether the SM clock of a stretch stayed far below what the GPU can do."""
    clock = mean_clock_mhz(telemetry.samples_between(start_s, end_s))
    largest = telemetry.ready.facts.get("gpu.max_sm_clock_mhz") if telemetry.ready else None
    if clock is None or not isinstance(largest, int | float):
        return None
    if clock >= CLOCK_LOW_CASE * largest:
        return None
    return f"{CLOCK_IS_LOW}: {clock:.0f} MHz of at most {largest:.0f} MHz"

"""A second witness of where the time goes: the host's clock around each stage, without a profiler.

Taken twice: as the chunk runs (a stage then holds what the host did in it, and waits for whatever
it must read back), and with the device synchronised at every mark (a stage then holds all of its
own device work, and nothing of its neighbours').
"""

import time
from collections import defaultdict

from harness.analysis.interval import median
from harness.measure.bench import Bench

WITNESS_CHUNKS = 3
MS_DECIMALS = 4

StageTimes = dict[str, float]


def stage_witness(bench: Bench) -> tuple[StageTimes, StageTimes]:
    """Median host time of each stage in ms, unsynchronised and synchronised, of steady chunks."""
    return _medians(bench, synchronised=False), _medians(bench, synchronised=True)


def _medians(bench: Bench, *, synchronised: bool) -> StageTimes:
    bench.make_room(WITNESS_CHUNKS)
    times_ms: dict[str, list[float]] = defaultdict(list)
    for _ in range(WITNESS_CHUNKS):
        for stage, time_ms in _chunk(bench, synchronised=synchronised).items():
            times_ms[stage].append(time_ms)
    return {stage: round(median(values), MS_DECIMALS) for stage, values in times_ms.items()}


def _chunk(bench: Bench, *, synchronised: bool) -> StageTimes:
    pipeline, clock = bench.pipeline, bench.clock
    pixels, mask = bench.inputs(pipeline.chunk_index)
    notes: list[tuple[str, int]] = []

    def mark(stage: str) -> None:
        if synchronised:
            clock.synchronise()
        notes.append((stage, time.monotonic_ns()))

    clock.synchronise()
    pipeline.run_chunk(pixels, mask, mark)
    clock.synchronise()
    bounds_ns = [noted_ns for _, noted_ns in notes] + [time.monotonic_ns()]
    times_ms: StageTimes = defaultdict(float)
    for index, (stage, begin_ns) in enumerate(notes):
        times_ms[stage] += (bounds_ns[index + 1] - begin_ns) / 1e6
    return dict(times_ms)

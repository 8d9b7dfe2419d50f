"""A second witness of where the time goes: the host's clock around each stage, without a profiler.

Taken twice: as the chunk runs (a stage then holds what the host did in it, and waits for whatever
it must read back), and with the device synchronised at every mark (a stage then holds all of its
own device work, and nothing of its neighbours'). As the chunk runs, the time inside reads of a
device tensor is taken too: under the profiler the slowed host hardly waits in them.

It must come before the first pass with a profiler: what that attaches to the process stays, and
makes every later launch slower.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from torch import Tensor

from harness.analysis.interval import median
from harness.measure.bench import Bench

WITNESS_CHUNKS = 3
MS_DECIMALS = 4

StageTimes = dict[str, float]


@dataclass
class Reads:
    """Reads of device tensors: how many, and the host's time inside them."""

    count: int = 0
    spent_ns: int = 0


@dataclass(frozen=True)
class Witness:
    """A few unprofiled steady chunks, in ms: medians of the stages, means of the reads.

    Reads are null on a CPU, and where compiled code might be compiled anew for being watched.
    """

    stages_host_ms: StageTimes = field(default_factory=dict)
    stages_synchronised_ms: StageTimes = field(default_factory=dict)
    reads_ms: float | None = None
    reads: int | None = None


def stage_witness(bench: Bench) -> Witness:
    """Runs a few chunks each way; the pipeline must be in steady state."""
    bench.findings.enter("profile")
    watched = bench.pipeline.device.type == "cuda" and not bench.case.compiled
    with timed_reads() if watched else nullcontext() as reads:
        as_it_runs = _medians(bench, synchronised=False)
    return Witness(
        stages_host_ms=as_it_runs,
        stages_synchronised_ms=_medians(bench, synchronised=True),
        reads_ms=round(reads.spent_ns / 1e6 / WITNESS_CHUNKS, MS_DECIMALS) if reads else None,
        reads=round(reads.count / WITNESS_CHUNKS) if reads else None,
    )


@contextmanager
def timed_reads() -> Iterator[Reads]:
    """Inside the block, calls of `item` on device tensors are counted and timed."""
    reads, original = Reads(), Tensor.item

    def item(tensor: Tensor) -> bool | int | float | complex:
        if tensor.device.type == "cpu":
            return original(tensor)
        begin_ns = time.monotonic_ns()
        value = original(tensor)
        reads.spent_ns += time.monotonic_ns() - begin_ns
        reads.count += 1
        return value

    Tensor.item = item  # type: ignore[assignment, method-assign]
    try:
        yield reads
    finally:
        del Tensor.item  # what is left is the method of its base


def _medians(bench: Bench, *, synchronised: bool) -> StageTimes:
    bench.make_room(WITNESS_CHUNKS)
    times_ms: dict[str, list[float]] = defaultdict(list)
    for _ in range(WITNESS_CHUNKS):
        for stage, time_ms in _chunk(bench, synchronised=synchronised).items():
            times_ms[stage].append(time_ms)
    return {stage: round(median(values), MS_DECIMALS) for stage, values in times_ms.items()}


def _chunk(bench: Bench, *, synchronised: bool) -> StageTimes:
    pipeline, clock = bench.pipeline, bench.clock
    given = pipeline.prepare(pipeline.chunk_index)
    notes: list[tuple[str, int]] = []

    def mark(stage: str) -> None:
        if synchronised:
            clock.synchronise()
        notes.append((stage, time.monotonic_ns()))

    clock.synchronise()
    pipeline.run(given, mark)
    clock.synchronise()
    bounds_ns = [noted_ns for _, noted_ns in notes] + [time.monotonic_ns()]
    times_ms: StageTimes = defaultdict(float)
    for index, (stage, begin_ns) in enumerate(notes):
        times_ms[stage] += (bounds_ns[index + 1] - begin_ns) / 1e6
    return dict(times_ms)

"""GPU-busy time of steady chunks, in a pass of its own with the profiler's device activity alone.

Wall and event time hold the gaps in which the GPU waits for the host; on a slow host they tell of
the host. Busy time is the union of the intervals of all kernels and copies, and the GPU's own.
"""

import re
import time
from collections.abc import Iterable
from operator import itemgetter

from torch.profiler import ProfilerActivity, profile

from harness.analysis.interval import median
from harness.errors import CaseError
from harness.measure.bench import MS_DECIMALS, Bench
from harness.measure.series import mean_clock_mhz
from harness.record_parts import BusySample

BUSY_CHUNKS = 3
WAIT = re.compile(r" (Sync|Wait Event)$")

Span = tuple[int, int]  # begin and end in ns


def measure_busy(bench: Bench, arm: str | None, chunks: int = BUSY_CHUNKS) -> list[BusySample]:
    """Profiles steady chunks one by one and keeps them; nothing to do on a CPU.

    Raises CaseError if the profiler saw no kernel.
    """
    if bench.pipeline.device.type != "cuda":
        return []
    findings = bench.findings
    samples = []
    for number in range(chunks):
        bench.make_room(1)
        findings.enter("busy")
        findings.progress(number, chunks, arm or "")
        samples.append(_profile_chunk(bench, arm))
    findings.busy += samples
    return samples


def busy_ms(samples: Iterable[BusySample]) -> float:
    """Median busy time of some chunks."""
    return median(sample.busy_ms for sample in samples)


def _profile_chunk(bench: Bench, arm: str | None) -> BusySample:
    pipeline, clock = bench.pipeline, bench.clock
    chunk = pipeline.chunk_index
    given = pipeline.prepare(chunk)
    mark = bench.delay.after(_ignore)
    clock.synchronise()
    start_s = time.monotonic()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        pipeline.run(given, mark)
        clock.synchronise()
        end_s = time.monotonic()
    spans = device_spans(profiler)
    if not spans:
        raise CaseError(
            "the profiler saw no kernel of a chunk", next_step="check that CUPTI can be used here"
        )
    return BusySample(
        arm=arm,
        chunk=chunk,
        kernels=len(spans),
        busy_ms=round(union_ns(spans) / 1e6, MS_DECIMALS),
        span_ms=round((max(map(itemgetter(1), spans)) - min(spans)[0]) / 1e6, MS_DECIMALS),
        sm_clock_mhz=mean_clock_mhz(bench.telemetry.samples_between(start_s, end_s)),
    )


def device_spans(profiler: profile) -> list[Span]:
    """Begin and end of every kernel, copy and fill.

    Annotations and waits (`Context Sync`, `Stream Wait Event`) are listed for the device too, but
    nothing works during them.
    """
    inner = profiler.profiler
    assert inner is not None and inner.kineto_results is not None
    return [
        (event.start_ns(), event.start_ns() + event.duration_ns())
        for event in inner.kineto_results.events()
        if event.device_type().name == "CUDA"
        and not event.is_user_annotation()
        and WAIT.search(event.name()) is None
    ]


def union_ns(spans: Iterable[Span]) -> int:
    """Length of the union of intervals."""
    total = 0
    covered_to = 0
    for begin, end in sorted(spans):
        total += max(0, end - max(begin, covered_to))
        covered_to = max(covered_to, end)
    return total


def _ignore(stage: str) -> None:
    """A mark that nobody reads."""

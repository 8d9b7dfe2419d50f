"""The profile pass: a few chunks under torch.profiler with ranges for chunk, stage and part.

    steady    wait 1, warm-up 2, active 3 chunks
    first     chunk 0, after a reset
    filling   chunk 2, while the cache fills, if it is full later

Each profiler session is exported as a trace, and the trace is attributed (`harness.measure.trace`).
Nothing here is timed; the ratio of profiled to unprofiled chunks says how much the pass distorts.
"""

import gzip
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch._C._profiler import _ExperimentalConfig
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from harness.analysis.interval import median
from harness.job import TRACE_FILE
from harness.measure.attribution import profiled_chunks
from harness.measure.bench import Bench
from harness.measure.sync_sites import sync_sites
from harness.measure.witness import Witness
from harness.profile_checks import problems
from harness.profiled import Gap, Profile, ProfiledChunk

WAIT_CHUNKS, WARMUP_CHUNKS, ACTIVE_CHUNKS = 1, 2, 3
FILLING_CHUNK = 2
GZIP_LEVEL = 6
LEAST_HOST_SHARE = 0.001  # of a chunk's wall time, for an operator that launches nothing
# Their calls are quoted, or they stand around an operator that launches and say what it is for.
QUOTED = {
    "aten::_to_copy", "aten::cat", "aten::clone", "aten::convolution", "aten::copy_", "aten::item",
    "aten::mul", "attention.cross", "flex_attention", "sageattn",
}  # fmt: skip
# Options that spare the profiler work which no attribution needs, where this torch has them.
SPARING = ("disable_external_correlation", "trace_only")


class StageRanges:
    """A profiler range for each stage; they follow each other as the marks do."""

    def __init__(self) -> None:
        self._open: record_function | None = None

    def mark(self, stage: str) -> None:
        """One stage ends and the next begins."""
        self.close()
        self._open = record_function(f"stage.{stage}")
        self._open.__enter__()

    def close(self) -> None:
        """The last stage ends."""
        if self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None


def profile_pass(bench: Bench, folder: Path, witness: Witness) -> Profile:
    """Profiles a bench in steady state; leaves the trace of its steady chunks in `folder`."""
    findings = bench.findings
    findings.enter("profile")
    findings.progress(0, 4, "synchronising lines")
    bench.make_room(1)
    sites, reason = sync_sites(bench)
    ranges = bench.pipeline.part_ranges(compiled=bench.case.compiled)
    with tempfile.TemporaryDirectory(dir=folder) as temporary, ranges:
        traces = Path(temporary)
        findings.progress(1, 4, "steady chunks")
        steady = _steady(bench, traces / "steady.json")
        findings.progress(2, 4, "first chunk")
        bench.pipeline.restart()
        others = _single(bench, "first", traces / "first.json")
        if bench.pipeline.first_steady_chunk > FILLING_CHUNK:
            findings.progress(3, 4, "filling chunk")
            while bench.pipeline.chunk_index < FILLING_CHUNK:
                bench.run_block(1, "profile")
            others += _single(bench, "filling", traces / "filling.json")
        _compress(traces / "steady.json", folder / TRACE_FILE)
    unprofiled = [c.wall_ms for c in findings.chunks if c.phase == "steady" and c.arm is None]
    on_gpu = bench.pipeline.device.type == "cuda"
    middle = sorted(steady, key=lambda chunk: chunk.wall_ms)[len(steady) // 2]
    return Profile(
        chunks=[_kept(middle, on_gpu=on_gpu), *(_brief(_kept(c, on_gpu=on_gpu)) for c in others)],
        steady_wall_ms=[chunk.wall_ms for chunk in steady],
        wall_median_ms=median(unprofiled) if unprofiled else None,
        sync_sites=sites,
        sync_reason=reason,
        trace=TRACE_FILE,
        problems=problems([*steady, *others], on_gpu=on_gpu, stages=_stages(bench)),
        stages_host_ms=witness.stages_host_ms,
        stages_synchronised_ms=witness.stages_synchronised_ms,
        reads_ms=witness.reads_ms,
        reads=witness.reads,
    )


def _steady(bench: Bench, trace: Path) -> list[ProfiledChunk]:
    count = WAIT_CHUNKS + WARMUP_CHUNKS + ACTIVE_CHUNKS
    bench.make_room(count)
    plan = schedule(wait=WAIT_CHUNKS, warmup=WARMUP_CHUNKS, active=ACTIVE_CHUNKS, repeat=1)
    events_ms: list[float | None] = []
    with profile(
        activities=_activities(bench), schedule=plan, experimental_config=_sparing()
    ) as profiler:
        for _ in range(count):
            events_ms.append(_chunk(bench, "steady"))
            profiler.step()
    profiler.export_chrome_trace(str(trace))
    return _attributed(bench, trace, events_ms[-ACTIVE_CHUNKS:])


def _single(bench: Bench, kind: str, trace: Path) -> list[ProfiledChunk]:
    with profile(activities=_activities(bench), experimental_config=_sparing()) as profiler:
        event_ms = _chunk(bench, kind)
    profiler.export_chrome_trace(str(trace))
    return _attributed(bench, trace, [event_ms])


def _attributed(bench: Bench, trace: Path, events_ms: list[float | None]) -> list[ProfiledChunk]:
    chunks = profiled_chunks(trace, on_gpu=bench.pipeline.device.type == "cuda")
    return [
        msgspec.structs.replace(chunk, event_ms=event_ms)
        for chunk, event_ms in zip(chunks, events_ms, strict=True)
    ]


def _kept(chunk: ProfiledChunk, *, on_gpu: bool) -> ProfiledChunk:
    """Without the operators that say nothing on a GPU: views are most of them."""
    if not on_gpu:
        return chunk
    least_ms = LEAST_HOST_SHARE * chunk.wall_ms
    operators = [
        item
        for item in chunk.operators
        if item.device_ms > 0 or item.operator in QUOTED or (item.host_ms or 0.0) >= least_ms
    ]
    return msgspec.structs.replace(chunk, operators=operators)


def _brief(chunk: ProfiledChunk) -> ProfiledChunk:
    """Without time line, and with the gaps of all stages together."""
    rows: dict[tuple[str, str], Gap] = {}
    for gap in chunk.gaps:
        known = rows.get((gap.cause, gap.part))
        rows[gap.cause, gap.part] = msgspec.structs.replace(
            gap,
            stage=None,
            gaps=gap.gaps + (known.gaps if known else 0),
            idle_ms=gap.idle_ms + (known.idle_ms if known else 0.0),
        )
    return msgspec.structs.replace(chunk, gaps=list(rows.values()), timeline=None)


def _stages(bench: Bench) -> list[str]:
    """Of a pipeline that does not say them beforehand: those of its last timed chunk."""
    timed = [chunk for chunk in bench.findings.chunks if chunk.phase == "steady"]
    return bench.pipeline.stages or list(timed[-1].stage_ms)


def _chunk(bench: Bench, kind: str) -> float | None:
    """Runs one chunk in its range, synchronised at both ends; its CUDA-event time."""
    pipeline, on_gpu = bench.pipeline, bench.pipeline.device.type == "cuda"
    index = pipeline.chunk_index
    given = pipeline.prepare(index)
    stages = StageRanges()
    bench.clock.synchronise()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if on_gpu else []
    with record_function(f"chunk.{kind}.{index}"):
        if on_gpu:
            events[0].record()
        pipeline.run(given, stages.mark)
        stages.close()
        if on_gpu:
            events[1].record()
        bench.clock.synchronise()
    return events[0].elapsed_time(events[1]) if on_gpu else None


def _activities(bench: Bench) -> list[ProfilerActivity]:
    on_gpu = bench.pipeline.device.type == "cuda"
    return [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]


def _sparing() -> _ExperimentalConfig:
    """Less distortion and less work afterwards; a chunk's host time still says what is left."""
    known = _ExperimentalConfig.__init__.__doc__ or ""
    options: dict[str, Any] = {name: True for name in SPARING if name in known}
    return _ExperimentalConfig(**options)


def _compress(trace: Path, target: Path) -> None:
    with trace.open("rb") as source, gzip.open(target, "wb", GZIP_LEVEL) as packed:
        shutil.copyfileobj(source, packed)

"""Isolated components: each one alone on real inputs, in blocks; eager and compiled interleaved.

A sample is the mean over enough calls in a row to last MIN_SAMPLE_MS, synchronised at both ends.
A pipeline of one's own that names components has them measured beside its chunks, likewise.
With a compiled case the two VACE components are measured both ways in one process, block by block
in the order eager-compiled, compiled-eager, eager-compiled ... so that a drift hits both alike.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from harness.errors import CaseError
from harness.measure.bench import MS_DECIMALS, S_DECIMALS, Bench
from harness.measure.clock import ChunkTiming
from harness.measure.compile_log import CompileSnapshot, work_done
from harness.measure.memory import measure_memory
from harness.measure.stop import StopRule
from harness.measure.warmup import WarmChunk, Warmup, WarmupLimits
from harness.record_parts import Component, Phase
from harness.workload.components import compile_vace
from harness.workload.streaming import ComponentCall
from harness.workload.vace import VaceCalls

COMPILED_COMPONENTS = ("vace_patch_embedding", "vace_forward")
MIN_SAMPLE_MS = 5.0
MAX_CALLS_PER_SAMPLE = 100
CALIBRATION_CALLS = 3


@dataclass
class Entry:
    """One component in one variant, and its samples so far."""

    component: ComponentCall
    variant: str  # "eager" | "compiled"
    forms: VaceCalls | None = None  # what the VACE branch calls in this variant
    calls_per_sample: int = 1
    block: list[int] = field(default_factory=list)
    samples: list[ChunkTiming] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.component.name} ({self.variant})"

    @property
    def wall_ms(self) -> list[float]:
        """Wall time of one call, sample by sample."""
        return [timing.wall_ms / self.calls_per_sample for timing in self.samples]


def measure(bench: Bench) -> None:
    """Fills the bench's findings."""
    findings = bench.findings
    if bench.built_in.clip is None:
        raise CaseError("a text-only case has no isolated components")
    findings.enter("warmup")
    filling = bench.pipeline.first_steady_chunk
    findings.progress(0, filling + 1, "chunks")
    bench.run_first_chunk("warmup")
    for _ in range(filling):
        bench.run_block(1, "warmup")
    calls = bench.pipeline.components()
    before = CompileSnapshot.now()
    cold_s: dict[str, float] = {}
    entries = _entries(bench, calls, cold_s)
    findings.enter("warmup")
    _warm_up_all(bench, entries)
    try:
        _timed_blocks(bench, entries, "steady")
    finally:  # an abort keeps what there is
        findings.components = [_component(entry, bench) for entry in entries]
    if bench.case.compiled:
        findings.compile = CompileSnapshot.now().stats_since(before, cold_s)
    findings.enter("memory")
    findings.progress(0, 1)
    findings.memory = measure_memory(bench, lambda: [_run(bench, entry, 1) for entry in entries])
    findings.close()


def measure_own(bench: Bench) -> None:
    """The components that a pipeline names, in the process of its chunks and after them.

    They may leave its state behind, so it starts anew afterwards.
    """
    entries = [
        Entry(replace(component, call=torch.no_grad()(component.call)), "eager")
        for component in bench.pipeline.components()
    ]
    if not entries:
        return
    bench.findings.enter("components")
    _warm_up_all(bench, entries)
    try:
        _timed_blocks(bench, entries, "components")
    finally:  # an abort keeps what there is
        bench.findings.components = [_component(entry, bench) for entry in entries]
    bench.restart()


def _warm_up_all(bench: Bench, entries: list[Entry]) -> None:
    for number, entry in enumerate(entries):
        bench.findings.progress(number, len(entries), entry.name)
        _warm_up(bench, entry)


def _entries(bench: Bench, calls: Sequence[ComponentCall], cold_s: dict[str, float]) -> list[Entry]:
    """What is measured; a compiled case compiles here and times each first call."""
    workload = bench.built_in.workload
    eager = workload.vace.calls
    if not bench.case.compiled:
        return [Entry(call, "eager", eager) for call in calls]
    chosen = [call for call in calls if call.name in COMPILED_COMPONENTS]
    bench.findings.enter("compile")
    compile_vace(workload)
    compiled = workload.vace.calls
    entries = []
    for number, call in enumerate(chosen):
        bench.findings.progress(number, len(chosen), call.name)
        entry = Entry(call, "compiled", compiled)
        cold_s[call.name] = _run(bench, entry, 1).wall_ms / 1e3
        entries += [Entry(call, "eager", eager), entry]
    return entries


def _warm_up(bench: Bench, entry: Entry) -> None:
    """Sizes the sample and repeats it until nothing compiles and its time has settled."""
    limits = WarmupLimits(bench.case.warmup_max_chunks, bench.case.warmup_max_s)
    steady = bench.pipeline.first_steady_chunk
    warmup = Warmup(limits, work_done(), steady)
    start_s = time.monotonic()
    _run(bench, entry, 1)
    call_ms = _run(bench, entry, CALIBRATION_CALLS).wall_ms / CALIBRATION_CALLS
    entry.calls_per_sample = calls_for(call_ms)
    while (ended := warmup.verdict(time.monotonic() - start_s)) is None:
        timing = _run(bench, entry, entry.calls_per_sample)
        # Every sample of a component is a steady one: the cache was filled before.
        warmup.add(WarmChunk(steady, timing.wall_ms, work_done(), None))
    if not ended.converged:
        bench.findings.flag(f"warm-up of {entry.name} not converged ({ended.reason})")


def calls_for(call_ms: float) -> int:
    """Calls in one sample, so that it lasts long enough to be timed well."""
    return min(MAX_CALLS_PER_SAMPLE, max(1, math.ceil(MIN_SAMPLE_MS / max(call_ms, 1e-6))))


def rotated(entries: Sequence[Entry], block: int) -> list[Entry]:
    """The order of a block: every component's variants side by side, turned around each time."""
    ordered = list(entries)
    return ordered[::-1] if block % 2 else ordered


def _timed_blocks(bench: Bench, entries: list[Entry], phase: Phase) -> None:
    case, findings = bench.case, bench.findings
    findings.enter(phase)
    rule = StopRule(case.blocks, case.measure_max_s)
    start_s = time.monotonic()
    for block in range(case.blocks):
        bench.telemetry.read_counters(f"{phase}.{block}.start")
        for entry in rotated(entries, block):
            _sample_block(bench, entry, block)
        bench.telemetry.read_counters(f"{phase}.{block}.end")
        findings.progress(block + 1, case.blocks)
        reason = rule.reason([entry.wall_ms for entry in entries], time.monotonic() - start_s)
        if phase == "steady":
            findings.stop_reason = reason
        if reason is not None:
            return


def _sample_block(bench: Bench, entry: Entry, block: int) -> None:
    work = work_done()
    for _ in range(bench.case.chunks_per_block):
        entry.samples.append(_run(bench, entry, entry.calls_per_sample))
        entry.block.append(block)
    if work_done() != work:
        bench.findings.flag(f"recompiled in block {block}: {entry.name}")


def _run(bench: Bench, entry: Entry, calls: int) -> ChunkTiming:
    """One sample: `calls` calls in a row between two synchronisations."""
    clock, call = bench.clock, entry.component.call
    if entry.forms is not None:
        bench.built_in.workload.vace.calls = entry.forms
    clock.reserve(2)
    clock.synchronise()
    clock.start(0)
    for _ in range(calls):
        call()
    return clock.finish()[0]


def _component(entry: Entry, bench: Bench) -> Component:
    calls = entry.calls_per_sample
    cuda = bench.pipeline.device.type == "cuda"
    return Component(
        name=entry.component.name,
        variant="compiled" if entry.variant == "compiled" else "eager",
        calls_per_chunk=entry.component.calls_per_chunk,
        calls_per_sample=calls,
        block=entry.block,
        start_s=[round(timing.start_s, S_DECIMALS) for timing in entry.samples],
        wall_ms=[round(value, MS_DECIMALS) for value in entry.wall_ms],
        event_ms=[round((timing.event_ms or 0.0) / calls, MS_DECIMALS) for timing in entry.samples]
        if cuda
        else None,
    )

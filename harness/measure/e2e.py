"""One case end to end: first chunk, warm-up by proof, timed blocks, then the untimed passes.

The components that a pipeline of the user's own names are timed beside its chunks, after them.
"""

import time

from harness.analysis.interval import median
from harness.measure.bench import Bench
from harness.measure.busy import measure_busy
from harness.measure.ceilings import measure_ceilings
from harness.measure.compile_log import CompileSnapshot
from harness.measure.isolated import measure_own
from harness.measure.memory import measure_memory
from harness.measure.own_pipeline import described_work
from harness.measure.profile_pass import profile_pass
from harness.measure.profiler import COUNT_CHUNKS, count_pass
from harness.measure.series import mean_clock_mhz
from harness.measure.stop import StopRule
from harness.measure.warmup import WarmChunk, Warmup, WarmupLimits
from harness.measure.witness import stage_witness
from harness.record_parts import ChunkSample
from harness.workload.components import compile_vace

MEMORY_CHUNKS = 2


def measure(bench: Bench) -> None:
    """Fills the bench's findings."""
    findings = bench.findings
    before = CompileSnapshot.now()
    findings.enter("compile" if bench.case.compiled else "warmup")
    findings.progress(0, bench.case.warmup_max_chunks, "first chunk")
    if bench.case.compiled:
        compile_vace(bench.built_in.workload)
    first = bench.run_first_chunk("compile" if bench.case.compiled else "warmup")
    warm_up(bench, first)
    timed_blocks(bench)
    if bench.case.pipeline:
        measure_own(bench)
    if bench.case.compiled:
        cold_s = {"first_chunk": first.wall_ms / 1e3}
        findings.compile = CompileSnapshot.now().stats_since(before, cold_s)
    # The witness sees the process before any profiler has been attached to it.
    witness = stage_witness(bench) if bench.profile_folder is not None else None
    measure_busy(bench, None)
    bench.make_room(MEMORY_CHUNKS)
    findings.enter("memory")
    findings.progress(0, MEMORY_CHUNKS)
    findings.memory = measure_memory(bench, lambda: bench.run_block(MEMORY_CHUNKS, "memory"))
    bench.make_room(COUNT_CHUNKS)
    findings.enter("count")
    findings.progress(0, 1, "counting operators")
    findings.count_pass = count_pass(bench)
    if bench.profile_folder is not None and witness is not None:
        findings.ceilings = measure_ceilings(bench)
        findings.described = described_work(bench.pipeline)
        findings.profile = profile_pass(bench, bench.profile_folder, witness)


def warm_up(bench: Bench, first: ChunkSample) -> None:
    """Runs chunks until warm-up is proven or capped."""
    case, findings = bench.case, bench.findings
    findings.enter("warmup")
    limits = WarmupLimits(case.warmup_max_chunks, case.warmup_max_s)
    warmup = Warmup(limits, 0, bench.pipeline.first_settled_chunk)
    start_s = time.monotonic()
    warmup.add(_warm_chunk(bench, first))
    while (ended := warmup.verdict(time.monotonic() - start_s)) is None:
        if bench.pipeline.chunk_index >= bench.chunks_per_cycle:
            bench.pipeline.restart()
        sample = bench.run_block(1, "warmup")[0]
        warmup.add(_warm_chunk(bench, sample))
        findings.progress(
            sample.chunk + 1, case.warmup_max_chunks, f"chunk {sample.wall_ms:.1f} ms"
        )
    findings.convergence = ended
    if not ended.converged:
        findings.flag(f"warm-up not converged ({ended.reason})")


def timed_blocks(bench: Bench) -> None:
    """The steady window: blocks of chunks until the stop rule ends them."""
    case, findings = bench.case, bench.findings
    rule = StopRule(case.blocks, case.measure_max_s)
    start_s = time.monotonic()
    wall_ms: list[float] = []
    for block in range(case.blocks):
        bench.make_room(case.chunks_per_block)
        findings.enter("steady")
        bench.telemetry.read_counters(f"steady.{block}.start")
        samples = bench.run_block(case.chunks_per_block, "steady", block)
        bench.telemetry.read_counters(f"steady.{block}.end")
        wall_ms += [sample.wall_ms for sample in samples]
        findings.progress(block + 1, case.blocks, f"median chunk {median(wall_ms):.1f} ms")
        findings.stop_reason = rule.reason([wall_ms], time.monotonic() - start_s)
        if findings.stop_reason is not None:
            return


def _warm_chunk(bench: Bench, sample: ChunkSample) -> WarmChunk:
    end_s = sample.start_s + sample.wall_ms / 1e3
    seen = bench.telemetry.samples_between(sample.start_s, end_s)
    return WarmChunk(
        chunk=sample.chunk,
        wall_ms=sample.wall_ms,
        compile_work=bench.compile_work,
        sm_clock_mhz=mean_clock_mhz(seen),
    )

"""Several arms of one case in one process: blocks in rotated order, so that a drift hits all alike.

Most arms share pipeline, weights and warm-up, and differ only in what `Arms.active` switches; a
variant has a pipeline of its own around the same weights. What a process adds of its own (its place
in memory, the core it runs on) cancels out of their ratio.

Delays are shares of the busy time, which the profiler tells. So a case with such arms has met the
profiler before its timed blocks, and its wall times are to be held against the like only.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from harness.analysis.interval import median
from harness.arms import BASE_ARM, is_variant_arm
from harness.measure.bench import Bench
from harness.measure.busy import BUSY_CHUNKS, busy_ms, measure_busy
from harness.measure.compile_log import CompileSnapshot
from harness.measure.delay import NO_DELAY, Delay, cycles_per_ms
from harness.measure.e2e import warm_up
from harness.measure.memory import measure_memory
from harness.measure.stop import StopRule
from harness.record_parts import ArmFacts
from harness.workload.built_in import BuiltIn
from harness.workload.components import compile_vace
from harness.workload.vace import VaceCalls
from harness.workload.variants.registry import apply, twin

DELAY_PREFIX = "delay"
SETTLE_CHUNKS = 4  # of a compiled arm after its first chunk
CALIBRATION_CHUNKS = 2
MEMORY_CHUNKS = 2
VARIANT_SETTLE_CHUNKS = 12  # of a variant after its first chunk, at least
REPLAYED_CHUNKS = 2  # of those, after its CUDA graphs are captured


@dataclass
class Arms:
    """The arms of a case and how each is switched on."""

    bench: Bench
    calls: dict[str, VaceCalls]  # what the VACE branch calls in each arm
    delays: dict[str, Delay]
    variants: dict[str, BuiltIn]

    @contextmanager
    def active(self, arm: str) -> Iterator[None]:
        """The bench runs this arm inside the block."""
        bench, base = self.bench, self.bench.built_in
        if arm in self.variants:
            bench.pipeline = self.variants[arm]
            try:
                yield
            finally:
                bench.pipeline = base
            return
        base.workload.vace.calls = self.calls[arm]
        bench.delay = self.delays.get(arm, NO_DELAY)
        try:
            if arm == "no-telemetry":
                with bench.telemetry.paused():
                    yield
            else:
                yield
        finally:
            base.workload.vace.calls = self.calls[BASE_ARM]
            bench.delay = NO_DELAY


def measure(bench: Bench) -> None:
    """Fills the bench's findings."""
    findings, case = bench.findings, bench.case
    before = CompileSnapshot.now()
    # Before the first chunk: a pipeline that has run has no twin.
    base = bench.built_in
    variants = {
        arm: BuiltIn(twin(base.workload), base.clip, base.mode)
        for arm in case.arms
        if is_variant_arm(arm)
    }
    findings.enter("warmup")
    findings.progress(0, case.warmup_max_chunks, "first chunk")
    warm_up(bench, bench.run_first_chunk("warmup"))
    arms, cold_s = _prepare(bench, variants)
    _timed_blocks(bench, arms)
    if cold_s:
        findings.compile = CompileSnapshot.now().stats_since(before, cold_s)
    for turn in range(BUSY_CHUNKS):
        for arm in rotated(case.arms, turn):
            with arms.active(arm):
                measure_busy(bench, arm, 1)
    bench.make_room(MEMORY_CHUNKS)
    findings.enter("memory")
    findings.progress(0, MEMORY_CHUNKS)
    findings.memory = measure_memory(bench, lambda: bench.run_block(MEMORY_CHUNKS, "memory"))
    findings.close()


def rotated(arms: Sequence[str], block: int) -> list[str]:
    """The order of a block: each begins with another arm, and every other one runs backwards."""
    turn = block % len(arms)
    order = [*arms[turn:], *arms[:turn]]
    return order[::-1] if block % 2 else order


def _prepare(bench: Bench, variants: dict[str, BuiltIn]) -> tuple[Arms, dict[str, float]]:
    """Compiles and calibrates what the arms need; with the seconds of a cold compile."""
    case, workload = bench.case, bench.built_in.workload
    eager = workload.vace.calls
    arms = Arms(bench, dict.fromkeys(case.arms, eager), {}, variants)
    cold_s: dict[str, float] = {}
    for number, arm in enumerate(variants):
        bench.findings.enter("compile")
        bench.findings.progress(number, len(variants), f"first chunk of {arm}")
        cold_s[arm] = _start_variant(arms, arm)
    if "compiled" in case.arms:
        bench.findings.enter("compile")
        bench.findings.progress(0, 1, "first compiled chunk")
        compile_vace(workload)
        arms.calls["compiled"] = workload.vace.calls
        bench.make_room(1 + SETTLE_CHUNKS)
        cold_s["first_chunk"] = bench.run_block(1, "compile", arm="compiled")[0].wall_ms / 1e3
        bench.findings.enter("warmup")
        bench.run_block(SETTLE_CHUNKS, "warmup", arm="compiled")
        workload.vace.calls = eager
    _plant_delays(bench, arms)
    return arms, cold_s


def _start_variant(arms: Arms, arm: str) -> float:
    """Changes, compiles and warms up a variant; the seconds of its first chunk.

    Its CUDA graphs, one for each place in the cache, are captured when that place comes again.
    """
    bench, variant = arms.bench, arms.variants[arm]
    start_s = time.monotonic()
    apply(variant.workload, arm)
    prepared_s = time.monotonic() - start_s
    chunks = max(variant.first_settled_chunk + REPLAYED_CHUNKS, VARIANT_SETTLE_CHUNKS)
    with arms.active(arm):
        first_s = bench.run_block(1, "compile", arm=arm)[0].wall_ms / 1e3
        bench.findings.enter("warmup")
        memory = measure_memory(bench, lambda: bench.run_block(chunks, "warmup", arm=arm))
    bench.findings.arms[arm] = ArmFacts(
        first_chunk_s=round(first_s, 4), memory=memory, prepared_s=round(prepared_s, 4)
    )
    return first_s


def _plant_delays(bench: Bench, arms: Arms) -> None:
    """Delays are shares of this process's own busy time (on a CPU of its wall time)."""
    shares = {
        arm: int(arm.removeprefix(DELAY_PREFIX)) / 100
        for arm in bench.case.arms
        if arm.startswith(DELAY_PREFIX)
    }
    if not shares:
        return
    bench.findings.enter("warmup")
    bench.findings.progress(0, 1, "calibrating delays")
    rate = cycles_per_ms(bench.pipeline.device)
    if rate is None:
        bench.make_room(CALIBRATION_CHUNKS)
        whole_ms = median(c.wall_ms for c in bench.run_block(CALIBRATION_CHUNKS, "warmup"))
    else:
        whole_ms = busy_ms(measure_busy(bench, None, CALIBRATION_CHUNKS))
    pieces = bench.clock.most_notes_per_chunk - 1
    for arm, share in shares.items():
        arms.delays[arm] = Delay(share * whole_ms, max(pieces, 1), rate)
        bench.findings.planted_ms[arm] = round(share * whole_ms, 4)


def _timed_blocks(bench: Bench, arms: Arms) -> None:
    """Blocks in rotated order until the stop rule ends them."""
    case, findings = bench.case, bench.findings
    rule = StopRule(case.blocks, case.measure_max_s)
    start_s = time.monotonic()
    wall_ms: dict[str, list[float]] = {arm: [] for arm in case.arms}
    for block in range(case.blocks):
        for arm in rotated(case.arms, block):
            with arms.active(arm):
                bench.make_room(case.chunks_per_block)
            findings.enter("steady")
            bench.telemetry.read_counters(f"steady.{block}.{arm}.start")
            with arms.active(arm):
                samples = bench.run_block(case.chunks_per_block, "steady", block, arm)
            bench.telemetry.read_counters(f"steady.{block}.{arm}.end")
            wall_ms[arm] += [sample.wall_ms for sample in samples]
        middle_ms = median(wall_ms[BASE_ARM])
        findings.progress(block + 1, case.blocks, f"median chunk {middle_ms:.1f} ms")
        findings.stop_reason = rule.reason(list(wall_ms.values()), time.monotonic() - start_s)
        if findings.stop_reason is not None:
            return

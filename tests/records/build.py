"""Made-up runs of realistic form: the full GPU matrix, a self-check, a CPU run. Seeded.

A self-check has knobs: what differs between processes, what the host adds to wall time, what the
planted delays really are. So a test knows the truth that an analysis must find.
"""

import random
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.expansion import Settings, expand
from harness.matrices import MATRICES
from harness.matrix import Case, schedule
from harness.profiled import Profile
from harness.record_parts import BusySample, ChunkSample, ChunkState, Convergence, Phase, PhaseMark
from harness.result import SCHEMA_VERSION, Fact, Record, Result
from harness.run import Manifest
from harness.store import RunFolder
from tests.records import parts, profiles
from tests.records.parts import SM_CLOCK_MHZ, STAGES_MS

BUSY_SHARE = 0.96  # of the event time
BUSY_CHUNKS = 3
BARE_REASON = "the bare host has no torch"


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """The truth of a made-up run."""

    process_sd: float = 0.001  # of a process's own effect, on GPU work and so on wall time
    host_sd: float = 0.0  # of what the host adds to a process's wall time alone
    host_noise: float = 0.0  # largest share that a crowded run queue adds to a chunk's wall time
    delay_factor: float = 1.0  # of the planted delays: what is really in the samples
    again: float = 1.0  # the arm that should be the same
    compiled: float = 0.99
    without_telemetry: float = 0.9995
    bare: float = 0.9995
    clock_sd: float = 0.0  # of a process's SM clock; time goes up as it falls


QUIET = Knobs()


def gpu_cases() -> list[Case]:
    return expand(MATRICES["full"], Settings(preset="full", device="cuda"))


def cpu_cases() -> list[Case]:
    return expand(MATRICES["quick"], Settings(preset="tiny", device="cpu"))


def selfcheck_cases(*, device: str = "cuda", bare: bool = True) -> list[Case]:
    preset = "full" if device == "cuda" else "tiny"
    settings = Settings(preset=preset, device=device)  # type: ignore[arg-type]
    return [case for case in expand(MATRICES["selfcheck"], settings) if bare or not case.bare]


def manifest(cases: list[Case], **changes: Any) -> Manifest:
    gpu = any(case.device == "cuda" for case in cases)
    facts = {
        "git.commit": Fact(value="0123456789abcdef0123456789abcdef01234567"),
        "git.dirty": Fact(value=False),
        "image.id": Fact(value="sha256:" + "5a" * 32) if gpu else Fact(value=None, reason="local"),
        "image.base_digest": Fact(value=None, reason="the base image was loaded from an archive"),
    }
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run_id": "20261123-080000-full" if gpu else "20261123-070000-quick",
        "created_utc": "2026-11-23T08:00:00Z",
        "matrix": "full" if gpu else "quick",
        "command": ["invoke", "bench", "--matrix", "full" if gpu else "quick"],
        "runtime": "docker" if gpu else "local",
        "runtime_reason": "an engine and a usable GPU answer" if gpu else "no usable GPU answers",
        "gpu_slug": "nvidia-h200" if gpu else "cpu",
        "cases": cases,
        "expected_s": 1200.0,
        "facts": facts,
    }
    return Manifest(**(fields | changes))


def store(reports: Path, plan: Manifest, records: list[Record]) -> Path:
    """Writes a run's folder and returns its path."""
    folder = RunFolder.create(reports, plan)
    for record in records:
        folder.save(record)
    return folder.path


def results(cases: list[Case], knobs: Knobs = QUIET) -> list[Record]:
    """A result of every planned process."""
    return [result(one.case, knobs, process=one.number) for one in schedule(cases)]


def gpu_run(reports: Path) -> Path:
    """A finished run of the full matrix on a GPU, every process of it."""
    cases = gpu_cases()
    return store(reports, manifest(cases), results(cases))


def cpu_run(reports: Path) -> Path:
    """A finished run of the quick matrix on a CPU."""
    cases = cpu_cases()
    return store(reports, manifest(cases), results(cases))


def selfcheck_run(
    reports: Path,
    knobs: Knobs = QUIET,
    *,
    device: str = "cuda",
    bare: bool = True,
    **changes: Any,
) -> Path:
    """A finished self-check whose truth the knobs set."""
    cases = selfcheck_cases(device=device, bare=bare and device == "cuda")
    number = "080000" if device == "cuda" else "070000"
    run_id, created = f"20261125-{number}-selfcheck", "2026-11-25T08:00:00Z"
    plan = manifest(cases, run_id=run_id, created_utc=created, matrix="selfcheck")
    fact = Fact(value="measured") if bare else Fact(value=None, reason=BARE_REASON)
    plan = msgspec.structs.replace(plan, facts={**plan.facts, "run.bare": fact}, **changes)
    return store(reports, plan, results(cases, knobs))


def result(case: Case, knobs: Knobs = QUIET, **changes: Any) -> Result:
    """A finished process of a case; `changes` replace parts of it."""
    process = int(changes.get("process", 0))
    random_ = random.Random(f"{case.id}.{process}" if process else case.id)
    gpu, isolated = case.device == "cuda", case.kind == "isolated"
    speed = (1.0 if gpu else 0.5) * (0.99 if case.compiled else 1.0)
    host = _Host(case, knobs, process)
    phases, chunks = parts.isolated_phases(), list[ChunkSample]()
    if not isolated:
        phases, chunks = _chunks(case, random_, speed, host)
    compiled = case.compiled or "compiled" in case.arms
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "case": case,
        "case_id": case.id,
        "started_utc": "2026-11-23T08:00:10Z",
        "provenance": parts.provenance(gpu),
        "phases": phases,
        "clips": parts.clips(case),
        "vace_context_sha256": None if case.mode == "text" else "cd" * 32,
        "convergence": None
        if isolated
        else Convergence(converged=True, reason="plateau of time and clock", chunks=9),
        "chunks": chunks,
        "components": parts.components(case, random_, speed, phases) if isolated else [],
        "compile": parts.compile_stats(case) if compiled else None,
        "memory": None if isolated else parts.memory(gpu),
        "count_pass": parts.count_pass(case, gpu) if case.kind == "e2e" else None,
        "gpu": parts.gpu_state(phases, random_) if gpu else parts.no_gpu(),
        "flags": [],
        "planted_ms": {
            arm: round(host.planted(arm) * _base_ms(case, gpu), 4) for arm in _delays(case)
        },
        "busy": _busy(case, random_, speed, host) if gpu and not isolated else [],
        "host": parts.host_series(phases),
        "profile": _profile(case, chunks, gpu) if case.kind == "e2e" and not process else None,
        "ceilings": profiles.ceilings(gpu) if case.kind == "e2e" and not process else None,
    }
    return Result(**(fields | changes))


def _profile(case: Case, chunks: list[ChunkSample], gpu: bool) -> Profile:
    steady = [chunk.wall_ms for chunk in chunks if chunk.phase == "steady"]
    factor = 1.0 if gpu else 0.5
    stages_ms = {name: value * factor for name, value in _stages(case).items()}
    return profiles.profile(case, parts.OPERATORS, stages_ms, statistics.median(steady))


def change(record: Result, **changes: Any) -> Result:
    """The record with parts replaced."""
    return msgspec.structs.replace(record, **changes)


class _Host:
    """What a process draws for itself, and what each arm does to its times."""

    def __init__(self, case: Case, knobs: Knobs, process: int) -> None:
        # The first process of a case has no effect of its own outside of a self-check.
        drawn = random.Random(f"effects of {case.id} {process}")
        effects = [drawn.gauss(0, 1) for _ in range(3)]
        if process == 0 and not _delays(case):
            effects = [0.0, 0.0, 0.0]
        self.knobs = knobs
        self.clock = 1 + knobs.clock_sd * effects[2]
        self.work = (1 + knobs.process_sd * effects[0]) / self.clock
        self.work *= knobs.bare if case.bare else 1.0
        self.wall = 1 + knobs.host_sd * abs(effects[1])

    def planted(self, arm: str) -> float:
        """Share of the base that an arm plants, as the record says."""
        return int(arm.removeprefix("delay")) / 100 if arm.startswith("delay") else 0.0

    def arm_work(self, arm: str | None) -> float:
        """What an arm makes of the GPU's work."""
        known = {"again": self.knobs.again, "compiled": self.knobs.compiled}
        planted = 1 + self.planted(arm or "") * self.knobs.delay_factor
        return self.work * known.get(arm or "", planted)

    def arm_wall(self, arm: str | None) -> float:
        """What an arm makes of wall time besides."""
        telemetry = self.knobs.without_telemetry if arm == "no-telemetry" else 1.0
        return self.wall * telemetry


def _stages(case: Case) -> dict[str, float]:
    if case.mode != "text":
        return dict(STAGES_MS)
    return {
        name: value
        for name, value in STAGES_MS.items()
        if name != "encode" and not name.startswith("hints")
    }


def _base_ms(case: Case, gpu: bool) -> float:
    """Time that a delay is a share of: GPU-busy time, on a CPU wall time."""
    event_ms = sum(_stages(case).values())
    return event_ms * BUSY_SHARE if gpu else event_ms * 0.5


def _delays(case: Case) -> list[str]:
    return [arm for arm in case.arms if arm.startswith("delay")]


def _plan(case: Case) -> list[tuple[Phase, int | None, str | None]]:
    """Phase, block and arm of every chunk, in order."""
    gpu = case.device == "cuda"
    warm: Phase = "warmup"
    plan: list[tuple[Phase, int | None, str | None]] = [(warm, None, None)] * (9 if gpu else 5)
    blocks, per_block = (case.blocks, case.chunks_per_block) if gpu else (2, 2)
    for block in range(blocks):
        for arm in case.arms or (None,):
            plan += [("steady", block, arm)] * per_block
    return plan


def _chunks(
    case: Case, random_: random.Random, speed: float, host: _Host
) -> tuple[list[PhaseMark], list[ChunkSample]]:
    gpu = case.device == "cuda"
    chunks = []
    now_s = 1012.0
    steady_start_s = 0.0
    for number, (phase, block, arm) in enumerate(_plan(case)):
        if phase == "steady" and not steady_start_s:
            steady_start_s = now_s
        crowd = random_.random() if host.knobs.host_noise else 0.0
        factor = speed * random_.uniform(0.997, 1.003) * (6.0 if number == 0 else 1.0)
        factor *= host.arm_work(arm)
        stage_ms = {name: value * factor for name, value in _stages(case).items()}
        event_ms = sum(stage_ms.values()) * host.arm_wall(arm) * (1 + host.knobs.host_noise * crowd)
        wall_ms = event_ms * 1.004
        chunks.append(
            ChunkSample(
                chunk=number,
                phase=phase,
                block=block,
                start_s=now_s,
                frames=9 if number == 0 else 12,
                wall_ms=wall_ms,
                event_ms=event_ms if gpu else None,
                stage_ms=stage_ms,
                stage_host_ms={name: value * 0.97 for name, value in stage_ms.items()},
                arm=arm,
                state=_state(host, crowd, gpu),
            )
        )
        now_s += wall_ms / 1e3
    phases = [
        PhaseMark(name="load", start_s=1000.0, end_s=1012.0),
        PhaseMark(name="warmup", start_s=1012.0, end_s=steady_start_s),
        PhaseMark(name="steady", start_s=steady_start_s, end_s=now_s),
        PhaseMark(name="memory", start_s=now_s, end_s=now_s + 2.0),
        PhaseMark(name="count", start_s=now_s + 2.0, end_s=now_s + 6.0),
    ]
    return phases, chunks


def _state(host: _Host, crowd: float, gpu: bool) -> ChunkState:
    return ChunkState(
        sm_clock_mhz=SM_CLOCK_MHZ * host.clock if gpu else None,
        power_mw=565e3 if gpu else None,
        temperature_c=61.0 if gpu else None,
        run_queue=round(1 + 8 * crowd, 4),
        other_cpu_share=0.02,
        loop_us=round(450 * (1 + crowd), 3),
        operator_us=round(3.5 * (1 + crowd), 3),
    )


def _busy(case: Case, random_: random.Random, speed: float, host: _Host) -> list[BusySample]:
    base_ms = sum(_stages(case).values()) * BUSY_SHARE * speed
    return [
        BusySample(
            arm=arm,
            chunk=100 + number,
            kernels=15_122,
            busy_ms=base_ms * host.arm_work(arm) * random_.uniform(0.9995, 1.0005),
            span_ms=base_ms * 1.1,
            sm_clock_mhz=SM_CLOCK_MHZ * host.clock,
        )
        for arm in case.arms or (None,)
        for number in range(BUSY_CHUNKS)
    ]

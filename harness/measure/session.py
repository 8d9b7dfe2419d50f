"""One case in, one record out.

    load -> [compile] -> warmup -> steady -> busy -> memory -> count

The sampler runs beside it from before the GPU is touched until the end. Whatever happens, the
answer is a record: a Result, or a Failure that keeps what had been measured.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import msgspec
import torch

from harness.job import Job
from harness.matrix import Kind
from harness.measure import e2e, isolated, paired, quality
from harness.measure.bench import Bench
from harness.measure.circumstances import with_states
from harness.measure.clips import load_clip
from harness.measure.clock import StageClock
from harness.measure.clock_watch import ClockWatch
from harness.measure.compile_log import keep_all_metrics
from harness.measure.devices import Gpu, select, workload_config
from harness.measure.failures import failure
from harness.measure.findings import Findings, Report
from harness.measure.flags import GPU_SHARED, clock_flag, flag_chunks, idle_flags
from harness.measure.nvml import DEFAULT_INTERVAL_S
from harness.measure.own_pipeline import is_of_own, load_own
from harness.measure.plants import planted
from harness.measure.provenance import Context, collect
from harness.measure.telemetry import Telemetry, sampler_command
from harness.presets import WorkloadConfig
from harness.result import SCHEMA_VERSION, Fact, Record, Result
from harness.variants import BASELINE
from harness.workload.build import build_pipeline
from harness.workload.built_in import BuiltIn
from harness.workload.streaming import StreamingPipeline
from harness.workload.variants.registry import apply

SAMPLES_FILE = "samples.jsonl"
MEASURES: dict[Kind, Callable[[Bench], None]] = {
    "isolated": isolated.measure,
    "e2e": e2e.measure,
    "paired": paired.measure,
    "quality": quality.measure,
}

StartTelemetry = Callable[[Gpu | None, Path], Telemetry]


def start_sampler(gpu: Gpu | None, samples: Path) -> Telemetry:
    """The sampler process for a GPU and the host, or for the host alone."""
    command = sampler_command(gpu.uuid if gpu else None, samples, DEFAULT_INTERVAL_S)
    return Telemetry.start(command, samples, DEFAULT_INTERVAL_S)


@dataclass
class Session:
    """One case under way: how far it has come, for its record."""

    job: Job
    folder: Path
    findings: Findings
    start_telemetry: StartTelemetry = start_sampler
    config: WorkloadConfig | None = None  # None also for a pipeline of the user's own
    device: torch.device | None = None
    gpu: Gpu | None = None
    pipeline: StreamingPipeline | None = None
    telemetry: Telemetry | None = None
    clocks: ClockWatch = field(default_factory=ClockWatch)

    def run(self) -> Result:
        """Measures the case. Raises what ended it."""
        started_utc = utc_now()
        findings, case = self.findings, self.job.case
        findings.enter("load")
        findings.progress(0, 1, f"{case.id}: device")
        self.device, self.gpu = select(case, self.job.gpu)
        capability = self.gpu.capability if self.gpu else None
        self.config = None if case.pipeline else workload_config(case, capability)
        with self.start_telemetry(self.gpu, self.folder / SAMPLES_FILE) as telemetry:
            self.telemetry = telemetry
            self._measure(telemetry)
            findings.close()
        self._add_flags(telemetry)
        return self._result(started_utc, telemetry, collect(self.context()))

    def partial(self, started_utc: str) -> Result | None:
        """What had been measured when the case ended early; None if nothing was."""
        if self.telemetry is None or not (self.findings.chunks or self.findings.components):
            return None
        for text in [*self.clocks.flags(), *self.telemetry.troubles()]:
            self.findings.flag(text)
        return self._result(started_utc, self.telemetry, {})

    def context(self) -> Context:
        """What is known, for the provenance."""
        return Context(
            job=self.job,
            config=self.config,
            device=self.device,
            gpu=self.gpu,
            pipeline=self.pipeline,
            telemetry=self.telemetry,
            findings=self.findings,
        )

    def _measure(self, telemetry: Telemetry) -> None:
        job, findings = self.job, self.findings
        assert self.device is not None
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        keep_all_metrics()
        if telemetry.ready is not None:
            for flag in idle_flags(telemetry.ready.idle):
                findings.flag(flag)
        elif self.gpu is not None:
            findings.flag(f"no telemetry: {telemetry.reason}")
        if self.config is None:
            findings.progress(0, 1, "the pipeline's file")
            self.pipeline = load_own(self.folder, job.case, self.device)
        else:
            self.pipeline = self._built_in(self.config, self.device)
        bench = Bench(job.case, self.pipeline, StageClock(self.device), telemetry, findings)
        if job.case.profile and job.process == 0:
            bench.profile_folder = self.folder
        bench.check()
        findings.progress(1, 1)
        with planted(bench.built_in.workload, job.case.plant) if job.case.plant else nullcontext():
            MEASURES[job.case.kind](bench)

    def _built_in(self, config: WorkloadConfig, device: torch.device) -> BuiltIn:
        """The built-in workload with its weights, changed as the case says, and its clip."""
        job, findings = self.job, self.findings
        findings.progress(0, 1, "weights")
        weights_dir = None
        if job.case.weights == "checkpoint":
            weights_dir = Path(job.weights_dir or "")
        workload = build_pipeline(config, device=device, weights_dir=weights_dir)
        if job.case.variant != BASELINE:
            start_s = time.monotonic()
            apply(workload, job.case.variant)
            findings.prepared_s = round(time.monotonic() - start_s, 4)
        findings.progress(0, 1, "clip")
        clip, findings.clips = load_clip(job, config, device, self.folder)
        return BuiltIn(workload, clip, job.case.mode)

    def _add_flags(self, telemetry: Telemetry) -> None:
        findings = self.findings
        shared = any(flag.startswith(GPU_SHARED) for flag in findings.flags)
        for text in [*self.clocks.flags(), *telemetry.troubles()]:
            findings.flag(text)
        described = with_states(findings.chunks, telemetry, shared=shared)
        findings.chunks = flag_chunks(described, telemetry)
        for mark in findings.phases:
            if mark.name == "steady" and (flag := clock_flag(telemetry, mark.start_s, mark.end_s)):
                findings.flag(flag)
        steady = [chunk for chunk in findings.chunks if chunk.phase == "steady"]
        for name in sorted({flag for chunk in steady for flag in chunk.flags} - {GPU_SHARED}):
            count = sum(name in chunk.flags for chunk in steady)
            findings.flag(f"{name} in {count} of {len(steady)} steady chunks")

    def _result(self, started_utc: str, telemetry: Telemetry, facts: dict[str, Fact]) -> Result:
        findings, case = self.findings, self.job.case
        return Result(
            schema_version=SCHEMA_VERSION,
            case=case,
            case_id=case.id,
            started_utc=started_utc,
            provenance=facts,
            phases=findings.phases,
            clips=findings.clips,
            vace_context_sha256=findings.vace_context_sha256,
            convergence=findings.convergence,
            chunks=findings.chunks,
            components=findings.components,
            compile=findings.compile,
            memory=findings.memory,
            count_pass=findings.count_pass,
            gpu=telemetry.state(),
            flags=findings.flags,
            planted_ms=findings.planted_ms,
            busy=findings.busy,
            host=telemetry.host(),
            process=self.job.process,
            profile=findings.profile,
            ceilings=findings.ceilings,
            arms=findings.arms,
            output_errors=findings.output_errors,
            frames=findings.frames,
            prepared_s=findings.prepared_s,
            described=findings.described,
        )


def run_job(
    job: Job, folder: Path, report: Report, start_telemetry: StartTelemetry = start_sampler
) -> Record:
    """Measures one case; its failure is a record as well."""
    started_utc = utc_now()
    session = Session(job, folder, Findings(report), start_telemetry)
    try:
        return session.run()
    except (Exception, SystemExit) as error:  # a case that fails, by a bug too, must leave a record
        if isinstance(error, SystemExit) and not is_of_own(error):
            raise
        session.findings.close()
        facts = _facts_of_failed(session)
        failed = failure(job, error, started_utc=started_utc, provenance=facts)
        return msgspec.structs.replace(failed, partial=session.partial(started_utc))


def _facts_of_failed(session: Session) -> dict[str, Fact]:
    """The provenance, as far as it can still be had: after some CUDA errors no call succeeds."""
    try:
        return collect(session.context())
    except Exception as error:  # noqa: BLE001 the failure itself must be told
        return {"provenance": Fact(value=None, reason=f"cannot be collected ({error})")}


def utc_now() -> str:
    """ISO 8601 to the second."""
    return datetime.now(timezone.utc).replace(microsecond=0).isoformat()

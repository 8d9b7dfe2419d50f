"""Small valid values of every record type, for tests that need one and do not care what it says."""

from typing import Any

from harness.matrix import Case
from harness.record_parts import (
    ChunkSample,
    ClipUse,
    CounterReading,
    GpuSeries,
    GpuState,
    PhaseMark,
)
from harness.result import SCHEMA_VERSION, Fact, Failure, Result
from harness.run import Manifest


def case(**changes: Any) -> Case:
    fields: dict[str, Any] = {
        "kind": "e2e",
        "mode": "inpainting",
        "preset": "tiny",
        "width_px": 64,
        "height_px": 64,
        "device": "cpu",
    }
    return Case(**(fields | changes))


def result(of: Case | None = None, **changes: Any) -> Result:
    of = of or case()
    chunk = ChunkSample(
        chunk=4,
        phase="steady",
        block=0,
        start_s=2.5,
        frames=12,
        wall_ms=120.5,
        event_ms=None,
        stage_ms={"denoise.0": 100.0, "decode": 20.5},
        stage_host_ms={"denoise.0": 100.0, "decode": 20.5},
    )
    clip = ClipUse(
        role="video",
        source="generated",
        name="moving scene",
        sha256="ab" * 32,
        frames_in_file=None,
        frames_used=96,
        looped=False,
    )
    gpu = GpuState(
        source="none",
        reason="the case ran on a CPU",
        interval_s=None,
        sampler_version=None,
        series=GpuSeries(t_s=[1.0, 1.1], fields={"power_mw": [70_000.0, None]}),
        counters=[CounterReading(t_s=1.0, label="before block 0", values={"energy_mj": None})],
        unsupported={"fan_percent": "not supported"},
    )
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "case": of,
        "case_id": of.id,
        "started_utc": "2026-11-23T08:00:00Z",
        "provenance": {"torch": Fact(value="2.13.0"), "gpu": Fact(value=None, reason="no GPU")},
        "phases": [PhaseMark(name="steady", start_s=2.0, end_s=3.0)],
        "clips": [clip],
        "vace_context_sha256": "cd" * 32,
        "convergence": None,
        "chunks": [chunk],
        "components": [],
        "compile": None,
        "memory": None,
        "count_pass": None,
        "gpu": gpu,
        "flags": [],
    }
    return Result(**(fields | changes))


def failure(of: Case | None = None, **changes: Any) -> Failure:
    of = of or case()
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "case": of,
        "case_id": of.id,
        "started_utc": "2026-11-23T08:00:00Z",
        "category": "killed",
        "message": "the measured process was killed",
        "detail": "",
        "exit_code": 137,
        "provenance": {},
    }
    return Failure(**(fields | changes))


def manifest(*cases: Case, **changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run_id": "20261123-080000-quick",
        "created_utc": "2026-11-23T08:00:00Z",
        "matrix": "quick",
        "command": ["invoke", "bench"],
        "runtime": "local",
        "runtime_reason": "no engine answers",
        "gpu_slug": "cpu",
        "cases": list(cases or [case()]),
        "expected_s": 60.0,
        "facts": {},
    }
    return Manifest(**(fields | changes))

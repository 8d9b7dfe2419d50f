"""Made-up runs to compare: a few processes a case, as fast and on such a GPU as a test wants."""

import random
from pathlib import Path
from typing import Any

import msgspec

from harness.matrix import Case
from harness.record_parts import BusySample, ChunkState
from harness.result import Fact, Result
from harness.run import Manifest
from tests.records import build

EAGER, SDPA, PAIRED = (
    "e2e-inpainting-eager",
    "e2e-inpainting-eager-sdpa",
    "paired-inpainting-compiled",
)
CLOCK_MHZ = 1980.0
BUSY_SHARE = 0.9
NOISE = 0.001  # of a process's median


def run(
    reports: Path,
    name: str,
    *,
    times: float = 1.0,
    of_case: dict[str, float] | None = None,
    busy_times: float | None = None,
    clock_mhz: float | None = CLOCK_MHZ,
    processes: int = 3,
    busy: bool = True,
    only: tuple[str, ...] = (EAGER, PAIRED),
    case: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    **plan: Any,
) -> Path:
    """A stored run whose times are multiplied by `times`, of a case by `of_case` besides.

    `busy_times` is for GPU-busy time alone; `case` and `facts` replace fields and provenance.
    """
    chosen = [
        msgspec.structs.replace(one, processes=processes, **(case or {}))
        for one in build.gpu_cases()
        if one.id in only
    ]
    records = []
    for one in chosen:
        factor = times * (of_case or {}).get(one.id, 1.0)
        for number in range(processes):
            noise = 1 + random.Random(f"{name} {one.id} {number}").uniform(-NOISE, NOISE)
            made = process(one, number, factor * noise, clock_mhz, facts or {})
            sped = factor if busy_times is None else busy_times
            if busy:
                made = with_busy(made, sped * noise, clock_mhz)
            records.append(made)
    return build.store(reports, manifest(chosen, name, **plan), list(records))


def manifest(cases: list[Case], name: str, **plan: Any) -> Manifest:
    return build.manifest(cases, run_id=name, **plan)


def process(
    case: Case, number: int, factor: float, clock_mhz: float | None, facts: dict[str, Any]
) -> Result:
    """One process: three steady chunks of each arm."""
    plain = msgspec.structs.replace(case, kind="e2e", arms=())
    steady = [chunk for chunk in build.result(plain).chunks if chunk.phase == "steady"][:3]
    state = None if clock_mhz is None else ChunkState(sm_clock_mhz=clock_mhz)
    chunks = [
        msgspec.structs.replace(chunk, wall_ms=chunk.wall_ms * factor, state=state, arm=arm)
        for arm in case.arms or (None,)
        for chunk in steady
    ]
    found = build.result(case)
    provenance = found.provenance | {name: Fact(value=value) for name, value in facts.items()}
    return msgspec.structs.replace(
        found, process=number, chunks=chunks, busy=[], provenance=provenance
    )


def with_busy(result: Result, factor: float, clock_mhz: float | None) -> Result:
    """With samples of GPU-busy time, which does not follow wall time."""
    busy = [
        BusySample(
            arm=arm,
            chunk=number,
            kernels=12_000,
            busy_ms=500.0 * factor * BUSY_SHARE,
            span_ms=500.0 * factor,
            sm_clock_mhz=clock_mhz,
        )
        for arm in result.case.arms or (None,)
        for number in range(3)
    ]
    return msgspec.structs.replace(result, busy=busy)

"""A made-up run of the matrix `fixes`: its truth is a table of what each fix makes of the chunk."""

import random
from pathlib import Path
from typing import Any

import msgspec

from harness.expansion import Settings, expand
from harness.matrices import MATRICES
from harness.matrix import Case, schedule
from harness.record_parts import ArmFacts, BusySample, ChunkSample, Event, Memory, OutputError
from harness.result import Result
from harness.variants import STACKS, resolve
from tests.records import build, parts

BASE_MS = (550.0, 435.0)  # wall, GPU-busy
# What each fix leaves of wall and GPU-busy time, alone or with others.
LEFT: dict[str, tuple[float, float]] = {
    "lora-merged": (0.90, 0.93),
    "host-index": (0.95, 1.0),
    "batched-update": (0.999, 1.0),
    "ring-cache": (0.80, 0.82),
    "rope-real": (0.93, 0.92),
    "once": (0.97, 0.98),
    "attention-cudnn": (0.92, 0.90),
    "attention-flash": (1.10, 1.12),
    "tae-compiled": (0.97, 0.97),
    "compiled-blocks": (0.80, 0.86),
    "graph-chunk": (0.72, 1.0),
}
BF16 = (0.004, 0.003, 0.005, 0.006)  # the yardstick's errors of flow, x0, keys, values
SAGE = 1.6  # the baseline's own kernel against the yardstick
WRONG = {"wrong-ring-slot": 30.0, "wrong-no-lora": 40.0, "wrong-stale-text": 12.0}
CHUNKS = 18
GPU_BYTES = 9 * 2**30
START_S, SAMPLE_S = 2000.0, 0.1


def cases(**settings: Any) -> list[Case]:
    return expand(MATRICES["fixes"], Settings(preset="full", device="cuda", **settings))


def run(
    reports: Path,
    *,
    times: dict[str, tuple[float, float]] | None = None,
    worse: dict[str, float] | None = None,
    processes: int = 3,
    only: str | None = None,
    run_id: str = "20261126-080000-fixes",
) -> Path:
    """A stored run; `times` replaces rows of LEFT, `worse` multiplies an arm's errors."""
    planned = [
        msgspec.structs.replace(case, processes=processes) if case.kind == "paired" else case
        for case in cases(only=only)
    ]
    records = [
        quality(one.case, worse or {})
        if one.case.kind == "quality"
        else paired(one.case, one.number, {**LEFT, **(times or {})})
        for one in schedule(planned)
    ]
    plan = build.manifest(planned, run_id=run_id, matrix="fixes")
    return build.store(reports, plan, list(records))


def arm_ms(arm: str, left: dict[str, tuple[float, float]]) -> tuple[float, float]:
    """The truth: wall and GPU-busy time of an arm."""
    wall, busy = BASE_MS
    for fix in resolve(arm) if arm != "base" else ():
        share = left.get(fix.name, (1.0, 1.0))
        wall, busy = wall * share[0], busy * share[1]
    return max(wall, busy * 1.01), busy


def paired(case: Case, number: int, left: dict[str, tuple[float, float]]) -> Result:
    """One process: blocks in order, the power of each arm its own."""
    random_ = random.Random(f"{case.id} {number}")
    slow = 1 + random_.uniform(-0.01, 0.01)
    found = build.result(case, process=number)
    chunks, now_s = list[ChunkSample](), START_S
    like = next(chunk for chunk in found.chunks if chunk.phase == "steady")
    for block in range(case.blocks):
        for arm in case.arms:
            for _ in range(case.chunks_per_block):
                wall = arm_ms(arm, left)[0] * slow * random_.uniform(0.999, 1.001)
                changes = {"block": block, "arm": arm, "start_s": now_s, "wall_ms": wall}
                chunks.append(msgspec.structs.replace(like, frames=12, **changes))
                now_s += wall / 1e3
    load = [chunk for chunk in found.chunks if chunk.phase == "warmup"]
    busy = [
        BusySample(arm, n, 9000, arm_ms(arm, left)[1] * random_.uniform(0.9995, 1.0005), 400, 1980)
        for arm in case.arms
        for n in range(3)
    ]
    samples = int((now_s - START_S) / SAMPLE_S)
    series = msgspec.structs.replace(
        found.gpu.series,
        t_s=[START_S + SAMPLE_S * n for n in range(samples)],
        fields={"power_mw": [500e3] * samples},
    )
    memory = Memory(GPU_BYTES, GPU_BYTES + 2**30, GPU_BYTES + 2**31)
    return msgspec.structs.replace(
        found,
        chunks=[*load, *chunks],
        busy=busy,
        memory=memory,
        gpu=msgspec.structs.replace(found.gpu, series=series),
        arms={arm: ArmFacts(first_chunk_s=30.0, memory=memory) for arm in case.arms[1:]},
    )


def quality(case: Case, worse: dict[str, float]) -> Result:
    """A proof: every arm a little off the yardstick, wrong ones far off."""
    random_ = random.Random(case.id)
    errors = []
    for chunk in range(CHUNKS):
        event: Event = "first" if chunk == 0 else "filling" if chunk < 4 else "steady"
        for arm in dict.fromkeys((*case.arms, "attention-sdpa")):
            factor = _factor(arm, worse) * (1 + (random_.uniform(-0.02, 0.02)))
            if arm == "attention-sdpa":
                factor = 1.0
            flow, x0, keys, values = (error * factor for error in BF16)
            errors.append(
                OutputError(arm, chunk, event, flow, x0, keys, values, 1 - 1e-5 * factor, 48.0)
            )
    plain = build.result(msgspec.structs.replace(case, kind="isolated", arms=(), label=""))
    return msgspec.structs.replace(
        plain,
        case=case,
        case_id=case.id,
        components=[],
        phases=parts.isolated_phases(),
        output_errors=errors,
    )


def _factor(arm: str, worse: dict[str, float]) -> float:
    if arm in WRONG:
        return WRONG[arm]
    kept = arm == "base" or all(fix.claim != "backend" for fix in resolve(arm))
    return (SAGE if kept else 1.0) * worse.get(arm, 1.0)


STACK_ARMS = tuple(STACKS)

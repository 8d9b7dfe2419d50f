"""A made-up run of the matrix `limit`: the fixes' truth of `made_fixes`, and that of growth."""

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.analysis.growth import predicted_ms
from harness.expansion import Settings, expand
from harness.matrices import MATRICES
from harness.matrix import Case, schedule
from harness.record_parts import ChunkSample, FrameSample, OutputError
from harness.result import Fact, Record, Result
from harness.variants import BASELINE, is_bounded, resolve
from tests.records import build, stacks
from tests.report import made_fixes

WAN_FACTOR = 1.25  # of a chunk with the WanVAE over one with the TAE
WAN_BUSY_FACTOR = 1.4  # of its GPU-busy time
LONG_WINDOW = 1.1  # of a chunk's time over what the cost model says, at a window of 24
PREPARED_S, COMPILE_S, CAPTURE_S = 2.0, 40.0, 0.6
GPU_BYTES = 144 * 2**30
SIDE_PX = 16  # of a made-up frame
FP8_ERROR = 0.05  # relative; its cosine is about 1 - error^2 / 2


def cases(name: str = "limit") -> list[Case]:
    return expand(MATRICES[name], Settings(preset="full", device="cuda"))


def run(
    reports: Path,
    *,
    name: str = "limit",
    processes: int = 3,
    fp8_error: float = FP8_ERROR,
    drift: float = 0.0,
    left: dict[str, tuple[float, float]] | None = None,
    capped: tuple[str | None, ...] = (),
) -> Path:
    """A stored run; `drift` is what FP8's error grows by over a stretch, as a share.

    The power cap held the arms of `capped`; None is that of cases without arms.
    """
    planned = [
        msgspec.structs.replace(case, processes=processes) if case.kind == "paired" else case
        for case in cases(name)
    ]
    truth = {**made_fixes.LEFT, **(left or {})}
    records: list[Record] = []
    for one in schedule(planned):
        if one.case.kind == "quality":
            records.append(quality(one.case, fp8_error, drift))
        elif one.case.kind == "paired":
            records.append(paired(one.case, one.number, truth))
        else:
            records.append(end_to_end(one.case, truth))
    plan = build.manifest(planned, run_id=f"20261128-080000-{name}", matrix=name)
    return build.store(reports, plan, [_capped(record, capped) for record in records])


def _capped(record: Record, arms: tuple[str | None, ...]) -> Record:
    if not isinstance(record, Result) or not arms:
        return record
    chunks = [
        msgspec.structs.replace(chunk, flags=["power capped"])
        if chunk.phase == "steady" and chunk.arm in arms
        else chunk
        for chunk in record.chunks
    ]
    return msgspec.structs.replace(record, chunks=chunks)


def paired(case: Case, number: int, left: dict[str, tuple[float, float]]) -> Result:
    """As in `made_fixes`, slower with the WanVAE."""
    made = made_fixes.paired(case, number, left)
    if case.vae == "tae":
        return made
    chunks = scaled(made.chunks, WAN_FACTOR)
    busy = [msgspec.structs.replace(b, busy_ms=b.busy_ms * WAN_BUSY_FACTOR) for b in made.busy]
    return msgspec.structs.replace(made, chunks=chunks, busy=busy)


def end_to_end(case: Case, left: dict[str, tuple[float, float]]) -> Result:
    """What the cost model says, by wall time more with a long window; a variant starts cold.

    Those that are profiled are the stacks without their graph.
    """
    made = stacks.result(case) if case.profile else build.result(case)
    facts = {**made.provenance, "gpu.memory_total_bytes": Fact(value=GPU_BYTES)}
    if case.profile:
        return msgspec.structs.replace(made, provenance=facts)
    own = msgspec.structs.replace(case, width_px=512, height_px=512, steps=4, window=12)
    share = busy_share = 1.0
    for fix in resolve(case.variant):
        leaves = left.get(fix.name, (1.0, 1.0))
        share, busy_share = share * leaves[0], busy_share * leaves[1]
    anchor = msgspec.structs.replace(made, case=own)
    growth = predicted_ms(anchor, case) / predicted_ms(anchor, own)
    factor = share * growth * (LONG_WINDOW if case.window == 24 else 1.0)
    chunks = scaled(made.chunks, factor)
    busy_factor = busy_share * growth
    busy = [msgspec.structs.replace(b, busy_ms=b.busy_ms * busy_factor) for b in made.busy]
    if case.variant != BASELINE:
        chunks[0] = _cold(chunks[0], COMPILE_S, compiled=True)
        first = case.first_steady_chunk
        chunks[first] = _cold(chunks[first], CAPTURE_S, compiled=False)
    prepared = None if case.variant == BASELINE else PREPARED_S
    return msgspec.structs.replace(
        made, chunks=chunks, busy=busy, profile=None, prepared_s=prepared, provenance=facts
    )


def scaled(chunks: Sequence[ChunkSample], factor: float) -> list[ChunkSample]:
    """Each takes that many times as long, and so does each block from where it began."""
    begun: dict[tuple[str, int | None, str | None], float] = {}
    for one in chunks:
        begun.setdefault((one.phase, one.block, one.arm), one.start_s)
    scaled = []
    for one in chunks:
        start_s = begun[one.phase, one.block, one.arm]
        later_s = start_s + factor * (one.start_s - start_s)
        scaled.append(msgspec.structs.replace(one, wall_ms=one.wall_ms * factor, start_s=later_s))
    return scaled


def _cold(chunk: ChunkSample, seconds: float, *, compiled: bool) -> ChunkSample:
    assert chunk.state is not None
    state = msgspec.structs.replace(chunk.state, compile_work=int(compiled))
    return msgspec.structs.replace(chunk, wall_ms=chunk.wall_ms + 1e3 * seconds, state=state)


def quality(case: Case, fp8_error: float, drift: float) -> Result:
    """Errors of bf16 for all but what allows more, which may grow over the stretch."""
    plain = made_fixes.quality(msgspec.structs.replace(case, arms=("base", "lossless")), {})
    total, errors = case.stretch + 6, list[OutputError]()
    for chunk in range(total):
        for arm in dict.fromkeys((*case.arms, "attention-sdpa")):
            bounded = arm not in ("base",) and is_bounded(arm)
            error = fp8_error * (1 + drift * chunk / total) if bounded else 0.004
            cosine = math.sqrt(max(1 - error**2, 0.0))
            event = "first" if not chunk else "filling" if chunk < 4 else "steady"
            errors.append(
                OutputError(
                    arm, chunk, event, *[error] * 4, cosine, 40.0, *[cosine] * 4, 1 - error / 10
                )  # type: ignore[arg-type]
            )
    return msgspec.structs.replace(
        plain, case=case, case_id=case.id, output_errors=errors, frames=frames(case, errors)
    )


def frames(case: Case, errors: list[OutputError]) -> list[FrameSample]:
    """Of the stretch's last chunk: smooth pictures, brighter by an arm's error."""
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX] / SIDE_PX
    smooth = 0.2 + 0.5 * np.stack([x, y, x * y], axis=-1)
    at = {"chunk": case.stretch - 1, "frame": 11, "width_px": SIDE_PX, "height_px": SIDE_PX}
    found = [FrameSample(arm=None, rgb=picture(smooth).tobytes().hex(), difference=None, **at)]
    for error in errors:
        if error.chunk == at["chunk"]:
            off = error.flow * x
            added = picture(smooth + off[..., None]) - picture(smooth)
            found.append(
                FrameSample(
                    arm=error.arm,
                    rgb=added.tobytes().hex(),
                    difference=picture(x / x.max()).tobytes().hex(),
                    largest_difference=float(off.max()),
                    **at,
                )
            )
    return found


def picture(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Bytes of values in [0, 1]."""
    scaled: NDArray[np.uint8] = np.round(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return scaled

"""Made-up profiled results and ways to change them: one cell, one count, one field at a time."""

from collections.abc import Callable
from typing import Any

import msgspec

from harness.analysis.claims import RootCause, Words
from harness.matrix import Case
from harness.profiled import ProfiledChunk
from harness.record_parts import ChunkState
from harness.result import Result
from tests.records import build

CASES: dict[str, Case] = {case.id: case for case in build.gpu_cases()}
EAGER, SDPA, COMPILED = (
    "e2e-inpainting-eager",
    "e2e-inpainting-eager-sdpa",
    "e2e-inpainting-compiled",
)


def eager() -> Result:
    return build.result(CASES[EAGER])


def words(parts: Words) -> str:
    return "".join(part if isinstance(part, str) else f"<{part.value:.4g}>" for part in parts)


def ids(causes: tuple[RootCause, ...]) -> list[str]:
    return [cause.id for cause in causes]


def steady(result: Result) -> ProfiledChunk:
    assert result.profile is not None
    return next(chunk for chunk in result.profile.chunks if chunk.kind == "steady")


def with_chunk(result: Result, **changes: Any) -> Result:
    """Fields of the steady profiled chunk replaced."""
    assert result.profile is not None
    chunks = [
        msgspec.structs.replace(chunk, **changes) if chunk.kind == "steady" else chunk
        for chunk in result.profile.chunks
    ]
    return build.change(result, profile=msgspec.structs.replace(result.profile, chunks=chunks))


def with_wall(result: Result, wall_ms: float) -> Result:
    profile = msgspec.structs.replace(result.profile, wall_median_ms=wall_ms)
    return build.change(result, profile=profile)


def without_parts(result: Result, gone: Callable[[str], bool]) -> Result:
    """Parts that fit take no time, launch nothing and are in no gap."""
    chunk = steady(result)
    parts = [part for part in chunk.parts if not gone(part.part)]
    return with_chunk(
        result,
        parts=parts,
        operators=[item for item in chunk.operators if not gone(item.part)],
        gaps=[gap for gap in chunk.gaps if not gone(gap.part)],
        busy_ms=sum(part.device_ms for part in parts),
    )


def plain(result: Result) -> Result:
    """Wall time that is the profiled busy and idle time, so that idle time is not scaled."""
    chunk = steady(result)
    return with_wall(result, chunk.busy_ms + sum(gap.idle_ms for gap in chunk.gaps))


def with_state(result: Result, **changes: Any) -> Result:
    """Fields of every chunk's state replaced."""
    chunks = [
        msgspec.structs.replace(
            chunk, state=msgspec.structs.replace(chunk.state or ChunkState(), **changes)
        )
        for chunk in result.chunks
    ]
    return build.change(result, chunks=chunks)

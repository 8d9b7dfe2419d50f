"""What a variant costs before it is fast, and after how many chunks that is paid back.

A cold start is the time to change the pipeline, and what its first chunks take beyond a steady one:
those in which something was compiled, and steady ones in which nothing was, of which a CUDA graph's
capture is the most. The baseline has one too (its own compiled attention, libraries that load), and
only what is more than that has to be paid back.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from harness.analysis.chunks import chunk_timing
from harness.analysis.growth import is_own_point
from harness.result import Result
from harness.variants import BASELINE


@dataclass(frozen=True)
class ColdStart:
    """One variant in a process of its own, with nothing compiled before."""

    result: Result
    steady_ms: float
    prepared_s: float | None  # None in records that do not say, and for the baseline
    compile_s: float
    capture_s: float
    chunks_to_pay: int | None  # None: it never pays, or is the baseline

    @property
    def whole_s(self) -> float:
        """All of it."""
        return (self.prepared_s or 0.0) + self.compile_s + self.capture_s


def cold_starts(results: Iterable[Result]) -> list[ColdStart]:
    """The baseline first, then every variant beside it; empty without a baseline or a variant."""
    cold = [one for one in results if _is_cold(one)]
    base = next((one for one in cold if one.case.variant == BASELINE), None)
    own = _start(base, None) if base is not None else None
    if base is None or own is None:
        return []
    like = msgspec.structs.replace(base.case, profile=False)
    others = (_start(one, own) for one in cold if one is not base and _as_base(one, base) == like)
    found = [one for one in others if one is not None]
    return [own, *found] if found else []


def _is_cold(result: Result) -> bool:
    case = result.case
    plain = (case.vae, case.attention, case.plant, case.compiled) == ("tae", "default", "", False)
    return case.kind == "e2e" and plain and not case.warm_cache and is_own_point(case)


def _as_base(result: Result, base: Result) -> object:
    """The case with the baseline's variant and effort."""
    names = ("variant", "blocks", "chunks_per_block", "processes")
    effort = {name: getattr(base.case, name) for name in names}
    return msgspec.structs.replace(result.case, profile=False, **effort)


def _start(result: Result, base: ColdStart | None) -> ColdStart | None:
    """None without steady chunks."""
    timing = chunk_timing(result)
    if timing is None:
        return None
    steady_ms = timing.wall_ms.median
    compile_ms = capture_ms = 0.0
    for chunk in result.chunks:
        if chunk.phase not in ("compile", "warmup"):
            continue
        if chunk.state is not None and chunk.state.compile_work:
            compile_ms += chunk.wall_ms - steady_ms
        elif chunk.chunk >= result.case.first_steady_chunk:
            capture_ms += chunk.wall_ms - steady_ms
    start = ColdStart(
        result, steady_ms, result.prepared_s, compile_ms / 1e3, capture_ms / 1e3, None
    )
    if base is None:
        return start
    return replace(start, chunks_to_pay=_chunks_to_pay(start, base))


def _chunks_to_pay(start: ColdStart, base: ColdStart) -> int | None:
    saved_s = (base.steady_ms - start.steady_ms) / 1e3
    if saved_s <= 0:
        return None
    return math.ceil(max(start.whole_s - base.whole_s, 0.0) / saved_s)

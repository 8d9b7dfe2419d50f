"""Root causes of a chunk's time: every rule over a profiled result, ranked by what a fix can gain.

A rule says nothing without evidence. What it finds below `LEAST_CEILING` is kept apart: that it is
not worth a fix is an answer too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.claims import LEAST_CEILING, RootCause, Subject
from harness.analysis.root_causes_copies import cache_copies, casts, padding, stacking, wide_rope
from harness.analysis.root_causes_host import LIMITS as HOST_LIMITS
from harness.analysis.root_causes_host import contention, host_waits, launch_overhead
from harness.analysis.root_causes_state import LIMITS as STATE_LIMITS
from harness.analysis.root_causes_state import compiling_again, memory_pressure, throttling
from harness.analysis.root_causes_work import (
    attention_backend,
    text_again,
    unmerged_lora,
    vace_keys_again,
)

RULES: tuple[Callable[[Subject], RootCause | None], ...] = (
    launch_overhead,
    host_waits,
    cache_copies,
    casts,
    unmerged_lora,
    wide_rope,
    text_again,
    vace_keys_again,
    padding,
    stacking,
    attention_backend,
    compiling_again,
    throttling,
    contention,
    memory_pressure,
)
LIMITS: dict[str, float] = {"LEAST_CEILING": LEAST_CEILING, **HOST_LIMITS, **STATE_LIMITS}


@dataclass(frozen=True)
class Causes:
    """Claims of one profiled case, by ceiling on wall time: worth a fix, and too small for one."""

    worth_it: tuple[RootCause, ...]
    too_small: tuple[RootCause, ...]


def root_causes(subject: Subject) -> Causes:
    """All rules over one subject; claims without a ceiling stand last."""
    found = [cause for rule in RULES if (cause := rule(subject)) is not None]
    ranked = ranked_by_ceiling(found)
    return Causes(
        tuple(cause for cause in ranked if cause.worth_it),
        tuple(cause for cause in ranked if not cause.worth_it),
    )


def ranked_by_ceiling(causes: Sequence[RootCause]) -> list[RootCause]:
    """By the most that wall time can gain, then GPU-busy time; what is refuted comes last."""

    def key(cause: RootCause) -> tuple[bool, bool, float, float]:
        ceiling, refuted = cause.ceiling, cause.verdict == "refuted"
        if ceiling is None:
            return (refuted, True, 0.0, 0.0)
        return (refuted, False, -ceiling.wall_ms, -ceiling.busy_ms)

    return sorted(causes, key=key)

"""Root causes of a chunk's time: every rule over a profiled result, ranked by what a fix can gain.

A rule says nothing without evidence. What it finds below `LEAST_CEILING` is kept apart: that it is
not worth a fix is an answer too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.analysis.claims import LEAST_CEILING, RootCause, Subject
from harness.analysis.profile import compiled_in_regions
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
# Those that know no part of the built-in workload; of them alone a pipeline of the user's own is
# asked, since its parts may bear the same names, and a variant whose blocks are compiled in
# regions, since there the parts are not told apart.
GENERAL: tuple[Callable[[Subject], RootCause | None], ...] = (
    launch_overhead,
    host_waits,
    casts,
    compiling_again,
    throttling,
    contention,
    memory_pressure,
)
# What they advise there, by cause: fix and experiment.
OWN_ADVICE: dict[str, tuple[str, str]] = {
    "launch": (
        "capture what repeats in CUDA graphs, or launch fewer and larger kernels",
        "the same pipeline with captured graphs: GPU-busy time must stay the same and wall time "
        "come down to it",
    ),
    "sync": (
        "keep on the host what it has to know, in place of reading it from the device",
        "the same pipeline without these reads",
    ),
    "casts": (
        "fused kernels that cast in registers",
        "the same pipeline without these casts, its output held against this one's",
    ),
    "memory": (
        "a smaller size, or less state that is kept",
        "the same pipeline with expandable segments, or at a smaller size",
    ),
}
LIMITS: dict[str, float] = {"LEAST_CEILING": LEAST_CEILING, **HOST_LIMITS, **STATE_LIMITS}


@dataclass(frozen=True)
class Causes:
    """Claims of one profiled case, by ceiling on wall time: worth a fix, and too small for one."""

    worth_it: tuple[RootCause, ...]
    too_small: tuple[RootCause, ...]


def root_causes(subject: Subject) -> Causes:
    """All rules over one subject; claims without a ceiling stand last."""
    case = subject.result.case
    general = bool(case.pipeline) or compiled_in_regions(case)
    rules = GENERAL if general else RULES
    found = [cause for rule in rules if (cause := rule(subject)) is not None]
    found = [_own_advice(cause) for cause in found] if general else found
    ranked = ranked_by_ceiling(found)
    return Causes(
        tuple(cause for cause in ranked if cause.worth_it),
        tuple(cause for cause in ranked if not cause.worth_it),
    )


def _own_advice(cause: RootCause) -> RootCause:
    fix, experiment = OWN_ADVICE.get(cause.id, (cause.fix, cause.experiment))
    return replace(cause, fix=fix, experiment=experiment)


def ranked_by_ceiling(causes: Sequence[RootCause]) -> list[RootCause]:
    """By the most that wall time can gain, then GPU-busy time; what is refuted comes last."""

    def key(cause: RootCause) -> tuple[bool, bool, float, float]:
        ceiling, refuted = cause.ceiling, cause.verdict == "refuted"
        if ceiling is None:
            return (refuted, True, 0.0, 0.0)
        return (refuted, False, -ceiling.wall_ms, -ceiling.busy_ms)

    return sorted(causes, key=key)

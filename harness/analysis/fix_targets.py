"""The targets of the lossless stack: their limits, and whether a run meets them."""

from dataclasses import dataclass
from typing import Literal

from harness.analysis.fixes import Fixes, StackStep
from harness.analysis.pooled import proves_others
from harness.matrix import Case
from harness.presets import PRESETS

FIX_TARGETS: dict[str, float] = {
    "LOSSLESS_MS_MUST": 200.0,
    "LOSSLESS_MS_AIM": 165.0,
    "LOSSLESS_SPEEDUP_MUST": 2.4,
    "LOSSLESS_IDLE_MUST": 0.05,
    "LOSSLESS_IDLE_AIM": 0.02,
}
Met = Literal["met", "missed", "not measured", "too few processes", "output not proven"]


@dataclass(frozen=True)
class Target:
    """A target of the stack: what is measured, its limits by name, and how it came out."""

    what: str
    unit: Literal["ms", "times", "share"]
    must: str
    aim: str | None
    value: float | None
    must_met: Met
    aim_met: Met | None


def targets(fixes: Fixes) -> list[Target]:
    """The stack's targets; they hold for inpainting at the full preset's own size on a GPU.

    One is met only with a proof that the output of the same fixes is no worse.
    """
    final = fixes.final
    times = final.times if final is not None and _is_target_case(final.times.case) else None
    speedup = 1 / times.wall_change.ratio.value if times and times.wall_change else None
    wall, idle = times.wall.value if times else None, times.idle_share if times else None
    few = times is not None and not times.enough
    proven = final is not None and _is_proven(final)

    def met(value: float | None, limit: str, *, least: bool = False) -> Met:
        if value is None:
            return "not measured"
        if few:
            return "too few processes"
        if not proven:
            return "output not proven"
        reached = value >= FIX_TARGETS[limit] if least else value <= FIX_TARGETS[limit]
        return "met" if reached else "missed"

    must, aim = "LOSSLESS_MS_MUST", "LOSSLESS_MS_AIM"
    speed, idle_must, idle_aim = (
        "LOSSLESS_SPEEDUP_MUST",
        "LOSSLESS_IDLE_MUST",
        "LOSSLESS_IDLE_AIM",
    )
    return [
        Target("Wall time of a chunk", "ms", must, aim, wall, met(wall, must), met(wall, aim)),
        Target(
            "Times as fast as the baseline",
            "times",
            speed,
            None,
            speedup,
            met(speedup, speed, least=True),
            None,
        ),
        Target(
            "Wall time less GPU-busy time",
            "share",
            idle_must,
            idle_aim,
            idle,
            met(idle, idle_must),
            met(idle, idle_aim),
        ),
    ]


def _is_proven(step: StackStep) -> bool:
    proof, times = step.output, step.times
    if proof is None or proof.call not in ("passes", "as the base"):
        return False
    return not proves_others(proof.result, times.results, times.arm)


def _is_target_case(case: Case) -> bool:
    preset = PRESETS["full"]
    size = (case.width_px, case.height_px) == (preset.width_px, preset.height_px)
    return (case.preset, case.mode, case.device) == ("full", "inpainting", "cuda") and size

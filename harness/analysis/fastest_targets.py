"""The targets of the fastest stack: its limits of a chunk's time, and whether a run meets them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.error_budget import BUDGET, BudgetOutput, Fastest, proofs_of
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.pooled import proves_others

Met = Literal["met", "missed", "too few processes", "output not proven"]
LIMITS: tuple[tuple[Literal["must", "aim"], str], ...] = (
    ("must", "FASTEST_MS_MUST"),
    ("aim", "FASTEST_MS_AIM"),
)


@dataclass(frozen=True)
class SpeedTarget:
    """A limit of a chunk's time, by its kind and its name among the rules, and how it came out."""

    kind: Literal["must", "aim"]
    rule: str
    limit_ms: float
    met: Met


def speed_targets(found: Fastest, outputs: Sequence[BudgetOutput]) -> list[SpeedTarget]:
    """The must, then the aim. Either is met only with an output that is proven."""
    times = found.fastest
    proven = is_proven(times, outputs)

    def met(limit_ms: float) -> Met:
        if not times.enough:
            return "too few processes"
        if not proven:
            return "output not proven"
        return "met" if times.wall.value <= limit_ms else "missed"

    return [SpeedTarget(kind, rule, BUDGET[rule], met(BUDGET[rule])) for kind, rule in LIMITS]


def is_proven(times: ArmTimes, outputs: Sequence[BudgetOutput]) -> bool:
    """Whether there is a proof of an arm that allows an error, and every one of its mode is sound.

    A proof that is too short to be judged is none, nor is one of other fixes by the arm's name.
    """
    proofs = proofs_of(outputs, times.arm, times.case.mode)
    return bool(proofs) and all(_is_sound(one, times) for one in proofs)


def _is_sound(proof: BudgetOutput, times: ArmTimes) -> bool:
    within = proof.call == "within the budget" and not proof.fails
    return within and not proves_others(proof.result, times.results, times.arm)

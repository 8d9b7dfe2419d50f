"""Variants that allow an error: is it within their budget, and does it stay there?

The budget is a cosine: of flow, x0, cached keys and cached values with those of a float32 run with
exact attention, in every chunk. Drift is an error that grows while nothing else changes: the median
over the last third of a stretch of one prompt over that of the middle third, held against the same
ratio of the yardstick, which shows what bf16 does over that time. Arms of the same proof that claim
no error are judged as fixes are, by `output_errors`; their cosines stand beside.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.analysis.interval import median
from harness.analysis.limit_cases import allows_error, leaves_out
from harness.analysis.output_errors import (
    LEAST_CHUNKS,
    QUANTITIES,
    YARDSTICK,
    ArmOutput,
    OutputCall,
    Quantity,
    output_errors,
    ratio_of,
)
from harness.arms import BASE_ARM
from harness.matrix import Mode
from harness.record_parts import OutputError
from harness.result import Result
from harness.variants import FASTEST, LOSSLESS, is_bounded, is_variant

BUDGET: dict[str, float] = {
    "BUDGET_COSINE": 0.99,
    "DRIFT_CHUNKS": 60,
    "DRIFT_LIMIT": 1.1,
    "FASTEST_MS_MUST": 170.0,
    "FASTEST_MS_AIM": 130.0,
}
BudgetCall = Literal["within the budget", "beyond the budget", "not judged"]
DriftCall = Literal["no drift", "drifts", "too short to tell"]


@dataclass(frozen=True)
class LeastCosine:
    """The worst chunk of one quantity."""

    value: float
    index: int  # of the error in the record


@dataclass(frozen=True)
class BudgetOutput:
    """What a proof says of one arm."""

    result: Result
    arm: str
    bounded: bool  # whether the budget is its own claim; else it stands beside for comparison
    no_worse: ArmOutput | None  # the proof of what claims no error; None of a budget, the yardstick
    call: BudgetCall
    least: dict[Quantity, LeastCosine]  # empty where the record holds no cosines
    drift: dict[Quantity, float]  # growth of the error over the yardstick's; empty if too short
    drift_call: DriftCall
    least_ssim: LeastCosine | None
    median_ssim: float | None
    chunks: int

    @property
    def fails(self) -> bool:
        """Whether its speed means nothing."""
        if self.no_worse is not None:
            return self.no_worse.fails
        return self.bounded and (self.call == "beyond the budget" or self.drift_call == "drifts")

    @property
    def verdict(self) -> BudgetCall | OutputCall:
        """On what the arm claims."""
        return self.call if self.no_worse is None else self.no_worse.call


@dataclass(frozen=True)
class Fastest:
    """Speed of the stacks beside one another."""

    base: ArmTimes
    lossless: ArmTimes | None
    fastest: ArmTimes
    step: ArmTimes | None  # the fastest against lossless
    arms: tuple[ArmTimes, ...]  # all of the case, in its order; each against the baseline
    steps: Mapping[str, ArmTimes]  # and all variants but the lossless one against that


def budget_outputs(processes: Mapping[str, Sequence[Result]]) -> list[BudgetOutput]:
    """Every arm of every proof that has an arm with a budget, the yardstick last."""
    found = []
    for results in processes.values():
        result = results[0]
        if result.case.kind == "quality" and allows_error(result.case):
            arms = dict.fromkeys((*result.case.arms, YARDSTICK))
            proven = {one.arm: one for one in output_errors(result)}
            found += [_judged(result, arm, proven.get(arm)) for arm in arms]
    return found


def fastest_of(processes: Mapping[str, Sequence[Result]]) -> list[Fastest]:
    """Every paired case that measures the fastest stack, those apart that leave a fix out."""
    found = []
    for results in processes.values():
        case = results[0].case
        if case.kind != "paired" or FASTEST not in case.arms or leaves_out(case):
            continue
        base, fastest = arm_times(results, BASE_ARM), arm_times(results, FASTEST)
        if base is not None and fastest is not None:
            beside = [arm for arm in case.arms if is_variant(arm) and arm != LOSSLESS]
            against = beside if LOSSLESS in case.arms else []
            arms = {arm: times for arm in case.arms if (times := arm_times(results, arm))}
            steps = {arm: step for arm in against if (step := arm_times(results, arm, LOSSLESS))}
            lossless, step = arms.get(LOSSLESS), steps.get(FASTEST)
            found.append(Fastest(base, lossless, fastest, step, tuple(arms.values()), steps))
    return found


def arms_once(cases: Iterable[Fastest]) -> list[ArmTimes]:
    """Every arm of several cases, each in the first that has it."""
    found: dict[str, ArmTimes] = {}
    for times in (times for case in cases for times in case.arms):
        found.setdefault(times.arm, times)
    return list(found.values())


def proofs_of(outputs: Sequence[BudgetOutput], arm: str, mode: Mode) -> list[BudgetOutput]:
    """The proofs of an arm in a mode."""
    return [one for one in outputs if one.arm == arm and one.result.case.mode == mode]


def _judged(result: Result, arm: str, proven: ArmOutput | None) -> BudgetOutput:
    bounded = is_variant(arm) and is_bounded(arm)
    own = _errors(result, arm)
    least = {q: found for q in QUANTITIES if (found := _least(own, f"{q}_cosine")) is not None}
    judged = len(least) == len(QUANTITIES) and len(own) >= LEAST_CHUNKS
    within = all(one.value >= BUDGET["BUDGET_COSINE"] for one in least.values())
    drift = _drift(result, arm)
    grows = any(value > BUDGET["DRIFT_LIMIT"] for value in drift.values())
    similar = [e.frame_ssim for _, e in own if e.frame_ssim is not None]
    return BudgetOutput(
        result=result,
        arm=arm,
        bounded=bounded,
        no_worse=None if bounded else proven,
        call=("within the budget" if within else "beyond the budget") if judged else "not judged",
        least=least,
        drift=drift,
        drift_call=("drifts" if grows else "no drift") if drift else "too short to tell",
        least_ssim=_least(own, "frame_ssim"),
        median_ssim=median(similar) if similar else None,
        chunks=len(own),
    )


def _errors(result: Result, arm: str) -> list[tuple[int, OutputError]]:
    """An arm's errors with their places in the record."""
    return [(n, error) for n, error in enumerate(result.output_errors) if error.arm == arm]


def _least(errors: Sequence[tuple[int, OutputError]], field: str) -> LeastCosine | None:
    """None where a chunk has no such value."""
    values = [(getattr(error, field), index) for index, error in errors]
    if not values or any(value is None for value, _ in values):
        return None
    return LeastCosine(*min(values))


def _drift(result: Result, arm: str) -> dict[Quantity, float]:
    """Growth of each error over the yardstick's; empty for a stretch that is too short."""
    if result.case.stretch < BUDGET["DRIFT_CHUNKS"]:
        return {}
    own, yard = (
        [error for _, error in _errors(result, name) if error.chunk < result.case.stretch]
        for name in (arm, YARDSTICK)
    )
    if len(own) < result.case.stretch or len(yard) < result.case.stretch:
        return {}
    return {q: ratio_of(_growth(own, q), _growth(yard, q)) for q in QUANTITIES}


def _growth(errors: Sequence[OutputError], quantity: Quantity) -> float:
    """Median error of the last third over that of the middle third; 1 where there is none."""
    third = len(errors) // 3
    middle, last = errors[third : 2 * third], errors[2 * third :]
    before, after = (median(getattr(e, quantity) for e in part) for part in (middle, last))
    return after / before if before else 1.0

"""The recommendations as measured: each fix alone, the stack as it grows, and its targets.

A fix's gain is the share of wall time that it saves against the baseline of the same processes. Its
risk is a count: the changes that come with it (itself and the fixes that it needs), and one more
where an attention kernel with rounding of its own replaces the baseline's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.experiment import MIN_PROCESSES, Verdict
from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.analysis.limit_cases import has_fixes
from harness.analysis.output_errors import ArmOutput, fixes_of, output_of
from harness.analysis.proofs_beside import own_proofs
from harness.arms import BASE_ARM, is_variant_arm
from harness.cost import chunk_flops
from harness.cost_case import cost_config
from harness.matrix import Case
from harness.profiled import Ceilings
from harness.result import Result
from harness.variants import FIXES, LOSSLESS, STACKS, STEPS, is_variant, names_bundle, resolve

Basis = Literal["wall time", "GPU-busy time"]

# Fix -> rules of `root_causes` whose ceilings say what it can gain at most. Their ceilings overlap.
PREDICTED: dict[str, tuple[str, ...]] = {
    "lora-merged": ("lora",),
    "host-index": ("sync",),
    "batched-update": ("cache_copies",),
    "ring-cache": ("cache_copies", "sync"),
    "rope-real": ("rope",),
    "once": ("text", "vace_keys"),
    "no-padding": ("padding",),
    "hint-list": ("stacking",),
    "attention-sdpa": ("attention",),
    "attention-cudnn": ("attention",),
    "attention-flash": ("attention",),
    "attention-flex": ("attention",),
    "compiled-blocks": ("casts", "launch"),
    "graph-forward": ("launch",),
    "graph-loop": ("launch",),
    "graph-chunk": ("launch",),
}


@dataclass(frozen=True)
class StackStep:
    """One step of the stack: against the baseline, and against the step before."""

    title: str
    added: tuple[str, ...]
    times: ArmTimes
    step: ArmTimes
    output: ArmOutput | None


@dataclass(frozen=True)
class SingleFix:
    """A fix on the baseline alone, and the step of the stack that holds it."""

    name: str
    title: str
    risk: int
    times: ArmTimes
    output: ArmOutput | None
    step: StackStep | None

    @property
    def struck(self) -> bool:
        """Whether its output fails, so that its speed means nothing."""
        return self.output is not None and self.output.fails

    @property
    def basis(self) -> Basis | None:
        """The time that its verdict is on: GPU-busy where wall is undecided, which a host blurs."""
        return decided_by(self.times)

    @property
    def change(self) -> Verdict | None:
        """Its change in that time; of wall time where nothing is decided."""
        by_busy = self.basis == "GPU-busy time"
        return self.times.busy_change if by_busy else self.times.wall_change

    @property
    def gain(self) -> float:
        """Share of that time saved; below zero where it costs."""
        return 1 - self.change.ratio.value if self.change is not None else 0.0

    @property
    def gain_per_risk(self) -> float:
        """Share of that time saved for each point of risk."""
        return self.gain / self.risk

    @property
    def rank(self) -> tuple[bool, int, float]:
        """What is decided to be faster, what nothing decides, what is not faster; struck last."""
        calls = {"faster": 0, "undecided": 1}
        call = self.change.call if self.change is not None else "undecided"
        return self.struck, calls.get(call, 2), -self.gain_per_risk


@dataclass(frozen=True)
class Fixes:
    """Everything that a run's variant arms say."""

    base: ArmTimes | None  # of the stack's case
    singles: tuple[SingleFix, ...]  # by their rank
    steps: tuple[StackStep, ...]
    others: tuple[ArmTimes, ...]  # other modes and sizes
    outputs: tuple[ArmOutput, ...]

    @property
    def shown(self) -> tuple[ArmTimes, ...]:
        """Every arm that has a row: the baseline, the stack, fixes alone, other modes and sizes."""
        base = () if self.base is None else (self.base,)
        steps, singles = (s.times for s in self.steps), (s.times for s in self.singles)
        return (*base, *steps, *singles, *self.others)

    @property
    def not_alone(self) -> tuple[str, ...]:
        """Fixes of the stack that no arm measures alone, where others are."""
        alone = {fix.name for fix in self.singles}
        added = (name for step in self.steps for name in step.added)
        return tuple(name for name in added if name not in alone) if alone else ()

    @property
    def main(self) -> ArmTimes | None:
        """An arm of the mode and size that the tables are of."""
        return self.base or next((fix.times for fix in self.singles), None)

    @property
    def final(self) -> StackStep | None:
        """The last step of the whole stack; None where it was not reached."""
        last = self.steps[-1] if self.steps else None
        return last if last is not None and last.times.arm == LOSSLESS else None


def measured_fixes(
    processes: Mapping[str, Sequence[Result]], *, beside: Sequence[ArmOutput] = ()
) -> Fixes | None:
    """From the processes of each case; None where no case has a variant as an arm.

    `beside`: proofs in other runs, of arms that this one does not examine.
    """
    cases = [list(results) for results in processes.values() if has_fixes(results[0].case)]
    if not cases:
        return None
    outputs = [*own_proofs(processes), *beside]
    paired = [results for results in cases if results[0].case.kind == "paired"]
    main = _main_case(paired)
    grown = next((results for results in paired if _is_stack(results[0].case)), None)
    steps = _steps(grown, outputs) if grown is not None else ()
    singles, others = list[SingleFix](), list[ArmTimes]()
    for results in paired:
        for arm in filter(is_variant_arm, results[0].case.arms):
            times = arm_times(results, arm)
            if times is None or results is grown:
                continue
            if not names_bundle(arm) and _place(times.case) == main:
                singles.append(_single(times, outputs, steps))
            else:
                others.append(times)
    ranked = sorted(singles, key=lambda fix: fix.rank)
    base = arm_times(grown, BASE_ARM) if grown is not None else None
    return Fixes(base, tuple(ranked), steps, tuple(others), tuple(outputs))


def risk_of(variant: str) -> int:
    """Changes that come with a variant, one more for another kernel's rounding."""
    fixes = resolve(variant)
    return max(len(fixes), 1) + any(fix.claim == "backend" for fix in fixes)


def rules_of(variant: str) -> tuple[str, ...]:
    """Rules whose ceilings predict a variant: its own first, then those of fixes that it needs."""
    names = dict.fromkeys((variant, *fixes_of(variant)))
    return tuple(dict.fromkeys(rule for name in names for rule in PREDICTED.get(name, ())))


def floor_ms(case: Case, ceilings: Ceilings) -> float | None:
    """A steady chunk's arithmetic without adapters at the measured rate of matrix products."""
    if not ceilings.matmul_flops_per_s:
        return None
    flops = chunk_flops(cost_config(case), case.mode, chunk=case.first_steady_chunk)
    needed = sum(value for part, value in flops.items() if part != "LoRA")
    return 1e3 * needed / ceilings.matmul_flops_per_s


def _is_stack(case: Case) -> bool:
    """Whether its arms show the stack as it grows, and not its end alone."""
    return sum(arm in STACKS for arm in case.arms) > 1


def _place(case: Case) -> tuple[str, int, int]:
    return case.mode, case.width_px, case.height_px


def _main_case(paired: Sequence[Sequence[Result]]) -> tuple[str, int, int] | None:
    """Mode and size of the tables: those of the stack, else of the first paired case."""
    ordered = sorted(paired, key=lambda results: not _is_stack(results[0].case))
    return _place(ordered[0][0].case) if ordered else None


def _steps(results: Sequence[Result], outputs: Sequence[ArmOutput]) -> tuple[StackStep, ...]:
    """Steps that the case leaves out belong to the next one that it has."""
    case, found, before = results[0].case, list[StackStep](), BASE_ARM
    titles: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    for (title, more), arm in zip(STEPS, STACKS, strict=True):
        titles, added = (*titles, title), (*added, *more)
        times = arm_times(results, arm) if arm in case.arms else None
        step = arm_times(results, arm, before) if times is not None else None
        if times is None or step is None:
            continue
        output = output_of(outputs, arm, case.mode)
        found.append(StackStep("; ".join(titles), added, times, step, output))
        titles, added, before = (), (), arm
    return tuple(found)


def _single(times: ArmTimes, outputs: Sequence[ArmOutput], steps: Sequence[StackStep]) -> SingleFix:
    name = times.arm
    return SingleFix(
        name=name,
        title=FIXES[name].title if name in FIXES else "several fixes together",
        risk=risk_of(name) if is_variant(name) else 1,
        times=times,
        output=output_of(outputs, name, times.case.mode),
        step=next((step for step in steps if name in step.added), None),
    )


def decided_by(times: ArmTimes) -> Basis | None:
    """Which time decides between an arm and the other: wall, else GPU-busy, else none."""
    return deciding(times.wall_change, times.busy_change)


def deciding(wall: Verdict | None, busy: Verdict | None) -> Basis | None:
    """The same of two verdicts on one comparison."""
    told: tuple[tuple[Basis, Verdict | None], ...] = (("wall time", wall), ("GPU-busy time", busy))
    for basis, found in told:
        if found is not None and found.call != "undecided":
            return basis
    return None


def too_few(times: ArmTimes) -> str:
    """Words for a comparison that has no verdict for want of processes; empty where it has."""
    return "" if len(times.results) >= MIN_PROCESSES else "too few processes"

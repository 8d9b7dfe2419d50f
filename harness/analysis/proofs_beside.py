"""Proofs of output in another run of the GPU, for arms that their own run times without one.

The errors of a proof do not depend on the run that they are measured in, so long as the arm is made
of the same changes on the same workload.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from harness.analysis.limit_cases import has_fixes
from harness.analysis.output_errors import ArmOutput, fixes_of, output_errors, output_of
from harness.analysis.pooled import fixes_recorded
from harness.arms import is_variant_arm
from harness.matrix import Case
from harness.result import Result

# What a proof and the timing of its arm must have in common; mode and size are told instead.
SHARED = (
    "preset",
    "dtype",
    "device",
    "pipeline",
    "variant",
    "vae",
    "attention",
    "steps",
    "window",
    "weights",
)
Timed = Mapping[str, Sequence[Result]]  # arm -> records that time it


def own_proofs(processes: Mapping[str, Sequence[Result]]) -> list[ArmOutput]:
    """What the proofs of a run say of its arms."""
    first = (results[0] for results in processes.values())
    return [found for one in first if has_fixes(one.case) for found in output_errors(one)]


def unproven(processes: Mapping[str, Sequence[Result]]) -> dict[str, list[Result]]:
    """Arms that a run times and that no proof of it examines, with the records that time them."""
    own, timed = own_proofs(processes), dict[str, list[Result]]()
    for results in processes.values():
        case = results[0].case
        if case.kind == "paired" and has_fixes(case):
            for arm in filter(is_variant_arm, case.arms):
                timed.setdefault(arm, []).extend(results)
    return {
        arm: results
        for arm, results in timed.items()
        if output_of(own, arm, results[0].case.mode) is None
    }


def may_prove(cases: Iterable[Case], wanted: Timed) -> bool:
    """Whether a plan holds a proof of one of the arms, of the same workload."""
    return any(
        _named(wanted, arm) and all(_alike(case, one.case) for one in _timed(wanted, arm))
        for case in cases
        if case.kind == "quality" and has_fixes(case)
        for arm in case.arms
    )


def proofs_of(
    processes: Mapping[str, Sequence[Result]], wanted: Timed, run: str
) -> list[ArmOutput]:
    """The proofs of the wanted arms in another run, which is named in each.

    Left out are those of another workload, and of arms that the records say are made of others.
    """
    return [
        replace(found, run=run)
        for found in own_proofs(processes)
        if _named(wanted, found.arm) and _of_the_same(found, wanted)
    ]


def _named(wanted: Timed, arm: str) -> list[str]:
    """Wanted arms that stand for the same fixes."""
    return [name for name in wanted if fixes_of(name) == fixes_of(arm)]


def _timed(wanted: Timed, arm: str) -> list[Result]:
    return [one for name in _named(wanted, arm) for one in wanted[name]]


def _of_the_same(found: ArmOutput, wanted: Timed) -> bool:
    """Same workload, and no record that contradicts another on the fixes of the arm."""
    proven = fixes_recorded(found.result, found.arm)
    for name in _named(wanted, found.arm):
        for timed in wanted[name]:
            told = fixes_recorded(timed, name)
            if not _alike(found.result.case, timed.case):
                return False
            if proven is not None and told is not None and proven != told:
                return False
    return True


def _alike(one: Case, other: Case) -> bool:
    return all(getattr(one, field) == getattr(other, field) for field in SHARED)

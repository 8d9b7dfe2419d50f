"""Runs beside the reported one: the newest self-check of the GPU, profiles, fixes and proofs.

What lies beside a run may be damaged or newer than this version. That is told, and no reason to
fail the report of a run that is sound.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from harness.analysis.experiment import MIN_PROCESSES
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.fixes import Fixes, measured_fixes
from harness.analysis.left_out_together import OneByOne, measures_bundle, times_together
from harness.analysis.output_errors import ArmOutput, output_of
from harness.analysis.proofs_beside import may_prove, proofs_of, unproven
from harness.analysis.repeatability import COMPILED
from harness.analysis.saved_time import saved_each
from harness.analysis.trust import Trust, compiled_processes, trust
from harness.arms import is_variant_arm
from harness.errors import RecordError
from harness.matrix import Case, Mode
from harness.report.cells import Cell, Line, Source, line
from harness.report.material import Material, of
from harness.result import Result
from harness.run import Manifest, Run
from harness.store import MANIFEST, RunFolder
from harness.variants import BASELINE

SELFCHECK = "selfcheck"


@dataclass(frozen=True)
class Trouble:
    """A run beside this one that cannot be read."""

    run_id: str
    message: str


@dataclass(frozen=True)
class TrustFound:
    """What is known of this GPU's measurements; None where no self-check can be read."""

    trust: Trust | None
    troubles: tuple[Trouble, ...]


def find_trust(material: Material) -> TrustFound:
    """The run itself if it is a self-check, else the newest one beside it."""
    run, troubles = material.run, list[Trouble]()
    checked: Run | None = run
    if run.manifest.matrix != SELFCHECK:
        checked = _newest(run, lambda manifest: manifest.matrix == SELFCHECK, troubles)
    if checked is None:
        return TrustFound(None, tuple(troubles))
    compiled: Run | None = None
    if not compiled_processes(checked):
        compiled = run if compiled_processes(run) else _newest(run, _has_compiled_arm, troubles)
    return TrustFound(trust(checked, compiled), tuple(dict.fromkeys(troubles)))


def find_profiled(
    material: Material, mode: Mode, size: tuple[int, int], troubles: list[Trouble] | None = None
) -> Run | None:
    """A run with a profiled baseline of this mode and size (width, height, px): own or beside.

    Runs that cannot be read are passed over, and told in `troubles`.
    """

    def fits(manifest: Manifest) -> bool:
        return any(
            case.profile
            and (case.mode, case.variant, case.preset) == (mode, BASELINE, preset)
            and (case.width_px, case.height_px) == size
            for case in manifest.cases
        )

    preset = material.run.manifest.cases[0].preset
    if fits(material.run.manifest) and material.profiled(mode) is not None:
        return material.run
    return _newest(material.run, fits, troubles)


def find_rate(material: Material, case: Case) -> tuple[Run, Result] | None:
    """A record with the rate of matrix products in the case's type: of this run, or one beside."""

    def rated(run: Run) -> Result | None:
        found = (result for result in run.results.values() if result.case.dtype == case.dtype)
        known = (one for one in found if one.ceilings and one.ceilings.matmul_flops_per_s)
        return next(known, None)

    def fits(manifest: Manifest) -> bool:
        return any(one.profile and one.dtype == case.dtype for one in manifest.cases)

    if (own := rated(material.run)) is not None:
        return material.run, own
    run = _newest(material.run, fits)
    result = rated(run) if run is not None else None
    return (run, result) if run is not None and result is not None else None


def fixes_of_run(material: Material, troubles: list[Trouble] | None = None) -> Fixes | None:
    """The run's measured fixes; what it does not prove is proven by the newest run beside it.

    Runs that cannot be read prove nothing, and are told in `troubles`.
    """
    processes, found = material.run.processes, list[ArmOutput]()
    wanted = unproven(processes)
    fitting = _fitting(material.run, lambda manifest: may_prove(manifest.cases, wanted), troubles)
    while wanted and (run := next(fitting, None)) is not None:
        found += proofs_of(run.processes, wanted, run.path.name)
        wanted = {
            arm: timed
            for arm, timed in wanted.items()
            if output_of(found, arm, timed[0].case.mode) is None
        }
    return measured_fixes(processes, beside=found)


def find_fixes(
    material: Material, case: Case, troubles: list[Trouble] | None = None
) -> list[tuple[Run, Fixes]]:
    """Fixes alone, of this mode and size: the run's own, then those of runs beside it.

    Of these the one with most fixes comes first, of several with as many the newest. Runs that
    cannot be read are passed over, and told in `troubles`.
    """

    def alone(run: Run) -> Fixes | None:
        fixes = fixes_of_run(Material(run))
        if fixes is None or not fixes.singles:
            return None
        found = fixes.singles[0].times.case
        places = ((one.mode, one.width_px, one.height_px, one.preset) for one in (found, case))
        return fixes if len(set(places)) == 1 else None

    def fits(manifest: Manifest) -> bool:
        paired = (one for one in manifest.cases if one.kind == "paired")
        return any(is_variant_arm(arm) for one in paired for arm in one.arms)

    own = alone(material.run)
    beside = (
        (run, found) for run in _fitting(material.run, fits, troubles) if (found := alone(run))
    )
    ranked = sorted(beside, key=lambda pair: -len(pair[1].singles))
    return [*([(material.run, own)] if own is not None else []), *ranked]


def find_together(
    material: Material, found: OneByOne, troubles: list[Trouble] | None = None
) -> tuple[Run, ArmTimes] | None:
    """The bundle against what is left of it, with enough processes: the run's own, or beside.

    Runs that cannot be read are passed over, and told in `troubles`.
    """

    def fits(manifest: Manifest) -> bool:
        return any(measures_bundle(case, found) for case in manifest.cases)

    for run in chain((material.run,), _fitting(material.run, fits, troubles)):
        for times in times_together(found, run.processes):
            if len(saved_each(times, "wall")) >= MIN_PROCESSES:
                return run, times
    return None


def source(material: Material, run: Run, result: Result, path: str) -> Source:
    """The source of a value in a record of this run, or of one beside it."""
    return home(material, run) + of(result, path)


def home(material: Material, run: Run) -> str:
    """The folder of a run as seen from the reported one."""
    same = run.path.resolve() == material.run.path.resolve()
    return "" if same else home_of(run.path.name)


def home_of(name: str) -> str:
    """The folder of a run beside the reported one, by its name; that of the run itself if empty."""
    return f"../{name}/" if name else ""


def trouble_lines(troubles: Iterable[Trouble]) -> tuple[Line, ...]:
    """Each run that cannot be read, once."""
    told = []
    for one in dict.fromkeys(troubles):
        at = (f"beside#{one.run_id}",)
        name, message = Cell(one.run_id, at, "code"), Cell(one.message, at)
        told.append(line("Run ", name, " beside this one is left out: ", message))
    return tuple(told)


def _has_compiled_arm(manifest: Manifest) -> bool:
    return any(COMPILED in case.arms for case in manifest.cases)


def _newest(
    run: Run, fits: Callable[[Manifest], bool], troubles: list[Trouble] | None = None
) -> Run | None:
    """The newest run beside `run` whose plan fits and that has results."""
    return next(_fitting(run, fits, troubles), None)


def _fitting(
    run: Run, fits: Callable[[Manifest], bool], troubles: list[Trouble] | None
) -> Iterator[Run]:
    """Runs beside `run` whose plan fits and that have results, newest first."""
    for path in _siblings(run.path):
        folder = RunFolder(path)
        try:
            if fits(folder.manifest()) and (found := folder.load()).processes:
                yield found
        except RecordError as error:
            if troubles is not None:
                troubles.append(Trouble(path.name, error.what))


def _siblings(path: Path) -> Iterator[Path]:
    own = path.resolve()
    folders = sorted((found.parent for found in own.parent.glob(f"*/{MANIFEST}")), reverse=True)
    return (folder for folder in folders if folder != own)

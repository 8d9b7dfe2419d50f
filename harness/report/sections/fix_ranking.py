"""Root causes with what their fixes measured in this run: verdict, evidence, and rank by gain."""

from collections.abc import Sequence
from dataclasses import replace

from harness.analysis.claims import Measured, Outcome, RootCause
from harness.analysis.fixes import SingleFix, rules_of
from harness.analysis.output_errors import fixes_of
from harness.analysis.root_causes import ranked_by_ceiling
from harness.report.beside import fixes_of_run
from harness.report.material import Material
from harness.report.sections.fix_cells import BUSY, WALL

OUTCOMES: dict[str, Outcome] = {"faster": "confirmed", "same": "refuted", "slower": "refuted"}


def with_measured(material: Material, causes: Sequence[RootCause]) -> list[RootCause]:
    """Causes whose fix was measured first, by the rank of that fix; then by ceiling.

    Where several fixes answer one cause, the fastest of them speaks for it. A fix whose
    output fails, or that has no verdict, says nothing.
    """
    fixes = fixes_of_run(material)
    if fixes is None:
        return list(causes)
    sound = [fix for fix in fixes.singles if not fix.struck and _outcome(fix) is not None]
    measured: list[tuple[tuple[bool, int, float], RootCause]] = []
    left: list[RootCause] = []
    for cause in causes:
        answers = [f for f in sound if cause.id in rules_of(f.name)[:1] and _same_mode(cause, f)]
        best = min(answers, key=lambda fix: (fix.rank[:2], -fix.gain), default=None)
        outcome = _outcome(best) if best is not None else None
        if best is None or outcome is None:
            left.append(cause)
            continue
        path = BUSY if best.basis == "GPU-busy time" else WALL
        gain = Measured(best.gain, "share", best.times.results, (path,))
        words = (f"{_with_needs(best.name)} gains ", gain, f" of {best.basis}")
        told = replace(cause, verdict=outcome, verdict_words=words)
        measured.append((best.rank, told))
    ranked = sorted(measured, key=lambda pair: pair[0])
    return [*(cause for _, cause in ranked), *ranked_by_ceiling(left)]


def _outcome(fix: SingleFix) -> Outcome | None:
    return OUTCOMES.get(fix.change.call) if fix.change is not None else None


def _with_needs(name: str) -> str:
    """The fix, and those that it cannot be measured without."""
    needed = [other for other in fixes_of(name) if other != name]
    return f"{name} (with {', '.join(needed)})" if needed else name


def _same_mode(cause: RootCause, fix: SingleFix) -> bool:
    return cause.subject.result.case.mode == fix.times.case.mode

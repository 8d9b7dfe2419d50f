"""Figures of measured fixes: the stack as a waterfall, whole stacks, and every fix alone."""

from collections.abc import Sequence

from harness.analysis.comparisons import process_values, ratios_each
from harness.analysis.error_budget import BudgetOutput, budget_outputs, fastest_of
from harness.analysis.experiment import Location, Verdict
from harness.analysis.fastest_targets import speed_targets
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.fixes import SingleFix
from harness.report.beside import fixes_of_run
from harness.report.material import Material
from harness.report.plots import Percent
from harness.report.plots_alone import AloneRow, alone_figure
from harness.report.plots_fixes import StackBar, fixes_figure
from harness.report.plots_stacks import StackArm, TargetLine, stacks_figure
from harness.report.sections.budget_proof import proof_words
from harness.report.sections.fix_cells import ceilings_of, wall_share
from harness.report.sections.fixes import Profiled, floor_of, profiled_beside


def fixes_svg(material: Material) -> bytes | None:
    """The stack as it grows, each bar an arm; the floor below it where it is known."""
    fixes = fixes_of_run(material)
    if fixes is None or fixes.base is None or not fixes.steps:
        return None
    bars = [StackBar("Baseline", fixes.base.wall.value, _ms(fixes.base.busy), False)]
    for step in fixes.steps:
        fails = step.output is not None and step.output.fails
        bars.append(StackBar(step.title, step.times.wall.value, _ms(step.times.busy), fails))
    return fixes_figure(bars, floor_of(material, fixes).ms)


def stacks_svg(material: Material) -> bytes | None:
    """Of the first case that times the fastest stack, as the sentences and targets are."""
    cases = fastest_of(material.run.processes)
    if not cases:
        return None
    outputs = budget_outputs(material.run.processes)
    targets = [
        TargetLine(f"{cases[0].fastest.arm}, {one.kind}", one.limit_ms, one.met)
        for one in speed_targets(cases[0], outputs)
    ]
    return stacks_figure([_stack(times, outputs) for times in cases[0].arms], targets)


def _stack(times: ArmTimes, outputs: Sequence[BudgetOutput]) -> StackArm:
    return StackArm(
        label=times.arm,
        wall_ms=times.wall.value,
        low_ms=times.wall.low,
        high_ms=times.wall.high,
        each_ms=tuple(process_values(times.results, "wall", times.arm)),
        busy_ms=_ms(times.busy),
        fps=times.fps.value,
        fails=proof_words(outputs, times)[1],
    )


def alone_svg(material: Material) -> bytes | None:
    """Every fix alone in the order of its table."""
    fixes = fixes_of_run(material)
    if fixes is None:
        return None
    profiled = profiled_beside(material, fixes)
    rows = [_row(fix, profiled) for fix in fixes.singles]
    shown = [row for row in rows if row is not None]
    return alone_figure(shown) if shown else None


def _row(fix: SingleFix, profiled: Profiled | None) -> AloneRow | None:
    times = fix.times
    wall, busy = times.wall_change, times.busy_change
    if wall is None:
        return None
    causes = profiled.causes if profiled is not None else None
    found = ceilings_of(fix.name, causes or ())
    return AloneRow(
        label=fix.name,
        wall=_saved(wall),
        each=tuple(100 * (1 - r) for r in ratios_each(times.results, times.arm, "wall")),
        busy=None if busy is None else _saved(busy),
        predicted=100 * wall_share(found[0]) if found else None,
        fails=fix.struck,
    )


def _saved(change: Verdict) -> Percent:
    """A ratio of times as the share that is saved: its low end is the gain's high one."""
    ratio = change.ratio
    low, high = (None if end is None else 100 * (1 - end) for end in (ratio.high, ratio.low))
    return Percent(100 * (1 - ratio.value), low, high)


def _ms(location: Location | None) -> float | None:
    return location.value if location is not None else None

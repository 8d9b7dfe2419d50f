"""Tables of measured fixes: alone, the stack as it grows, targets, modes and sizes, costs."""

from collections.abc import Sequence

from harness.analysis.arm_power import arm_power
from harness.analysis.claims import RootCause
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.fix_targets import FIX_TARGETS, Target, targets
from harness.analysis.fixes import Fixes, SingleFix, StackStep
from harness.analysis.output_errors import output_of
from harness.report.cells import (
    INTERVAL,
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    count,
    decimals,
    line,
    percent,
    table,
    with_interval,
)
from harness.report.material import MODE_LABELS, of
from harness.report.sections.arm_power import clock, watts
from harness.report.sections.fix_cells import (
    COST_HEADS,
    basis_of,
    busy_cell,
    busy_of,
    cost_cells,
    gain_cells,
    gain_line,
    output_cell,
    predicted_cell,
    speedup_cells,
    verdict_cell,
    wall_cell,
    wall_interval,
    wall_of,
)
from harness.variants import FIXES

Row = tuple[Inline | str, ...]


def single_table(fixes: Fixes, causes: Sequence[RootCause] | None, home: str) -> Table | None:
    """Fixes alone by gain per risk."""
    rows = [_single(n, fix, fixes, causes, home) for n, fix in enumerate(fixes.singles, start=1)]
    heads = (
        ">Rank",
        "Fix",
        ">Wall (ms)",
        with_interval("Gain on wall"),
        with_interval("Gain on GPU-busy"),
        "Verdict",
        "Predicted, at most",
        "Gain in the stack",
        ">Risk",
        ">Gain / risk",
        "Output",
    )
    return table(heads, rows)


def _single(
    place: int, fix: SingleFix, fixes: Fixes, causes: Sequence[RootCause] | None, home: str
) -> Row:
    times = fix.times
    case = of(times.results[0], "/case/arms")
    return (
        NOTHING if fix.struck else count(place, *wall_of(times)),
        line(Cell(fix.name, (case,), "code"), ": ", Cell(fix.title, (case,))),
        wall_cell(times, struck=fix.struck),
        gain_line(times.wall_change, wall_of(times)),
        gain_line(times.busy_change, busy_of(times)),
        verdict_cell(times),
        predicted_cell(fix.name, causes, home),
        _in_stack(fix) if fixes.steps else line("no stack in this run"),
        count(fix.risk, case),
        percent(fix.gain_per_risk, *basis_of(fix)),
        output_cell(fix.output, times),
    )


def _in_stack(fix: SingleFix) -> Line:
    """The gain of the step that holds the fix, and with which others it shares it."""
    if fix.step is None:
        return line("not in it")
    step = fix.step.step
    words: list[Inline | str] = [gain_cells(step.wall_change, wall_of(step))[0]]
    others = [name for name in fix.step.added if name != fix.name]
    if others:
        words += [", shared with ", Cell(", ".join(others))]
    return line(*words)


def not_alone_line(fixes: Fixes) -> Line | None:
    """Which fixes of the stack have no row, and what their proof says; None where each has one."""
    if fixes.base is None or not fixes.not_alone:
        return None
    times, words = fixes.base, list[Inline | str]()
    at = (of(times.results[0], "/case/arms"),)
    for name in fixes.not_alone:
        words += ["; " * bool(words), Cell(name, at, "code"), ": ", Cell(FIXES[name].title, at)]
        words += [". Its output: "]
        words += [output_cell(output_of(fixes.outputs, name, times.case.mode), times)]
    return line("In the stack, and not measured alone in this run: ", *words, ".")


def stack_table(fixes: Fixes) -> Table | None:
    """The baseline and every step of the stack."""
    if fixes.base is None or not fixes.steps:
        return None
    base = fixes.base
    at = of(base.results[0], "/case/arms")
    wall = (wall_cell(base), wall_interval(base))
    first: Row = ("baseline", Cell("base", (at,), "code"), *wall, busy_cell(base))
    rows: list[Row] = [(*first, *[NOTHING] * 6)]
    rows += [_step(step) for step in fixes.steps]
    heads = (
        "Adds",
        "Arm",
        ">Wall (ms)",
        INTERVAL,
        ">GPU-busy (ms)",
        ">Gain of the step on wall",
        ">Gain of the step on GPU-busy",
        ">Times as fast as the baseline",
        INTERVAL,
        "Verdict",
        "Output",
    )
    return table(heads, rows)


def _step(step: StackStep) -> Row:
    times, struck = step.times, step.output is not None and step.output.fails
    wall = wall_of(times)
    return (
        Cell(step.title, (of(times.results[0], "/case/arms"),)),
        Cell(times.arm, (of(times.results[0], "/case/arms"),), "code"),
        wall_cell(times, struck=struck),
        wall_interval(times, struck=struck),
        busy_cell(times, struck=struck),
        gain_cells(step.step.wall_change, wall)[0],
        gain_line(step.step.busy_change, busy_of(step.step)),
        *speedup_cells(times.wall_change, wall),
        verdict_cell(times),
        output_cell(step.output, times),
    )


def target_table(fixes: Fixes) -> Table | None:
    """The stack's targets beside what was measured; None without a target case."""
    found = targets(fixes)
    if all(item.value is None for item in found) or fixes.final is None:
        return None
    times = fixes.final.times
    at = (*wall_of(times), *busy_of(times))
    rows: list[Row] = [
        (
            item.what,
            _limit(item, item.must),
            _limit(item, item.aim) if item.aim else NOTHING,
            _value(item, item.value, at) if item.value is not None else NOTHING,
            item.must_met,
            item.aim_met or NOTHING,
        )
        for item in found
    ]
    return table(("What", ">Must", ">Aim", ">Measured", "Must", "Aim"), rows)


def _limit(item: Target, name: str) -> Cell:
    bound = "at least " if item.unit == "times" else "at most "
    value = _value(item, FIX_TARGETS[name], (f"rule#{name}",))
    return Cell(bound + value.text, value.sources)


def _value(item: Target, value: float, sources: tuple[str, ...]) -> Cell:
    if item.unit == "share":
        return percent(value, *sources)
    text = f"{value:.2f} times" if item.unit == "times" else f"{decimals(value)} ms"
    return Cell(text, sources)


def others_table(fixes: Fixes) -> Table | None:
    """Arms in other modes and sizes, each against the baseline of its own processes."""
    rows: list[Row] = []
    for times in fixes.others:
        case, wall = times.case, wall_of(times)
        output = output_of(fixes.outputs, times.arm, case.mode)
        gain, interval = gain_cells(times.wall_change, wall)
        rows.append(
            (
                MODE_LABELS[case.mode],
                Cell(
                    f"{case.width_px}x{case.height_px}",
                    (of(times.results[0], "/case/width_px"),),
                ),
                Cell(times.arm, (of(times.results[0], "/case/arms"),), "code"),
                wall_cell(times, struck=output is not None and output.fails),
                busy_cell(times),
                cost_cells(times)[3],
                gain,
                interval,
                verdict_cell(times),
                output_cell(output, times),
            )
        )
    heads = (
        "Mode",
        ">Size",
        "Arm",
        ">Wall (ms)",
        ">GPU-busy (ms)",
        ">FPS",
        ">Gain on wall",
        INTERVAL,
        "Verdict",
        "Output",
    )
    return table(heads, rows)


def cost_table(fixes: Fixes) -> Table | None:
    """What every arm costs beside its time."""
    rows: list[Row] = [
        (
            Cell(times.case.id, (of(times.results[0], "/case_id"),), "code"),
            Cell(times.arm, (of(times.results[0], "/case/arms"),), "code"),
            *cost_cells(times),
            *_state_cells(times),
        )
        for times in fixes.shown
    ]
    return table(("Case", "Arm", *COST_HEADS, ">SM clock (MHz)", ">Power (W)"), rows)


def _state_cells(times: ArmTimes) -> tuple[Cell, Cell]:
    power = arm_power(times)
    return (NOTHING, NOTHING) if power is None else (clock(power), watts(power))

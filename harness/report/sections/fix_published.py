"""What the published report recommends and what it says won't help, each with a verdict."""

from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.analysis.fixes import Fixes, too_few
from harness.analysis.published_advice import (
    ADVICE,
    LONGLIVE_FPS,
    LONGLIVE_SIZE,
    RECOMMENDATIONS,
    WONT_HELP,
    Advice,
)
from harness.report.cells import Cell, Inline, Line, Table, count, line, table
from harness.report.material import MODE_LABELS, Material
from harness.report.sections.fix_cells import gain_cells, wall_of


def advice_rows(material: Material) -> Table | None:
    """One row for each whose subject our documents state."""
    rows = [_row(material, advice) for advice in ADVICE]
    return table(("Published", "About", "Verdict", "Evidence"), rows)


def advice_note() -> Line:
    """How many of them stand in the table."""
    at = ("published#advice",)
    return line(
        "The published report has ",
        count(RECOMMENDATIONS, *at),
        " recommendations and ",
        count(WONT_HELP, *at),
        " claims of what won't help. Those whose subject the project's documents do not state have "
        "no row.",
    )


def longlive_line(fixes: Fixes) -> Line | None:
    """LongLive's own speed, where the run has its size."""
    sizes = [(times.case.width_px, times.case.height_px) for times in fixes.others]
    if LONGLIVE_SIZE not in sizes:
        return None
    width, height = LONGLIVE_SIZE
    at = (f"published#{LONGLIVE_FPS.name}",)
    return line(
        "LongLive's authors state ",
        Cell(LONGLIVE_FPS.stated, at),
        " on one H100 at ",
        Cell(f"{width}x{height}", at),
        ". That is another GPU and a pipeline without VACE: an orientation, no comparison.",
    )


def _row(material: Material, advice: Advice) -> tuple[Inline | str, ...]:
    subject = Cell(advice.subject, (f"published#{advice.name}",))
    found = [times for arm in advice.arms for times in _arms(material, arm)]
    if not found:
        return advice.kind, subject, "not measured in this run", "–"
    words: list[Inline | str] = []
    for times in found:
        gain, _ = gain_cells(times.wall_change, wall_of(times))
        call = too_few(times) or (times.wall_change.call if times.wall_change else "undecided")
        words += ["; " * bool(words), f"{MODE_LABELS[times.case.mode]}, arm "]
        words += [Cell(times.arm, form="code"), " gains ", gain, f" of wall time, {call}"]
    return advice.kind, subject, _verdict(advice, found), line(*words)


def _verdict(advice: Advice, found: list[ArmTimes]) -> str:
    """Whether one of the arms helps, by its verdict on wall time."""
    if any(too_few(times) for times in found):
        return "too few processes"
    helps = any(times.wall_change and times.wall_change.call == "faster" for times in found)
    decided = all(times.wall_change and times.wall_change.call != "undecided" for times in found)
    if not helps and not decided:
        return "undecided"
    if advice.kind == "recommendation":
        return "helps" if helps else "does not help"
    return "refuted: it helps" if helps else "confirmed: it does not help"


def _arms(material: Material, arm: str) -> list[ArmTimes]:
    """An arm in every paired case of the run that has it."""
    cases = [r for r in material.run.processes.values() if arm in r[0].case.arms]
    paired = [results for results in cases if results[0].case.kind == "paired"]
    found = (arm_times(results, arm) for results in paired)
    return [times for times in found if times is not None]

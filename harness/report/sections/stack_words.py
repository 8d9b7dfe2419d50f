"""What a stack takes, in words: a chunk's time, frames a second, how much faster that is."""

from harness.analysis.fix_arms import ArmTimes
from harness.analysis.fixes import too_few
from harness.report.cells import INTERVAL, NOTHING, Cell, Inline, between, count, ms
from harness.report.material import of_all
from harness.report.sections.fix_cells import FRAMES, busy_of, gain_cells, speedup_cells, wall_of


def takes_words(times: ArmTimes) -> list[Inline | str]:
    """Time with its interval over processes, FPS, times as fast as the baseline; no full stop."""
    wall, change = wall_of(times), times.wall_change
    words: list[Inline | str] = ["The stack ", Cell(times.arm, form="code"), " takes "]
    words += [Cell(ms(times.wall.value).text, wall, "strong"), " a chunk", *_over(times), ", "]
    rates = (*wall, *of_all(times.results, FRAMES))
    words += [Cell(f"{times.fps.value:.1f} FPS", rates, "strong")]
    if change is None:
        return words
    value, interval = speedup_cells(change, wall)
    words += [", and is ", value, " times as fast as the baseline", *within(interval)]
    words += [f"; {too_few(times) or change.call}"]
    if times.busy_change is None:
        return words
    # What the host adds to the baseline is gone from this one.
    value, interval = speedup_cells(times.busy_change, busy_of(times))
    return [*words, ". By GPU-busy time it is ", value, " times as fast", *within(interval)]


def saves_words(step: ArmTimes) -> list[Inline | str]:
    """The gain over another stack with its interval and verdict; nothing without both."""
    if step.wall_change is None:
        return []
    gain, interval = gain_cells(step.wall_change, wall_of(step))
    call = too_few(step) or step.wall_change.call
    name = Cell(step.against, form="code")
    return [". It saves ", gain, " over ", name, *within(interval), f"; {call}"]


def within(interval: Cell) -> list[Inline | str]:
    """An interval in brackets behind its value; nothing where there is none."""
    return [] if interval == NOTHING else [" (", INTERVAL.label, " ", interval, ")"]


def _over(times: ArmTimes) -> list[Inline | str]:
    """The interval of wall time, and over how many processes."""
    wall = wall_of(times)
    interval = between(ms, times.wall.low, times.wall.high, *wall)
    if interval == NOTHING:
        return []
    over = count(times.wall.processes, *wall)
    return [" (", INTERVAL.label, " ", interval, " over ", over, " fresh processes)"]

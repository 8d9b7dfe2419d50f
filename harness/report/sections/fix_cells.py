"""Cells that the tables of measured fixes share: times, gains, outputs, predictions."""

from collections.abc import Sequence

from harness.analysis.claims import RootCause
from harness.analysis.experiment import Verdict
from harness.analysis.fix_arms import ArmTimes, energy_per_frame, first_chunk_s, peak_bytes
from harness.analysis.fixes import SingleFix, deciding, rules_of, too_few
from harness.analysis.output_errors import ArmOutput, Place
from harness.analysis.pooled import proves_others
from harness.arms import BASE_ARM
from harness.report.beside import home_of
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Source,
    between,
    decimals,
    gibibytes,
    line,
    number,
    percent,
    rate,
    seconds,
)
from harness.report.material import MODE_LABELS, of, of_all

WALL, BUSY = "/chunks/*/wall_ms", "/busy/*/busy_ms"
FRAMES, POWER = "/chunks/*/frames", "/gpu/series/fields/power_mw"


def wall_of(times: ArmTimes) -> tuple[Source, ...]:
    """Where an arm's wall times lie."""
    return of_all(times.results, WALL)


def busy_of(times: ArmTimes) -> tuple[Source, ...]:
    """Where an arm's GPU-busy times lie; nowhere on a CPU."""
    return of_all((one for one in times.results if one.busy), BUSY)


def basis_of(fix: SingleFix) -> tuple[Source, ...]:
    """Where the times lie that its gain is of."""
    return busy_of(fix.times) if fix.basis == "GPU-busy time" else wall_of(fix.times)


def wall_cell(times: ArmTimes, *, struck: bool = False) -> Cell:
    """Wall time; struck out where the output fails."""
    text = decimals(times.wall.value)
    return Cell(text, wall_of(times), "struck" if struck else "text")


def busy_cell(times: ArmTimes, *, struck: bool = False) -> Cell:
    """GPU-busy time; struck out where the output fails."""
    if times.busy is None:
        return NOTHING
    return Cell(decimals(times.busy.value), busy_of(times), "struck" if struck else "text")


def wall_interval(times: ArmTimes, *, struck: bool = False) -> Cell:
    """The interval of wall time over processes; nothing for a single one."""
    found = between(number, times.wall.low, times.wall.high, *wall_of(times))
    return Cell(found.text, found.sources, "struck") if struck and found != NOTHING else found


def gain_cells(change: Verdict | None, sources: tuple[Source, ...]) -> tuple[Cell, Cell]:
    """Share of time saved, below zero where it costs; and its interval."""
    if change is None:
        return NOTHING, NOTHING
    found = change.ratio
    low = None if found.high is None else 1 - found.high
    high = None if found.low is None else 1 - found.low
    return percent(1 - found.value, *sources), between(percent, low, high, *sources)


def speedup_cells(change: Verdict | None, sources: tuple[Source, ...]) -> tuple[Cell, Cell]:
    """How many times as fast as the other arm; and the interval of that."""
    if change is None:
        return NOTHING, NOTHING
    found, interval = change.ratio, NOTHING
    if found.low is not None and found.high is not None:
        interval = Cell(f"{1 / found.high:.2f} to {1 / found.low:.2f}", sources)
    return Cell(f"{1 / found.value:.2f}", sources), interval


def gain_line(change: Verdict | None, sources: tuple[Source, ...]) -> Line:
    """The same in one cell."""
    gain, interval = gain_cells(change, sources)
    return line(gain) if interval == NOTHING else line(gain, " (", interval, ")")


def verdict_cell(times: ArmTimes) -> Cell:
    """The verdict on wall time, and that on GPU-busy time where it alone decides; or why none."""
    few = too_few(times)
    return Cell(few) if few else call_cell(times.wall_change, times.busy_change)


def call_cell(wall: Verdict | None, busy: Verdict | None) -> Cell:
    """The same of two verdicts on one comparison."""
    if wall is None:
        return NOTHING
    if deciding(wall, busy) == "GPU-busy time" and busy is not None:
        return Cell(f"{wall.call}; GPU-busy {busy.call}")
    return Cell(wall.call)


def cost_cells(times: ArmTimes) -> tuple[Inline, ...]:
    """GPU-busy ms, wall less busy, FPS, memory, first chunk, energy a frame."""
    both = (*wall_of(times), *busy_of(times))
    arm = "" if times.arm == BASE_ARM else f"/arms/{times.arm}"
    first = "/chunks/0/wall_ms" if not arm else f"{arm}/first_chunk_s"
    used = energy_per_frame(times)
    return (
        wall_cell(times),
        busy_cell(times),
        percent(times.idle_share, *both),
        rate(times.fps.value, *wall_of(times), *of_all(times.results, FRAMES)),
        gibibytes(peak_bytes(times), *of_all(times.results, f"{arm}/memory")),
        seconds(first_chunk_s(times), *of_all(times.results, first)),
        number(used.joules, *(of_all(times.results, POWER) if used.joules is not None else ())),
    )


COST_HEADS = (
    ">Wall (ms)",
    ">GPU-busy (ms)",
    ">Wall less busy",
    ">FPS",
    ">Peak memory",
    ">First chunk",
    ">Energy a frame (J)",
)


def output_cell(output: ArmOutput | None, times: ArmTimes) -> Line:
    """The proof's verdict with the worst ratio; of which mode, size and run, if others."""
    if output is None:
        return line("not examined in this run")
    beside = ("; run ", run_cell(output)) if output.run else ()
    if output.place is None:
        return line("not judged: the yardstick or chunks are missing", *beside)
    words: list[Inline | str] = [output.call, " (", times_cell(output, output.place)]
    if output.fails:
        words += [" in ", place_words(output, output.place)]
    if proves_others(output.result, times.results, times.arm):
        words += ["; of other fixes by that name"]
    proof, case = output.result.case, times.case
    if proof.mode != case.mode:
        words += [f"; {MODE_LABELS[proof.mode]}"]
    if (proof.width_px, proof.height_px) != (case.width_px, case.height_px):
        size = Cell(
            f"{proof.width_px}x{proof.height_px}", (proof_source(output, "/case/width_px"),)
        )
        words += ["; at ", size]
    return line(*words, *beside, ")")


def run_cell(output: ArmOutput) -> Cell:
    """The run beside that a proof lies in."""
    return Cell(output.run, (f"beside#{output.run}",), "code")


def proof_source(output: ArmOutput, path: str) -> Source:
    """Where a value of a proof lies, in the run or beside it."""
    return home_of(output.run) + of(output.result, path)


def times_cell(output: ArmOutput, place: Place) -> Cell:
    """A ratio of errors, with both errors as sources."""
    text = f"{place.ratio:.2f}" if place.ratio < 10 else f"{place.ratio:,.1f}"
    return Cell(text, _errors(output, place, place.quantity))


def place_words(output: ArmOutput, place: Place) -> Line:
    """Quantity, chunk and event."""
    chunk = Cell(str(place.chunk), _errors(output, place, "chunk"))
    quantity = Cell(place.quantity, _errors(output, place, place.quantity))
    return line(quantity, " of chunk ", chunk, f" ({place.event})")


def _errors(output: ArmOutput, place: Place, field: str) -> tuple[Source, ...]:
    return tuple(proof_source(output, f"/output_errors/{i}/{field}") for i in place.indices)


def predicted_cell(name: str, causes: Sequence[RootCause] | None, home: str) -> Line:
    """Ceilings of the rules about a fix on wall time, as far as a profile is at hand."""
    rules = rules_of(name)
    if not rules:
        return line("no rule predicts this")
    if causes is None:
        return line("no profile")
    ranked = ceilings_of(name, causes)
    words: list[Inline | str] = []
    for cause in ranked[:RULES_SHOWN]:
        paths = (*cause.ceiling_paths, "/profile/wall_median_ms")
        at = tuple(home + of(cause.subject.result, path) for path in paths)
        words += ["; " * bool(words), percent(wall_share(cause), *at), f" ({cause.title})"]
    more = "; others less" if len(ranked) > RULES_SHOWN else ""
    return line(*words, more) if words else line("its rules found nothing")


RULES_SHOWN = 2


def ceilings_of(name: str, causes: Sequence[RootCause]) -> list[RootCause]:
    """Root causes whose ceilings predict a fix, the largest first."""
    rules = rules_of(name)
    found = [cause for cause in causes if cause.id in rules and cause.ceiling is not None]
    return sorted(found, key=lambda cause: -wall_share(cause))


def wall_share(cause: RootCause) -> float:
    """Its ceiling as a share of wall time; none where it has no ceiling."""
    return cause.ceiling.wall_share if cause.ceiling is not None else 0.0

"""The steady chunk of a case over all its processes, in the cells that several tables share."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.analysis.chunks import (
    ChunkTiming,
    chunk_timing,
    event_over_processes,
    fps_over_processes,
)
from harness.analysis.experiment import Location
from harness.report.cells import (
    INTERVAL,
    Cell,
    Column,
    Inline,
    Line,
    Source,
    between,
    count,
    line,
    number,
    percent,
    rate,
)
from harness.report.material import Material, of_all
from harness.result import Result


@dataclass(frozen=True)
class Steady:
    """Times of one case; values are geometric means over its processes."""

    results: tuple[Result, ...]
    timings: tuple[ChunkTiming, ...]  # of each process
    chunk_ms: Location
    fps: Location
    event_ms: Location | None

    @property
    def wall(self) -> tuple[Source, ...]:
        """Where the chunks' times lie."""
        return of_all(self.results, "/chunks/*/wall_ms")

    @property
    def frames(self) -> tuple[Source, ...]:
        """Where the chunks' frames lie."""
        return of_all(self.results, "/chunks/*/frames")

    def chunk_cells(self, several: bool) -> list[Inline]:
        """The chunk's time; where a case has several processes also interval and their number."""
        cells: list[Inline] = [number(self.chunk_ms.value, *self.wall)]
        if several:
            cells.append(between(number, self.chunk_ms.low, self.chunk_ms.high, *self.wall))
            cells.append(count(len(self.results), *self.wall))
        return cells

    def samples_cell(self) -> Cell:
        """Steady chunks of all processes."""
        return count(sum(timing.wall_ms.n for timing in self.timings), *self.wall)

    def spread_cell(self) -> Cell:
        """Quartiles over median, of the process where they lie furthest apart."""
        return percent(max(t.wall_ms.relative_iqr for t in self.timings), *self.wall)

    def range_cells(self) -> list[Inline]:
        """Quartiles' distance of that process, least and largest chunk of all."""
        spreads = [timing.wall_ms for timing in self.timings]
        values = (
            max(spread.iqr for spread in spreads),
            min(spread.minimum for spread in spreads),
            max(spread.maximum for spread in spreads),
        )
        return [number(value, *self.wall) for value in values]

    def event_cell(self) -> Cell:
        """The chunk by GPU events."""
        event = of_all(self.results, "/chunks/*/event_ms")
        return number(self.event_ms.value if self.event_ms else None, *event)

    def fps_cell(self) -> Cell:
        """Frames per second."""
        return rate(self.fps.value, *self.frames, *self.wall)


def steady_of(material: Material, result: Result) -> Steady | None:
    """The steady chunk of a case; None without steady chunks."""
    results = [one for one in material.processes(result) if chunk_timing(one) is not None]
    timings = [timing for one in results if (timing := chunk_timing(one)) is not None]
    chunk_ms, fps = material.chunk(result), fps_over_processes(results)
    if chunk_ms is None or fps is None:
        return None
    event_ms = event_over_processes(results)
    return Steady(tuple(results), tuple(timings), chunk_ms, fps, event_ms)


def chunk_heads(several: bool) -> list[str | Column]:
    """Heads of `Steady.chunk_cells`."""
    more: list[str | Column] = [INTERVAL, ">Processes"] if several else []
    return [">Chunk, wall (ms)", *more]


def processes_note(shown: Iterable[Steady]) -> Line | None:
    """What the values are where a case has several processes; None where none has."""
    if not any(len(steady.results) > 1 for steady in shown):
        return None
    return line(
        "Where a case has several processes, values are geometric means of their medians with the ",
        INTERVAL.label,
        " of the chunk's time, and quartiles are of the process where they lie furthest apart. "
        "Sections below that look into one process take the first.",
    )

"""The section "What changed" of a comparison: causes with their cost, and the account of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.change_chunk import CIRCUMSTANCES
from harness.analysis.change_evidence import LEAST_WORK, count_changed
from harness.analysis.change_sides import Side, Sides
from harness.analysis.changed_causes import ChangedCause
from harness.analysis.claims import Measured
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Source,
    Table,
    count,
    decimals,
    line,
    percent,
    table,
)
from harness.report.changed import BY_BUSY, Changed, Cost
from harness.report.words import cell
from harness.result import Result
from harness.runtime_calls import Role
from harness.store import result_name

PLANS = ("a/run.json#/cases", "b/run.json#/cases")
ROLES: dict[Role, str] = {
    "launch": "Calls that launch kernels",
    "copy": "Calls that copy or fill",
    "sync": "Calls that wait for the GPU",
    "memory": "Calls that take or give back memory",
}
MOST_PARTS = 12
WALL, BUSY = "/chunks/*/wall_ms", "/busy/*/busy_ms"


@dataclass(frozen=True)
class ChangedView:
    """One pair of cases."""

    label: Cell
    summary: Line
    top: Line
    causes: Table | None
    parts: Table | None
    host: Table | None


def changed_views(found: Sequence[Changed]) -> tuple[ChangedView, ...]:
    """Every pair with profiles."""
    return tuple(_View(one).view() for one in found)


class _View:
    """One pair; knows on which side a result lies."""

    def __init__(self, changed: Changed) -> None:
        self.changed, self.both = changed, changed.changes.both

    def view(self) -> ChangedView:
        told = self.changed.told
        return ChangedView(
            label=Cell(self.changed.pair.label, PLANS, "code"),
            summary=self._summary(),
            top=self._top(),
            causes=self._causes() if told.causes else None,
            parts=self._parts(),
            host=self._host(),
        )

    def _of(self, result: Result, path: str) -> Source:
        side = "a" if any(result is one for one in self.changed.pair.a) else "b"
        return f"{side}/cases/{result_name(result.case_id, result.process)}#{path}"

    def _sides(self, path: str) -> tuple[Source, ...]:
        """A path in the profiled results of both sides."""
        return tuple(self._of(side.result, path) for side in (self.both.a, self.both.b))

    def _chunk(self, field: str) -> tuple[Source, ...]:
        """A field of the profiled chunk of both sides."""
        return tuple(
            self._of(side.result, f"{side.cells.slot.path}/{field}")
            for side in (self.both.a, self.both.b)
        )

    def _summary(self) -> Line:
        told = self.changed.told
        words: list[Inline | str] = ["Wall time of a chunk: "]
        words += [self._cost(told.wall, self._sides(WALL))]
        if told.busy is not None:
            words += ["; GPU-busy time: ", self._cost(told.busy, self._sides(BUSY))]
            at = (*self._sides(WALL), *self._chunk("parts"))
            words += ["; idle time of the GPU: ", _signed(told.idle_ms, *at)]
            words += [", of it without a recorded cause ", _signed(told.unexplained_ms, *at)]
        return line(*words, ".")

    def _top(self) -> Line:
        causes = self.changed.changes.causes
        if not causes:
            return line("No changed cause.")
        largest = causes[0]
        at = self._cost_sources(largest)
        words: list[Inline | str] = ["Top changed cause: ", Cell(largest.what, at, "strong")]
        words += [", ", _signed(largest.change_ms, *at), " or "]
        return line(*words, percent(largest.share, *at), " of A's wall time.")

    def _causes(self) -> Table | None:
        rows: list[tuple[Inline | str, ...]] = []
        for cause in self.changed.changes.causes:
            at = self._cost_sources(cause)
            told = self.changed.told
            held = told.busy if cause.cause in BY_BUSY and told.busy else told.wall
            rows.append(
                (
                    Cell(cause.what, at),
                    _number(cause.change_ms, *at),
                    _number(cause.gpu_ms, *at),
                    _number(cause.idle_ms, *at),
                    percent(cause.share, *at),
                    self._held(held, cause),
                    self._words(cause),
                )
            )
        heads = (
            "Cause", ">Change (ms)", ">GPU work (ms)", ">GPU idle (ms)", ">Of A's wall time",
            "Held against", "Evidence",
        )  # fmt: skip
        return table(heads, rows)

    def _held(self, held: Cost, cause: ChangedCause) -> Cell:
        """The whole difference of the measure that the cause belongs to, with its interval."""
        busy = cause.cause in BY_BUSY and self.changed.told.busy is not None
        name, path = ("GPU-busy", BUSY) if busy else ("wall", WALL)
        return Cell(f"{name} {_interval(held)}", self._sides(path))

    def _cost(self, told: Cost, at: tuple[Source, ...]) -> Cell:
        return Cell(_interval(told), at)

    def _cost_sources(self, cause: ChangedCause) -> tuple[Source, ...]:
        return (*self._chunk("parts"), *(self._sides(WALL) if cause.idle_ms else ()))

    def _words(self, cause: ChangedCause) -> Line:
        parts = [
            self._measured(p) if isinstance(p, Measured) else self._text(p) for p in cause.words
        ]
        return line(*parts) if parts else line(NOTHING)

    def _text(self, text: str) -> Cell:
        """Words, which may name a part or an operator of the record."""
        return Cell(text, self._chunk("parts"))

    def _measured(self, number: Measured) -> Cell:
        at = tuple(self._of(result, path) for result in number.results for path in number.paths)
        return Cell(cell(number).text, at)

    def _parts(self) -> Table | None:
        """Parts whose work or kernels changed, the largest change first."""
        both = self.both
        chosen = [part for part in both.parts if _changed(both, part)]
        chosen.sort(key=lambda part: -abs(_device(both.b, part) - _device(both.a, part)))
        parts, operators = self._chunk("parts"), self._chunk("operators")
        rows: list[tuple[Inline | str, ...]] = []
        for part in chosen[:MOST_PARTS]:
            row: list[Inline | str] = [Cell(part, parts, "code") if part else "in no part"]
            for side, at in zip((both.a, both.b), parts, strict=True):
                row += [Cell(decimals(_device(side, part)), (at,))]
            for side, at in zip((both.a, both.b), parts, strict=True):
                row += [count(side.cells.kernels.get(part, 0), at)]
            for side, at in zip((both.a, both.b), operators, strict=True):
                row += [count(side.cells.reads.get(part, 0), at)]
            rows.append(tuple(row))
        heads = (
            "Part", ">GPU time, A (ms)", ">B (ms)", ">Kernels, A", ">B", ">Values read, A", ">B",
        )  # fmt: skip
        return table(heads, rows)

    def _host(self) -> Table | None:
        """What the host called, and how fast it was."""
        both, calls = self.both, self._chunk("host_calls")
        rows: list[tuple[Inline | str, ...]] = []
        for role, label in ROLES.items():
            made = [side.calls[role] for side in (both.a, both.b)]
            if any(made):
                pairs = zip(made, calls, strict=True)
                rows.append((label, *(count(number, at) for number, at in pairs)))
        for field, (label, unit) in CIRCUMSTANCES.items():
            values = [side.mean_state(field) for side in (both.a, both.b)]
            path = f"/chunks/*/state/{field}"
            if values[0] is not None and values[1] is not None:
                results = (both.a.result, both.b.result)
                cells = [
                    self._measured(Measured(value, unit, (result,), (path,)))
                    for value, result in zip(values, results, strict=True)
                    if value is not None
                ]
                rows.append((f"{label[0].upper()}{label[1:]}, mean before any profiler", *cells))
        return table(("The host", ">A", ">B"), rows)


def _changed(both: Sides, part: str) -> bool:
    change_ms = _device(both.b, part) - _device(both.a, part)
    kernels = (side.cells.kernels.get(part, 0) for side in (both.a, both.b))
    return abs(change_ms) >= LEAST_WORK * both.a.wall_ms or count_changed(*kernels)


def _device(side: Side, part: str) -> float:
    return side.cells.device_ms.get(part, 0.0)


def _signed(value_ms: float, *at: Source) -> Cell:
    return Cell(f"{_plus(value_ms)} ms", at)


def _number(value_ms: float, *at: Source) -> Cell:
    return Cell(_plus(value_ms), at)


def _plus(value_ms: float) -> str:
    return f"{'+' if value_ms > 0 else ''}{decimals(value_ms)}"


def _interval(told: Cost) -> str:
    """The difference, and its interval where several processes give one."""
    text = f"{_plus(told.ms)} ms"
    if told.low_ms is None or told.high_ms is None:
        return text
    return f"{text} ({_plus(told.low_ms)} to {_plus(told.high_ms)})"

"""How far to trust this: targets beside what the self-check measured, planted delays, causes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.analysis.causes import LEAST_RHO, MOST_P, Quantity, Reading, Words
from harness.analysis.comparisons import Measure
from harness.analysis.experiment import Verdict
from harness.analysis.planted import Planted
from harness.analysis.targets import PATHS, TARGETS
from harness.analysis.trust import Trust
from harness.report.beside import TrustFound, home, source, trouble_lines
from harness.report.cells import (
    INTERVAL,
    NOTHING,
    Cell,
    Column,
    Inline,
    Line,
    Source,
    Table,
    between,
    count,
    line,
    ms,
    number,
    percent,
    ratio,
    table,
)
from harness.report.material import Material, plan

OUTCOMES = ("met", "missed", "undecided", "not measured")


@dataclass(frozen=True)
class TrustSection:
    """The section; without a self-check only `missing` and what could not be read."""

    missing: Line | None
    troubles: tuple[Line, ...]
    origin: Line | None
    targets: Table | None
    causes: tuple[Line, ...]
    causes_note: Line | None
    planted: Table | None
    planted_note: Line | None


def trust_section(material: Material, found: TrustFound) -> TrustSection:
    """The section from the run itself, or from the self-check beside it."""
    troubles = trouble_lines(found.troubles)
    if found.trust is None:
        command = Cell("invoke selfcheck", form="code")
        missing = line("Not measured yet on this GPU; ", command, " does.")
        return TrustSection(missing, troubles, None, None, (), None, None, None)
    told = _Told(material, found.trust)
    causes = told.causes()
    return TrustSection(
        missing=None,
        troubles=troubles,
        origin=told.origin(),
        targets=told.targets(),
        causes=causes,
        causes_note=_causes_note() if causes else None,
        planted=told.planted(),
        planted_note=told.planted_note(),
    )


def _causes_note() -> Line:
    return line(
        "A circumstance is named where Spearman's rank correlation with the time has a p below ",
        Cell(f"{MOST_P:g}", ("rule#MOST_P",)),
        " and reaches ",
        Cell(f"{LEAST_RHO:g}", ("rule#LEAST_RHO",)),
        " either way.",
    )


MET_PROFILER = (
    "These processes had met the profiler before their timed blocks, to size the delays; their "
    "wall times are not comparable with those of other cases."
)


@dataclass(frozen=True)
class _Told:
    """The words about one self-check, with sources as seen from the reported run."""

    material: Material
    trust: Trust

    def origin(self) -> Line:
        """Which run this is from, and how its targets came out."""
        manifest = self.trust.run.manifest
        own = not home(self.material, self.trust.run)
        cases = self._plan("/cases")
        words: list[Inline | str] = ["From this run" if own else "From the self-check "]
        words += [] if own else [Cell(manifest.run_id, (self._plan("/run_id"),), "code")]
        words += [" of ", Cell(manifest.created_utc[:10], (self._plan("/created_utc"),))]
        words += [", ", count(len(self.trust.results), cases), " fresh processes. Targets: "]
        for outcome in OUTCOMES:
            number_of = sum(check.outcome == outcome for check in self.trust.checks)
            words += [f"{outcome} ", count(number_of, cases), ", "] if number_of else []
        met_profiler = any(result.planted_ms for result in self.trust.results)
        words[-1] = ". " + MET_PROFILER if met_profiler else "."
        return line(*words)

    def targets(self) -> Table | None:
        """Every target with its value."""
        rows: list[tuple[Inline | str, ...]] = []
        for check in self.trust.checks:
            at = self._sources(check.readings)
            low, high = check.interval or (None, None)
            outcome = f"{check.outcome}: {check.reason}" if check.reason else check.outcome
            rows.append(
                (
                    Cell(check.id),
                    check.what,
                    percent(check.value, *at),
                    between(percent, low, high, *at),
                    percent(TARGETS[check.target], f"rule#{check.target}"),
                    Cell(outcome, (self._plan(""),), "strong" if check.cause else "text"),
                )
            )
        heads = ("", "What", ">Measured", INTERVAL, ">Target, at most", "Outcome")
        return table(heads, rows)

    def causes(self) -> tuple[Line, ...]:
        """Why targets were missed, those with the same cause together."""
        found: dict[str, tuple[list[str], Line]] = {}
        for check in self.trust.checks:
            if check.cause is not None:
                words = line(*self._words(check.cause), ".")
                names, _ = found.setdefault(words.__html__(), ([], words))
                names.append(f"{check.id} ({check.what})")
        return tuple(line(f"{', '.join(names)}: ", words) for names, words in found.values())

    def planted(self) -> Table | None:
        """Every arm with a known truth."""
        rows = [self._planted_row(item) for item in self.trust.planted]
        heads: list[str | Column] = ["Arm", ">Planted (ms)", ">Of the base"]
        if self._busy:
            heads += [">GPU-busy / base", INTERVAL, "Verdict"]
        heads += [">Wall / base", INTERVAL, "Verdict by wall time", "Expected", "Outcome"]
        return table(heads, rows)

    def planted_note(self) -> Line | None:
        """Which time decides."""
        if not self.trust.planted:
            return None
        if self._busy:
            return line(
                "GPU-busy time decides: the delays are kernels that spin on the GPU. Wall time "
                "shows them only where it does not wait for the host."
            )
        return line("Wall time decides: a CPU has no GPU-busy time, and its delays are loops.")

    @property
    def _busy(self) -> bool:
        return any(item.busy is not None for item in self.trust.planted)

    def _planted_row(self, item: Planted) -> tuple[Inline | str, ...]:
        times = self._every(PATHS[item.decides][0], item)
        planted = (
            self._every(f"/planted_ms/{item.arm}", item) if item.planted_ms is not None else ()
        )
        row: list[Inline | str] = [
            Cell(item.arm, form="code"),
            number(item.planted_ms, *planted),
            percent(item.planted_share, *planted, *times),
        ]
        if self._busy:
            row += self._verdict(item, item.busy, "busy")
        row += self._verdict(item, item.wall, "wall")
        outcome = "as expected" if item.as_expected else "not as expected"
        if not item.as_expected and item.call == "undecided":
            outcome = "undecided"
        return (*row, " or ".join(item.expected), Cell(outcome, form="strong"))

    def _verdict(
        self, item: Planted, found: Verdict | None, measure: Measure
    ) -> tuple[Inline, ...]:
        if found is None:
            return NOTHING, NOTHING, NOTHING
        at = self._every(PATHS[measure][0], item)
        interval = between(ratio, found.ratio.low, found.ratio.high, *at)
        return ratio(found.ratio.value, *at), interval, Cell(found.call)

    def _words(self, words: Words) -> list[Inline | str]:
        return [part if isinstance(part, str) else self._quantity(part) for part in words]

    def _quantity(self, part: Quantity) -> Cell:
        at = self._sources(part.readings)
        if part.unit == "count":
            return count(int(part.value), *at)
        forms: dict[str, Callable[..., Cell]] = {"share": percent, "ms": ms, "rho": ratio}
        return forms[part.unit](part.value, *at)

    def _sources(self, readings: Iterable[Reading]) -> tuple[Source, ...]:
        return tuple(
            source(self.material, reading.run, result, reading.path)
            for reading in readings
            for result in reading.results
        )

    def _every(self, path: str, item: Planted) -> tuple[Source, ...]:
        return self._sources([Reading(self.trust.run, item.results, path)])

    def _plan(self, path: str) -> Source:
        return home(self.material, self.trust.run) + plan(path)

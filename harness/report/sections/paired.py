"""Compiled against eager in the same processes: ratio, interval and verdict, wall and GPU-busy."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.analysis.comparisons import TIMES, Measure, compare_arms, over_processes
from harness.analysis.experiment import Verdict
from harness.analysis.findings import doubts
from harness.analysis.repeatability import COMPILED
from harness.analysis.targets import PATHS, WORDS
from harness.arms import BASE_ARM
from harness.report.cells import (
    INTERVAL,
    Cell,
    Inline,
    Line,
    Source,
    Table,
    between,
    count,
    line,
    number,
    percent,
    ratio,
    table,
)
from harness.report.material import Material, case_label, of, of_all
from harness.result import Result


@dataclass(frozen=True)
class Pair:
    """One time of one paired case, compiled over eager."""

    label: str
    measure: Measure
    results: tuple[Result, ...]
    eager_ms: float
    compiled_ms: float
    verdict: Verdict
    doubts: tuple[str, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where its times were read."""
        return of_all(self.results, PATHS[self.measure][0])


def compiled_pairs(material: Material) -> list[Pair]:
    """Every paired case with a compiled arm, its wall time first."""
    return [pair for result in material.results for pair in _pairs(material, result)]


def _pairs(material: Material, result: Result) -> list[Pair]:
    if COMPILED not in result.case.arms:
        return []
    results = material.processes(result)
    label = case_label(result).text.partition(",")[0].lower()
    found = []
    for measure in TIMES:
        verdict = compare_arms(results, COMPILED, measure)
        eager = over_processes(results, measure, BASE_ARM)
        compiled = over_processes(results, measure, COMPILED)
        if verdict and eager and compiled:
            doubtful = tuple(doubts(*results))
            times = (eager.value, compiled.value)
            found.append(Pair(label, measure, tuple(results), *times, verdict, doubtful))
    return found


def pair_rows(pairs: Iterable[Pair]) -> Table | None:
    """The comparison as a table."""
    rows = []
    for pair in pairs:
        found, at = pair.verdict, pair.sources
        label = f"Chunk, {pair.label}, {WORDS[pair.measure]}"
        rows.append(
            (
                Cell(label, (of(pair.results[0], "/case"),), "strong"),
                number(pair.eager_ms, *at),
                number(pair.compiled_ms, *at),
                ratio(found.ratio.value, *at),
                between(ratio, found.ratio.low, found.ratio.high, *at),
                count(len(pair.results), *at),
                Cell(found.call),
                Cell(found.reason + confidence(pair)),
            )
        )
    heads = (
        "What",
        ">Eager (ms)",
        ">Compiled (ms)",
        ">Compiled / eager",
        INTERVAL,
        ">Processes",
        "Verdict",
        "Because",
    )
    return table(heads, rows)


def pair_sentence(pairs: list[Pair], lead: str = "") -> Line:
    """What both times of one case say."""
    first = pairs[0]
    words: list[Inline | str] = [lead, Cell(first.label, (of(first.results[0], "/case"),)), ": "]
    for index, pair in enumerate(pairs):
        found, at = pair.verdict.ratio, pair.sources
        words += ["; " * bool(index), f"{WORDS[pair.measure]} {pair.verdict.call} ("]
        words += [percent(abs(found.value - 1), *at)]
        words += [" shorter" if found.value < 1 else " longer"]
        if found.low is not None and found.high is not None:
            words += [", ratio ", ratio(found.value, *at), ", ", INTERVAL.label, " "]
            words += [between(ratio, found.low, found.high, *at)]
        words += [")"]
    words += [" in ", count(len(first.results), *first.sources), " processes that ran both"]
    return line(*words, f"{confidence(first)}.")


def by_case(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """The pairs of each case together."""
    cases: dict[str, list[Pair]] = {}
    for pair in pairs:
        cases.setdefault(pair.results[0].case_id, []).append(pair)
    return list(cases.values())


def confidence(pair: Pair) -> str:
    """Words to put behind a verdict; empty where nothing speaks against it."""
    return f"; low confidence: {', '.join(pair.doubts)}" if pair.doubts else ""

"""A comparison as its template prints it: cells that know their source in either run.

Sources begin with the side they lie on, `a/` or `b/`; the lint then looks into that run's folder.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from harness.analysis.comparisons import Measure, samples
from harness.analysis.environment import Difference
from harness.analysis.experiment import Ratio
from harness.analysis.pairs import CYCLES, Compared, Pair, Time
from harness.report.cells import NOTHING, Cell, Inline, Line, Source, Table, line, ratio, table
from harness.report.changed import changed_cases
from harness.report.changed_view import ChangedView, changed_views
from harness.report.comparison import Comparison
from harness.report.kept import deciding
from harness.report.lint import cells_of, check_template, check_view
from harness.report.material import plan
from harness.report.sides import Sides
from harness.report.templates import environment
from harness.result import Fact, Result
from harness.store import result_name

TEMPLATE = "comparison.md.j2"
LONGEST_VALUE = 80  # characters of a value in the table; the JSON has all of it
SAMPLES: dict[Measure, tuple[str, ...]] = {
    "wall": ("/chunks/*/wall_ms",),
    "busy": ("/busy/*/busy_ms",),
    "wall_cycles": ("/chunks/*/wall_ms", "/chunks/*/state/sm_clock_mhz"),
    "busy_cycles": ("/busy/*/busy_ms", "/busy/*/sm_clock_mhz"),
}
PLANS = ("a/run.json#/cases", "b/run.json#/cases")  # where the id of a case comes from
REMARKS = {"run.beside": "benches on other GPUs meanwhile; recorded where there were some"}
MEASURE_LABELS: dict[Time, str] = {"wall": "wall", "busy": "GPU-busy"}


@dataclass(frozen=True)
class ComparisonView:
    """The page, in the order of its sections."""

    runs: Table | None
    differences: Table | None
    verdicts: Table | None
    changed: tuple[ChangedView, ...]
    not_compared: tuple[Line, ...]
    warnings: tuple[Line, ...]
    call: Cell
    deciding: Cell  # the measures that the call rests on
    next_step: Line


def markdown(told: Comparison, sides: Sides) -> str:
    """The page. Raises UnsourcedNumberError for a number that no record contains."""
    view = ComparisonView(
        runs=_runs(sides),
        differences=table(("Key", "A", "B", "Remark"), _differences(sides)),
        verdicts=_verdicts(told, sides),
        changed=changed_views(changed_cases(sides)),
        not_compared=tuple(
            line(Cell(name, PLANS, "code"), f": {reason}")
            for name, reason in told.not_compared.items()
        ),
        warnings=tuple(line(Cell(text, PLANS)) for text in told.warnings),
        call=Cell(told.call, form="strong"),
        deciding=Cell(deciding(told.verdicts)),
        next_step=_next_step(told.next_step),
    )
    check_sides(view, sides.a.path, sides.b.path)
    jinja = environment()
    for template in (TEMPLATE, "macros.md.j2"):
        check_template(jinja, template)
    text = jinja.get_template(TEMPLATE).render(view=view)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def check_sides(view: object, a: Path, b: Path) -> None:
    """The lint of reports, each source in the folder of its side. Raises UnsourcedNumberError."""
    for cell in cells_of(view):
        rest = tuple(s for s in cell.sources if not s.startswith(("a/", "b/")))
        if len(rest) == len(cell.sources):
            check_view(cell, a)
        for side, folder in (("a/", a), ("b/", b)):
            own = tuple(s.removeprefix(side) for s in cell.sources if s.startswith(side))
            check_view(Cell(cell.text, own + rest) if own else Cell(""), folder)


def _next_step(text: str) -> Line:
    """The sentence, with what stands between backticks as code."""
    ids = ("a/run.json#/run_id", "b/run.json#/run_id", *PLANS)
    parts = enumerate(text.split("`"))
    return line(*(Cell(part, ids, "code" if at % 2 else "text") for at, part in parts))


def _runs(sides: Sides) -> Table | None:
    rows: list[tuple[Inline | str, ...]] = []
    for label, field in (("Run", "run_id"), ("Started", "created_utc"), ("Matrix", "matrix")):
        values = [str(getattr(run.manifest, field)) for run in (sides.a, sides.b)]
        cells = [Cell(v, (f"{s}/{plan(f'/{field}')}",)) for s, v in zip("ab", values, strict=True)]
        rows.append((label, *cells))
    return table(("", "A", "B"), rows)


def _differences(sides: Sides) -> list[tuple[Inline, ...]]:
    """A row for each key; for each case of a key whose values the cases do not share."""
    keys = Counter(one.key for _, one in sides.found)
    return [_difference(pair, one, named=keys[one.key] > 1) for pair, one in sides.found]


def _difference(pair: Pair, one: Difference, *, named: bool) -> tuple[Inline, ...]:
    text_a, text_b = one.texts
    from_a = _fact_source("a", pair.a[0], one.key, one.a)
    from_b = _fact_source("b", pair.b[0], one.key, one.b)
    asked = "the question" if one.role == "asked" else ""
    remark = ": ".join(filter(None, [asked, one.reason or REMARKS.get(one.key, "")]))
    if named:
        remark = "; ".join(filter(None, [f"in {pair.label}", remark]))
    return (
        Cell(one.key, from_a + from_b, "code"),
        Cell(_shortened(text_a, text_b), from_a),
        Cell(_shortened(text_b, text_a), from_b),
        Cell(remark, PLANS) if remark else NOTHING,
    )


def _fact_source(side: str, result: Result, key: str, fact: Fact | None) -> tuple[Source, ...]:
    """Where the value of a key lies; nowhere if the side does not record it."""
    head, _, rest = key.partition(".")
    own = f"{side}/cases/{result_name(result.case_id, result.process)}#"
    if fact is None:
        return ()
    if key == "runtime":
        return (f"{side}/{plan('/runtime')}",)
    if head == "case":
        return (f"{own}/case/{rest}",)
    if head == "clip":
        return (f"{own}/clips/*/sha256",)
    if key in result.provenance:
        return (f"{own}/provenance/{key}",)
    return (f"{side}/{plan(f'/facts/{key}')}",)


def _shortened(text: str, other: str) -> str:
    """A long value from shortly before the place where it differs from the other."""
    if len(text) <= LONGEST_VALUE:
        return text
    same = next(
        (i for i, (x, y) in enumerate(zip(text, other, strict=False)) if x != y), len(other)
    )
    start = max(0, min(same - LONGEST_VALUE // 4, len(text) - LONGEST_VALUE))
    end = start + LONGEST_VALUE
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _verdicts(told: Comparison, sides: Sides) -> Table | None:
    heads = (
        "Case",
        "Measure",
        ">B / A",
        ">Interval",
        ">In cycles",
        ">Processes",
        "Verdict",
        "Reason",
    )
    return table(
        heads,
        [
            _verdict(one, row.decides)
            for one, row in zip(sides.compared, told.verdicts, strict=True)
        ],
    )


def _verdict(one: Compared, decides: bool) -> tuple[Inline | str, ...]:
    found = one.time.ratio
    sources = compared_samples(one, one.measure)
    cycles = NOTHING
    if one.cycles is not None:
        cycles = ratio(one.cycles.ratio.value, *compared_samples(one, CYCLES[one.measure]))
    return (
        Cell(one.label, PLANS, "code"),
        MEASURE_LABELS[one.measure] + (", decides" if decides else ""),
        ratio(found.value, *sources),
        compared_interval(found, sources),
        cycles,
        Cell(f"{found.processes[0]} and {found.processes[1]}", sources),
        Cell(one.call, form="strong" if decides else "text"),
        one.reason,
    )


def compared_interval(found: Ratio, sources: tuple[Source, ...]) -> Cell:
    """The ends of a ratio's interval; nothing where there is none."""
    if found.low is None or found.high is None:
        return NOTHING
    return Cell(f"{found.low:.3f} to {found.high:.3f}", sources)


def compared_samples(one: Compared, measure: Measure) -> tuple[Source, ...]:
    """Where the values of a measure lie, in every process that has some."""
    return tuple(
        f"{side}/cases/{result_name(result.case_id, result.process)}#{path}"
        for side, results in (("a", one.pair.a), ("b", one.pair.b))
        for result in results
        if samples(result, measure, one.arm)
        for path in SAMPLES[measure]
    )

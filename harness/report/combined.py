"""One run held against several others: `invoke compare --a RUN --b RUN,RUN`.

Every other run is compared with the first as if it were alone; one table holds the verdicts, a
column a run. Several hosts or GPUs that a bench measured end with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.pairs import Compared
from harness.report.cells import NOTHING, Cell, Column, Line, Table, line, ratio, table
from harness.report.comparison import EXIT_CODES, WORST_FIRST, Comparison
from harness.report.comparison_view import (
    MEASURE_LABELS,
    PLANS,
    check_sides,
    compared_interval,
    compared_samples,
)
from harness.report.lint import check_template
from harness.report.sides import Sides
from harness.report.templates import environment
from harness.strict import Strict

COMBINED_VERSION = 1
TEMPLATE = "combined.md.j2"
B_NAME = ("b/run.json#/run_id",)


class Combined(Strict, frozen=True):
    """The comparisons of one run with others, and the worst of their verdicts."""

    schema_version: int
    comparisons: list[Comparison]
    exit_code: int


@dataclass(frozen=True)
class CombinedView:
    """The page: the first run, the verdicts, and what each other run differs in."""

    first: Cell
    verdicts: Table | None
    differences: tuple[Line, ...]


def combined(told: Sequence[Comparison]) -> Combined:
    """All comparisons as one value, with the exit code of the worst verdict."""
    worst = next(call for call in WORST_FIRST if any(one.call == call for one in told))
    return Combined(
        schema_version=COMBINED_VERSION, comparisons=list(told), exit_code=EXIT_CODES[worst]
    )


def combined_page(told: Sequence[Comparison], sides: Sequence[Sides]) -> str:
    """The page. Raises UnsourcedNumberError for a number that no record contains."""
    columns = [_column(one, side) for one, side in zip(told, sides, strict=True)]
    keys = dict.fromkeys(key for column in columns for key in column)
    rows = [
        (
            Cell(label, PLANS, "code"),
            measure,
            *(one.get((label, measure), NOTHING) for one in columns),
        )
        for label, measure in keys
    ]
    heads = [Column(Cell(side.names.b, B_NAME)) for side in sides]
    differ = [_difference(one, side) for one, side in zip(told, sides, strict=True)]
    for side, *shown in zip(sides, heads, columns, differ, strict=True):
        check_sides(shown, side.a.path, side.b.path)
    view = CombinedView(
        first=Cell(sides[0].names.a, ("a/run.json#/run_id",), "code"),
        verdicts=table(("Case", "Measure", *heads), rows),
        differences=tuple(differ),
    )
    jinja = environment()
    for template in (TEMPLATE, "macros.md.j2"):
        check_template(jinja, template)
    return jinja.get_template(TEMPLATE).render(view=view).strip() + "\n"


def _column(told: Comparison, sides: Sides) -> dict[tuple[str, str], Line]:
    """Verdicts of one of the others by case and measure."""
    return {
        (one.label, MEASURE_LABELS[one.measure]): _verdict(one, decides=row.decides)
        for one, row in zip(sides.compared, told.verdicts, strict=True)
    }


def _verdict(one: Compared, *, decides: bool) -> Line:
    sources = compared_samples(one, one.measure)
    interval = compared_interval(one.time.ratio, sources)
    within = () if interval is NOTHING else (" (", interval, ")")
    call = Cell(one.call, form="strong" if decides else "text")
    return line(ratio(one.time.ratio.value, *sources), *within, ", ", call)


def _difference(told: Comparison, sides: Sides) -> Line:
    keys = list(dict.fromkeys(one.key for one in told.differences))
    name = Cell(sides.names.b, B_NAME, "code")
    if not keys:
        return line(name, ": nothing that is recorded")
    return line(name, ": ", Cell(", ".join(keys), PLANS))

"""Comparisons that are kept beside the runs, under `reports/comparisons/`: what the index lists.

`invoke compare --out reports/comparisons/NAME` keeps one.
"""

from pathlib import Path

import msgspec

from harness.analysis.experiment import Call
from harness.errors import RecordError
from harness.intake import read_file
from harness.report.cells import Cell, Link, Table, table

KEPT = "comparisons"
DOCUMENT, TEXT = "comparison.json", "comparison.md"
LIMIT_BYTES = 1 << 20


class KeptComparison(msgspec.Struct, frozen=True):
    """The part of a comparison of two runs that the index shows."""

    a: str
    b: str
    across: list[str]
    call: Call


def kept_comparisons(reports: Path) -> dict[str, KeptComparison]:
    """By the name of their folder. Raises RecordError for one that cannot be read."""
    return {path.parent.name: _read(path) for path in sorted(reports.glob(f"{KEPT}/*/{DOCUMENT}"))}


def kept_table(comparisons: dict[str, KeptComparison]) -> Table | None:
    """A row for each; None without one."""
    return table(
        ("Comparison", "A", "B", "The question", "B is"),
        [_row(name, one) for name, one in comparisons.items()],
    )


def _row(name: str, one: KeptComparison) -> tuple[Cell | Link, ...]:
    at = f"{KEPT}/{name}/{DOCUMENT}#"
    return (
        Link(Cell(name, (at,)), f"{KEPT}/{name}/{TEXT}"),
        Cell(one.a, (f"{at}/a",)),
        Cell(one.b, (f"{at}/b",)),
        Cell(", ".join(one.across) or "the same again", (f"{at}/across",)),
        Cell(one.call, (f"{at}/call",)),
    )


def _read(path: Path) -> KeptComparison:
    try:
        return msgspec.json.decode(read_file(path, LIMIT_BYTES), type=KeptComparison)
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(
            f"{KEPT}/{path.parent.name}/{DOCUMENT} is not a comparison of two runs ({error})",
            next_step="make it again with `invoke compare --out`, or remove its folder",
        ) from error

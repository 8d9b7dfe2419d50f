"""Comparisons that are kept beside the runs, under `reports/comparisons/`: what the index lists.

`invoke compare --out reports/comparisons/NAME` keeps one.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from harness.analysis.experiment import Call
from harness.analysis.pairs import Time
from harness.errors import RecordError
from harness.intake import read_file
from harness.report.cells import Cell, Link, Table, table

KEPT = "comparisons"
DOCUMENT, TEXT = "comparison.json", "comparison.md"
LIMIT_BYTES = 1 << 20
MEASURE_WORDS: dict[Time, str] = {"wall": "wall time", "busy": "GPU-busy time"}


class Deciding(Protocol):
    """A verdict by a measure."""

    @property
    def measure(self) -> Time:
        """What was timed."""

    @property
    def decides(self) -> bool:
        """Whether the comparison's call rests on it."""


class KeptVerdict(msgspec.Struct, frozen=True):
    """Of a verdict in a comparison: whether it is by the measure that decides."""

    measure: Time
    decides: bool


class KeptComparison(msgspec.Struct, frozen=True):
    """The part of a comparison of two runs that the index shows."""

    a: str
    b: str
    across: list[str]
    verdicts: list[KeptVerdict]
    call: Call


def kept_comparisons(reports: Path) -> dict[str, KeptComparison]:
    """By the name of their folder. Raises RecordError for one that cannot be read."""
    return {path.parent.name: _read(path) for path in sorted(reports.glob(f"{KEPT}/*/{DOCUMENT}"))}


def kept_table(comparisons: dict[str, KeptComparison]) -> Table | None:
    """A row for each; None without one."""
    return table(
        ("Comparison", "A", "B", "The question", "B is", "By"),
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
        Cell(deciding(one.verdicts), (f"{at}/verdicts",)),
    )


def deciding(verdicts: Iterable[Deciding]) -> str:
    """In words the measures that a comparison's call rests on."""
    measures = dict.fromkeys(one.measure for one in verdicts if one.decides)
    return " and ".join(MEASURE_WORDS[measure] for measure in measures)


def _read(path: Path) -> KeptComparison:
    try:
        return msgspec.json.decode(read_file(path, LIMIT_BYTES), type=KeptComparison)
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(
            f"{KEPT}/{path.parent.name}/{DOCUMENT} is not a comparison of two runs ({error})",
            next_step="make it again with `invoke compare --out`, or remove its folder",
        ) from error

"""Comparisons that are kept beside the runs, under `reports/comparisons/`: what the index lists.

`invoke compare --out reports/comparisons/NAME` keeps one, of two runs or of one with several.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Protocol

import msgspec

from harness.analysis.experiment import Call
from harness.analysis.pairs import Time
from harness.errors import RecordError
from harness.intake import read_file
from harness.report.cells import Cell, Link, Table, table
from harness.store import NAME

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


class _Several(msgspec.Struct, frozen=True):
    """A comparison of one run with several; None in one of two runs."""

    comparisons: Annotated[list[KeptComparison], msgspec.Meta(min_length=2)] | None = None


def kept_comparisons(reports: Path) -> dict[str, list[KeptComparison]]:
    """By the name of their folder. Raises RecordError for one that cannot be read or linked to."""
    return {path.parent.name: _read(path) for path in sorted(reports.glob(f"{KEPT}/*/{DOCUMENT}"))}


def kept_table(comparisons: Mapping[str, Sequence[KeptComparison]]) -> Table | None:
    """A row for each two runs; None without any."""
    return table(
        ("Comparison", "A", "B", "The question", "B is", "By"),
        [
            _row(name, one, f"/comparisons/{number}" if len(several) > 1 else "")
            for name, several in comparisons.items()
            for number, one in enumerate(several)
        ],
    )


def _row(name: str, one: KeptComparison, place: str) -> tuple[Cell | Link, ...]:
    at = f"{KEPT}/{name}/{DOCUMENT}#"
    return (
        Link(Cell(name, (at,)), f"{KEPT}/{name}/{TEXT}"),
        Cell(one.a, (f"{at}{place}/a",)),
        Cell(one.b, (f"{at}{place}/b",)),
        Cell(", ".join(one.across) or "the same again", (f"{at}{place}/across",)),
        Cell(one.call, (f"{at}{place}/call",)),
        Cell(deciding(one.verdicts), (f"{at}{place}/verdicts",)),
    )


def deciding(verdicts: Iterable[Deciding]) -> str:
    """In words the measures that a comparison's call rests on."""
    measures = dict.fromkeys(one.measure for one in verdicts if one.decides)
    return " and ".join(MEASURE_WORDS[measure] for measure in measures)


def _read(path: Path) -> list[KeptComparison]:
    name = path.parent.name
    if NAME.fullmatch(name) is None:
        raise RecordError(
            f"{KEPT}/{name}/ has a name that the index cannot link to",
            next_step="rename it with lower-case letters, digits, - and _",
        )
    try:
        blob = read_file(path, LIMIT_BYTES)
        several = msgspec.json.decode(blob, type=_Several).comparisons
        return several or [msgspec.json.decode(blob, type=KeptComparison)]
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise RecordError(
            f"{KEPT}/{name}/{DOCUMENT} is not a comparison of runs ({why})",
            next_step="make it again with `invoke compare --out`, or remove its folder",
        ) from error

"""`invoke compare`: prints a comparison as Markdown or JSON, or keeps both in a folder."""

from dataclasses import dataclass
from pathlib import Path

from harness.analysis.pairs import Time, parse_measure
from harness.errors import StorageError, UsageError
from harness.report.combined import combined, combined_page
from harness.report.comparison import comparison
from harness.report.comparison_view import markdown
from harness.report.sides import Names, Sides, as_typed, load_sides
from harness.result import encode


@dataclass(frozen=True)
class Answer:
    """What a command prints, and the code it ends with."""

    text: str
    exit_code: int


def compare_runs(
    reports: Path,
    *,
    a: str,
    b: str,
    across: str | None = None,
    measure: str | None = None,
    out: str | None = None,
    as_json: bool = False,
) -> Answer:
    """Compares, and writes `comparison.md` and `comparison.json` into `out` if one is given.

    Raises UsageError for what cannot be compared, RecordError and StorageError.
    """
    if not a or not b:
        raise UsageError("two runs are needed", next_step="give --a RUN and --b RUN")
    if out == "":
        raise UsageError("--out is empty", next_step="name a folder, or leave it out")
    wanted = parse_measure(measure)
    others = [name.strip() for name in b.split(",")]
    if len(others) > 1:
        sides_of = [load_sides(reports, a, other, across) for other in others]
        return _all(sides_of, wanted, out=out, as_json=as_json)
    sides = load_sides(reports, a, b, across)
    typed = Names(as_typed(a, sides.a), as_typed(b, sides.b))
    told = comparison(sides, wanted, typed)
    if out is not None:
        kept = comparison(sides, wanted, sides.names)
        page = markdown(kept, sides).encode()
        _write(Path(out), {"comparison.md": page, "comparison.json": encode(kept)})
    if as_json:
        return Answer(encode(told).decode().rstrip("\n"), told.exit_code)
    if out is not None:
        lines = [f"{out}/comparison.md", *told.warnings, told.call, told.next_step]
        return Answer("\n".join(lines), told.exit_code)
    return Answer(markdown(told, sides).rstrip("\n"), told.exit_code)


def table_of_runs(runs: list[Path]) -> str:
    """The first of several runs of a bench held against each other one: their GPU is the question.

    Raises UsageError for what cannot be compared, and RecordError.
    """
    across = None if runs[0].parent.name == "cpu" else "gpu"
    sides = [load_sides(runs[0].parent, str(runs[0]), str(other), across) for other in runs[1:]]
    return _all(sides, None, out=None, as_json=False).text


def _all(sides: list[Sides], measure: Time | None, *, out: str | None, as_json: bool) -> Answer:
    told = [comparison(one, measure, one.names) for one in sides]
    both = combined(told)
    page = combined_page(told, sides)
    if out is not None:
        _write(Path(out), {"comparison.md": page.encode(), "comparison.json": encode(both)})
    text = encode(both).decode() if as_json else f"{out}/comparison.md" if out else page
    return Answer(text.rstrip("\n"), both.exit_code)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, blob in files.items():
            (folder / name).write_bytes(blob)
    except OSError as error:
        raise StorageError(
            f"cannot write the comparison into {folder.name}/ ({error.strerror})",
            next_step="give another --out",
        ) from error

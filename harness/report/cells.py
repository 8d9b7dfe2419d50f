"""What a template may print: text whose numbers carry where they come from.

A source is one of
    cases/<case>.json#/chunks/*/wall_ms    a path into a file of the run (`*`: every element)
    ../<run>/cases/<case>.json#/...        the same into a run beside it
    beside#<run>                           the folder of a run beside it
    published#<name>                       a figure of the published report
    rule#<name>                            a limit of an analysis rule
The lint (`report.lint`) resolves each. All formatting of numbers is here.
"""

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from harness.analysis.experiment import CONFIDENCE
from harness.report.markdown import code, escape, fence, one_line

Source = str


@dataclass(frozen=True)
class Cell:
    """A piece of text with its sources. `__html__` is what Jinja prints: escaped Markdown."""

    text: str
    sources: tuple[Source, ...] = ()
    form: Literal["text", "code", "strong", "struck"] = "text"

    def __html__(self) -> str:
        if self.form == "code":
            return code(self.text)
        text = escape(self.text)
        marks = {"strong": "**", "struck": "~~"}.get(self.form, "")
        return f"{marks}{text}{marks}"

    @property
    def html(self) -> Markup:
        """The text for places inside HTML, where Markdown has no meaning."""
        return Markup(html.escape(one_line(self.text)))


@dataclass(frozen=True)
class Line:
    """Cells in a row: a sentence."""

    cells: tuple[Cell, ...]

    def __html__(self) -> str:
        return "".join(cell.__html__() for cell in self.cells)


@dataclass(frozen=True)
class Block:
    """A fenced block of text from the record."""

    text: str
    sources: tuple[Source, ...]
    language: str = "text"

    def __html__(self) -> str:
        return fence(self.text, self.language)


@dataclass(frozen=True)
class Link:
    """A relative link to a file of the project. The target is made by us, the label may not be."""

    label: Cell
    target: str

    def __html__(self) -> str:
        return f"[{self.label.__html__()}]({self.target})"


Inline = Cell | Line | Link


@dataclass(frozen=True)
class Column:
    """Head of a column; numbers are set to the right."""

    label: Cell
    numeric: bool = False

    @property
    def rule(self) -> Markup:
        """The Markdown rule below the head."""
        return Markup("---:" if self.numeric else ":---")


@dataclass(frozen=True)
class Table:
    """Head and rows of equal length."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Inline, ...], ...]


def table(heads: Iterable[str | Column], rows: Iterable[Iterable[Inline | str]]) -> Table | None:
    """A table, or None without rows. A head that starts with `>` is of a numeric column."""
    columns = tuple(
        head
        if isinstance(head, Column)
        else Column(Cell(head.lstrip(">")), numeric=head.startswith(">"))
        for head in heads
    )
    body = tuple(
        tuple(Cell(value) if isinstance(value, str) else value for value in row) for row in rows
    )
    if any(len(row) != len(columns) for row in body):
        raise ValueError(f"a row does not have {len(columns)} cells")
    return Table(columns, body) if body else None


def line(*parts: Inline | str) -> Line:
    """A sentence of words and cells. Words hold no digit, or the lint objects."""
    cells: list[Cell] = []
    for part in parts:
        if isinstance(part, Line):
            cells.extend(part.cells)
        elif isinstance(part, Link):
            raise TypeError("a link stands alone")
        else:
            cells.append(Cell(part) if isinstance(part, str) else part)
    return Line(tuple(cells))


def listed(parts: Sequence[Inline]) -> Line:
    """Parts with commas, the last one after an "and"."""
    between = [", "] * (len(parts) - 2) + [" and "] * (len(parts) > 1) + [""]
    return line(*(piece for pair in zip(parts, between, strict=False) for piece in pair))


NOTHING = Cell("–")
INTERVAL = Column(
    Cell(f"{CONFIDENCE * 100:.0f} % interval", ("rule#CONFIDENCE",)), numeric=True
)  # over processes


def with_interval(words: str) -> Column:
    """Head of a value that has its interval in the same cell."""
    label = INTERVAL.label
    return Column(Cell(f"{words} ({label.text})", label.sources), numeric=True)


def decimals(value: float) -> str:
    """A number with about four significant digits and no exponent."""
    size = abs(value)
    places = 1 if size >= 100 else 2 if size >= 10 else 3
    return f"{value:,.{places}f}"


def number(value: float | None, *sources: Source) -> Cell:
    """A measured value in the unit of its column."""
    return NOTHING if value is None else Cell(decimals(value), sources)


def ms(value: float | None, *sources: Source) -> Cell:
    """Milliseconds with their unit."""
    return NOTHING if value is None else Cell(f"{decimals(value)} ms", sources)


def seconds(value: float | None, *sources: Source) -> Cell:
    """Seconds with their unit."""
    return NOTHING if value is None else Cell(f"{decimals(value)} s", sources)


def count(value: int | None, *sources: Source) -> Cell:
    """A whole number with thousands separated."""
    return NOTHING if value is None else Cell(f"{value:,d}", sources)


def percent(share: float | None, *sources: Source) -> Cell:
    """A share as a percentage."""
    if share is None:
        return NOTHING
    places = 1 if abs(share) >= 0.01 else 2
    value = round(share * 100, places) + 0.0  # no negative zero
    return Cell(f"{value:.{places}f} %", sources)


def ratio(value: float | None, *sources: Source) -> Cell:
    """A ratio of times with three decimals."""
    return NOTHING if value is None else Cell(f"{value:.3f}", sources)


def rate(value: float | None, *sources: Source) -> Cell:
    """Frames per second."""
    return NOTHING if value is None else Cell(f"{value:.2f}", sources)


def between(
    form: Callable[[float | None], Cell], low: float | None, high: float | None, *sources: Source
) -> Cell:
    """An interval, its ends in the form of the value."""
    if low is None or high is None:
        return NOTHING
    return Cell(f"{form(low).text} to {form(high).text}", sources)


def gibibytes(value: int | None, *sources: Source) -> Cell:
    """Bytes as GiB, small amounts as MiB."""
    if value is None:
        return NOTHING
    text = f"{value / 2**30:.2f} GiB" if value >= 2**28 else f"{value / 2**20:.1f} MiB"
    return Cell(text, sources)

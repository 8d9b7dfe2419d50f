"""Cells as HTML, and how they pass through Markdown untouched.

The HTML page is made of the same templates as the Markdown one. There a cell is printed as a
marker: its HTML, encoded so that Markdown finds nothing in it. The templates' own words are turned
into HTML, and only then do the markers become what they hold. So no text of a record is ever read
as Markdown, and all of it is escaped by one function.
"""

import html
import re

from jinja2 import Undefined
from markupsafe import Markup

from harness.report.cells import Block, Cell, Line, Link, Source
from harness.report.lint import NUMBER
from harness.report.markdown import one_line, visible

# Control characters: `markdown.visible` leaves none in a text.
START, END = "\x02", "\x03"
MARKER = re.compile(f"{START}([0-9a-f]*){END}")
MOST_SOURCES = 3  # that are named at a number
TAGS = {"text": "", "code": "code", "strong": "strong", "struck": "s"}
RELATIVE = re.compile(r"[\w./-]*(#[\w-]*)?")


def cell_html(value: Cell | Line | Link | Block) -> str:
    """What is printed of a cell. Raises ValueError for a link that leaves the project."""
    if isinstance(value, Line):
        return "".join(cell_html(cell) for cell in value.cells)
    if isinstance(value, Link):
        if not RELATIVE.fullmatch(value.target) or value.target.startswith("//"):
            raise ValueError(f"no relative link: {value.target!r}")
        return f'<a href="{html.escape(value.target)}">{cell_html(value.label)}</a>'
    if isinstance(value, Block):
        lines = "\n".join(visible(line).rstrip() for line in value.text.splitlines())
        return f'<pre tabindex="0"><code>{html.escape(lines)}</code></pre>'
    tag = TAGS[value.form]
    text = html.escape(one_line(value.text) if value.form == "code" else visible(value.text))
    if value.sources and NUMBER.search(value.text):
        text = f'<span title="{html.escape(_origin(value.sources))}">{text}</span>'
    return f"<{tag}>{text}</{tag}>" if tag and text else text


def held(value: object) -> object:
    """Jinja's `finalize` of the HTML page: a cell becomes a marker, other markup stays.

    Raises TypeError for what is neither.
    """
    if isinstance(value, Block):  # a block of its own, also for Markdown
        return Markup(f"<div>{_marker(value)}</div>")
    if isinstance(value, Cell | Line | Link):
        return Markup(_marker(value))
    if isinstance(value, Undefined | Markup):
        return value
    raise TypeError(f"a template printed {value!r}, which is not a cell")


def released(page: str) -> str:
    """The page with what its markers hold in their place."""
    return MARKER.sub(lambda match: bytes.fromhex(match[1]).decode(), page)


def _marker(value: Cell | Line | Link | Block) -> str:
    return f"{START}{cell_html(value).encode().hex()}{END}"


def _origin(sources: tuple[Source, ...]) -> str:
    """Where a number comes from, for its tooltip."""
    shown = "; ".join(_place(source) for source in sources[:MOST_SOURCES])
    more = len(sources) - MOST_SOURCES
    return f"{shown}; and {more} more" if more > 0 else shown


def _place(source: Source) -> str:
    """A source as one reads it: `cases/e2e-text-eager.json chunks[*].wall_ms`."""
    file, _, path = one_line(source).partition("#")
    steps = path.strip("/").split("/")
    inside = "".join(f"[{s}]" if s == "*" or s.isdecimal() else f".{s}" for s in steps)
    return f"{file} {inside.lstrip('.')}".strip()

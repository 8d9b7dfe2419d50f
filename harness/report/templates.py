"""The templates, compiled: they print cells alone, as Markdown or however `finalize` has it."""

import functools
import re
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, Undefined
from markupsafe import Markup

from harness.report.lint import check_template

TEMPLATES = Path(__file__).parents[2] / "templates"
# Templates that others include.
PARTS = ("macros.md.j2", "profile.md.j2", "fixes.md.j2", "limit.md.j2")

Finalize = Callable[[object], object]


def only_cells(value: object) -> object:
    """What prints itself as Markdown. Raises TypeError for bare strings and numbers."""
    if isinstance(value, Undefined | Markup) or hasattr(value, "__html__"):
        return value
    raise TypeError(f"a template printed {value!r}, which is not a cell")


def environment(templates: Path = TEMPLATES, finalize: Finalize = only_cells) -> Environment:
    """Jinja that prints only what escapes itself: cells, not bare strings or numbers."""
    return Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@functools.cache
def template(name: str, finalize: Finalize = only_cells) -> Template:
    """Checked and compiled once: that takes longer than to render a report."""
    jinja = environment(finalize=finalize)
    for part in (name, *PARTS):
        check_template(jinja, part)
    return jinja.get_template(name)


def rendered(name: str, view: object, finalize: Finalize = only_cells) -> str:
    """The template of this name with the view in it, without empty lines in a row."""
    text = template(name, finalize).render(view=view)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"

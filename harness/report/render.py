"""Writes reports: a run's `report.md` and figures, and the index over all runs.

Rendering the same records twice gives the same bytes. It needs neither torch, Docker nor a GPU.
"""

import functools
import os
import re
import tempfile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, Undefined
from markupsafe import Markup

from harness.errors import StorageError
from harness.intake import refuse_links
from harness.report.index import index_view
from harness.report.lint import check_template, check_view
from harness.report.view import Report, build
from harness.store import RunFolder, all_runs, runs

TEMPLATES = Path(__file__).parents[2] / "templates"
REPORT = "report.md"
INDEX = "README.md"
FIGURES = "figures"
# Templates that others include.
PARTS = ("macros.md.j2", "profile.md.j2", "fixes.md.j2", "limit.md.j2")


def render_run(path: Path) -> Path:
    """Renders the run in the folder `path` and returns the path of its report.

    Raises RecordError for a damaged or newer record, StorageError if the report cannot be written,
    UnsourcedNumberError if it would hold a number that no record contains.
    """
    report = build(RunFolder(path).load())
    text = page(report, path)
    _check_figures(path)
    for name, blob in report.figures.items():
        _write(path / FIGURES / name, blob)
    for stale in (path / FIGURES).glob("*.svg"):
        if stale.name not in report.figures:
            stale.unlink()
    _write(path / REPORT, text.encode())
    return path / REPORT


def page(report: Report, path: Path) -> str:
    """The report of the run in `path` as Markdown.

    Raises UnsourcedNumberError if it would hold a number that no record contains.
    """
    check_view(report.view, path)
    return _render("report.md.j2", report.view)


def render_all(reports: Path) -> list[Path]:
    """Renders every run under `reports` and the index; returns the paths, the index last."""
    rendered = [render_run(path) for path in runs(reports)]
    return [*rendered, render_index(reports)]


def render_index(reports: Path) -> Path:
    """Renders the index over all runs and returns its path."""
    view = index_view(list(all_runs(reports)))
    check_view(view, reports)
    _write(reports / INDEX, _render("index.md.j2", view).encode())
    return reports / INDEX


def environment(templates: Path = TEMPLATES) -> Environment:
    """Jinja that prints only what escapes itself: cells, not bare strings or numbers."""
    return Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_only_cells,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _only_cells(value: object) -> object:
    if isinstance(value, Undefined | Markup) or hasattr(value, "__html__"):
        return value
    raise TypeError(f"a template printed {value!r}, which is not a cell")


@functools.cache
def _template(name: str) -> Template:
    """Checked and compiled once: that takes longer than to render a report."""
    jinja = environment()
    for template in (name, *PARTS):
        check_template(jinja, template)
    return jinja.get_template(name)


def _render(name: str, view: object) -> str:
    text = _template(name).render(view=view)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _check_figures(run: Path) -> None:
    """Before figures are written or removed: their folder is the run's own."""
    try:
        refuse_links(run, run / FIGURES)
    except ValueError as error:
        raise StorageError(f"run {run.name}: {error}", next_step="remove the link") from error


def _write(target: Path, blob: bytes) -> None:
    """Replaces the file in one step. Raises StorageError."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".rendering-", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(blob)
            os.chmod(name, 0o644)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise StorageError(
            f"cannot write {target.name} into {target.parent.name}/ ({error.strerror})",
            next_step="free space or fix the folder's permissions, then run `invoke report`",
        ) from error

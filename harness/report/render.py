"""Writes reports: a run's `report.md` and figures, and the pages over all runs.

Rendering the same records twice gives the same bytes. It needs neither torch, Docker nor a GPU.
"""

import os
import tempfile
from pathlib import Path

from harness.errors import StorageError
from harness.intake import refuse_links
from harness.report.gpu_page import gpu_view
from harness.report.index import PAGE, index_view
from harness.report.kept import kept_comparisons, kept_table
from harness.report.lint import check_view
from harness.report.templates import rendered
from harness.report.view import Report, build
from harness.report.web.page import web_page
from harness.run import Run
from harness.store import RunFolder, all_runs, runs

REPORT = "report.md"
WEB_PAGE = "report.html"  # made on request, and kept out of version control
GPUS, TREND = "gpus.svg", "trend.svg"  # beside the index, beside a GPU's page
FIGURES = "figures"


def render_run(path: Path, *, web: bool = False) -> Path:
    """Renders the run in the folder `path` and returns the path of its report.

    With `web`, the same as one HTML file, whose path is returned. One that is there already is
    rendered too, so that it never says other than `report.md`.

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
    if web or (path / WEB_PAGE).exists():
        _write(path / WEB_PAGE, web_page(report).encode())
    return path / (WEB_PAGE if web else REPORT)


def page(report: Report, path: Path) -> str:
    """The report of the run in `path` as Markdown.

    Raises UnsourcedNumberError if it would hold a number that no record contains.
    """
    check_view(report.view, path)
    return rendered("report.md.j2", report.view)


def render_all(reports: Path, *, web: bool = False) -> list[Path]:
    """Renders every run under `reports` and the pages over them; the index comes last."""
    return [*(render_run(path, web=web) for path in runs(reports)), *render_index(reports)]


def render_index(reports: Path) -> list[Path]:
    """Renders a page for each GPU and the index over all runs; returns their paths."""
    by_gpu: dict[str, list[Run]] = {}
    for run in all_runs(reports):
        by_gpu.setdefault(run.manifest.gpu_slug, []).append(run)
    pages = []
    for slug, of_gpu in sorted(by_gpu.items()):
        own = gpu_view(of_gpu)
        pages.append(_over_runs(reports / slug, "gpu.md.j2", own, {TREND: own.figure}))
    kept = kept_table(kept_comparisons(reports))
    view = index_view([run for of_gpu in by_gpu.values() for run in of_gpu], kept)
    return [*pages, _over_runs(reports, "index.md.j2", view, {GPUS: view.figure})]


def _over_runs(folder: Path, name: str, view: object, figures: dict[str, bytes | None]) -> Path:
    """Writes a page over several runs, and its figures beside it."""
    check_view(view, folder)
    for figure, blob in figures.items():
        if blob is not None:
            _write(folder / figure, blob)
        else:
            (folder / figure).unlink(missing_ok=True)
    _write(folder / PAGE, rendered(name, view).encode())
    return folder / PAGE


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

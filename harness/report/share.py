"""`invoke share` and `invoke add`: a run leaves as one file, and comes in through the same checks.

A run that names its host or its user is not packed. One that comes in must load, state where its
numbers come from, name nobody and render, all of that in a folder aside, before it gets its place.
"""

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from harness.errors import PrivacyError, RecordError, ReportError, StorageError, UsageError
from harness.identifying import Names, names_of_host
from harness.origin import mark_added
from harness.parcel import pack, unpack
from harness.report.audit import check_provenance
from harness.report.kept import KEPT
from harness.report.public import check_public
from harness.report.render import render_index, render_run
from harness.result import UPGRADE, Result
from harness.run import Manifest, Run, slug
from harness.store import MANIFEST, RunFolder

ASIDE = ".adding-"  # a folder under reports/, and not in git


def share(reports: Path, run: str, out: str | None = None) -> str:
    """Packs a run into a new file, `<gpu>-<run>.tar.gz` unless `out` names it; says what it did.

    Raises PrivacyError where the run says too much, UsageError, RecordError, StorageError.
    """
    if not run:
        raise UsageError("a run is needed", next_step="give --run RUN")
    folder = RunFolder.find(reports, run)
    render_run(folder.path)
    scanned = check_public(folder.path, Names(names_of_host()))
    manifest = folder.manifest()
    target = Path(out or f"{manifest.gpu_slug}-{manifest.run_id}.tar.gz")
    packed = pack(folder, target)
    return (
        f"{manifest.run_id}: {scanned} files name neither host nor user\n"
        f"{target}: {packed} files, {target.stat().st_size >> 10} KiB; "
        f"add it elsewhere with `invoke add --file {shlex.quote(target.name)}`"
    )


def add(reports: Path, file: str, by: str | None = None) -> list[Path]:
    """Checks a packed run and gives it its place; returns its report and the index.

    It is marked as contributed, `by` the name that is given for who did.

    The caller holds the reports folder. Raises RecordError for what is no sound run, ReportError
    and PrivacyError for one that could not be published, UsageError for one that is there already.
    """
    if not file:
        raise UsageError("a file is needed", next_step="give --file FILE")
    with _aside(reports) as folder:
        with _of_parcel(Path(file)):
            unpacked = unpack(Path(file), folder)
            run = _checked(unpacked, Path(file))
        mark_added(unpacked, by)
        place = reports / run.manifest.gpu_slug / run.manifest.run_id
        _check_new(run.manifest, reports)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(folder, place)
        except OSError as error:
            raise StorageError(
                f"run {place.name} cannot be moved into {place.parent.name}/ ({error.strerror})"
            ) from error
    return [render_run(place), *render_index(reports)]


def _checked(folder: RunFolder, file: Path) -> Run:
    run = folder.load()
    if not run.finished:
        raise UsageError(f"{file.name} holds no finished case", next_step="ask for a finished run")
    for result in run.finished:
        check_provenance(run, result)
        _check_gpu(run.manifest.gpu_slug, result)
    render_run(folder.path)
    check_public(folder.path, Names(names_of_host()))
    return run


def _check_gpu(of_plan: str, result: Result) -> None:
    """Raises RecordError where the plan puts a record among the runs of another GPU."""
    name = result.provenance["gpu.name"].value
    of_record = "cpu" if result.case.device == "cpu" else slug(str(name)) if name else ""
    # A slice of a GPU may have a longer name in one of the two.
    alike = of_plan.startswith(of_record) or of_record.startswith(of_plan)
    exact = "cpu" in (of_plan, of_record)
    if (of_plan != of_record if exact else not alike) or of_plan == KEPT:
        raise RecordError(
            f"its plan is of {of_plan}, its record {result.case_id} of {of_record or 'no GPU'}",
            next_step="both must be of one GPU",
        )


def _check_new(manifest: Manifest, reports: Path) -> None:
    """Raises UsageError for a run that is there already, under its own id or another."""
    for path in reports.glob("*/*"):
        if (path.name == manifest.run_id and path.is_dir()) or _is_copy(RunFolder(path), manifest):
            known = "" if path.name == manifest.run_id else f" as {path.name}"
            raise UsageError(
                f"run {manifest.run_id} is there already{known}, in {path.parent.name}/",
                next_step="nothing is overwritten; remove that one first if it is not yours",
            )


def _is_copy(folder: RunFolder, manifest: Manifest) -> bool:
    """Whether a plan is that of the folder's run under another name."""
    if not (folder.path / MANIFEST).is_file():
        return False
    there = folder.manifest()
    named = msgspec.structs.replace(there, run_id=manifest.run_id, gpu_slug=manifest.gpu_slug)
    return named == manifest


@contextmanager
def _of_parcel(file: Path) -> Iterator[None]:
    """What is wrong with a run that was sent is told with its file, and is not ours to repair."""
    try:
        yield
    except (RecordError, ReportError, PrivacyError) as error:
        if error.what.startswith(file.name) or error.next_step == UPGRADE:
            raise
        raise type(error)(
            f"{file.name}: {error.what}", next_step="nothing was added; ask its sender for another"
        ) from error


@contextmanager
def _aside(reports: Path) -> Iterator[Path]:
    """An empty folder beside the runs, for one that is not checked yet; removed at the end.

    It lies deeper than runs do, so that nothing takes it for one.
    """
    for left in reports.glob(f"{ASIDE}*"):
        shutil.rmtree(left, ignore_errors=True)  # of one that was killed: the folder is ours alone
    try:
        outer = Path(tempfile.mkdtemp(prefix=ASIDE, dir=reports))
        folder = outer / "unchecked" / "run"
        folder.mkdir(parents=True)
    except OSError as error:
        raise StorageError(
            f"cannot write into {reports.name}/ ({error.strerror})",
            next_step="free space or fix the folder's permissions",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(outer, ignore_errors=True)

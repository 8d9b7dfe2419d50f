"""`invoke share` and `invoke add`: a run leaves as one file, and comes in through the same checks.

A run that names its host or its user is not packed. One that comes in must load, state where its
numbers come from, name nobody and render, all of that in a folder aside, before it gets its place.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import StorageError, UsageError
from harness.identifying import Names, names_of_host
from harness.origin import mark_added
from harness.parcel import pack, unpack
from harness.report.audit import check_provenance
from harness.report.public import check_public
from harness.report.render import render_index, render_run
from harness.run import Run
from harness.store import RunFolder

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
        f"add it elsewhere with `invoke add --file {target.name}`"
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
        unpacked = unpack(Path(file), folder)
        run = _checked(unpacked, Path(file))
        mark_added(unpacked, by)
        place = reports / run.manifest.gpu_slug / run.manifest.run_id
        if there := [path for path in reports.glob(f"*/{place.name}") if path.is_dir()]:
            raise UsageError(
                f"run {place.name} is there already, in {there[0].parent.name}/",
                next_step="nothing is overwritten; remove that one first if it is not yours",
            )
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
    render_run(folder.path)
    check_public(folder.path, Names(names_of_host()))
    return run


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

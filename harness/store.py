"""A run's folder: `reports/<gpu>/<run>/`, write-once files, each on disk before the next case.

run.json                    the plan: what is measured, how and where (Manifest)
cases/<case>.json           a finished case (Result); its further processes: <case>.process-<n>.json
cases/<case>.failed-<n>.json   an attempt that did not finish (Failure)
cases/<...>.json.gz         a large one of them, compressed (`invoke compact`)
traces/<case>.json.gz       a profiled case's trace, for Perfetto (not in git)
report.md, figures/*.svg    rendered from the files above, can be deleted at any time
"""

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from harness.compact import COMPACT_FROM_BYTES, SUFFIX, compacted, document_name, read_document
from harness.errors import RecordError, StorageError, UsageError
from harness.intake import refuse_links
from harness.matrix import MOST_PROCESSES
from harness.result import (
    RECORD_LIMIT_BYTES,
    Failure,
    Record,
    Result,
    check_version,
    decode,
    encode,
)
from harness.run import Manifest, Run

MANIFEST = "run.json"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,95}")
RUN_LIMIT_BYTES = 256 * 2**20  # of all records together that a report is made from


class RunFolder:
    """Writes and reads one run. Nothing is ever overwritten."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, reports: Path, manifest: Manifest) -> "RunFolder":
        """A new folder with its manifest. Raises StorageError if it cannot be written."""
        folder = cls(reports / manifest.gpu_slug / manifest.run_id)
        folder._write(folder.path / MANIFEST, encode(manifest))
        return folder

    @classmethod
    def find(cls, reports: Path, run: str) -> "RunFolder":
        """The folder of a run, given by id or path. Raises UsageError if there is none."""
        direct = Path(run)
        if os.path.isfile(direct / MANIFEST):
            return cls(direct)
        matches = [path for path in runs(reports) if path.name == run]
        if len(matches) != 1:
            known = ", ".join(path.name for path in runs(reports)[-5:]) or "none yet"
            problem = "is ambiguous" if matches else "not found"
            raise UsageError(
                f"run '{run}' {problem} under {reports.name}/", next_step=f"known: {known}"
            )
        return cls(matches[0])

    def save(self, record: Record) -> Path:
        """Stores a record on disk (fsync, atomic rename). Raises StorageError; never overwrites."""
        cases = self.path / "cases"
        if isinstance(record, Result):
            target = cases / result_name(record.case_id, record.process)
        else:
            number = max(self.attempts(record.case_id), default=0) + 1
            target = cases / f"{record.case_id}.failed-{number}.json"
        self._write(target, encode(record))
        return target

    def compact(self) -> list[Path]:
        """Compresses the large records; those that are left are the new files.

        A record is removed once its compressed form is on disk. Raises RecordError for a run that
        does not load, StorageError.
        """
        self.load()
        done = []
        for path in self.files()[1:]:
            if path.suffix == SUFFIX or path.stat().st_size < COMPACT_FROM_BYTES:
                continue
            target = path.with_name(path.name + SUFFIX)
            target.unlink(missing_ok=True)  # of an earlier try that was cut off
            self._write(target, compacted(self.read(path)))
            path.unlink()
            done.append(target)
        return done

    def trace(self, case_id: str) -> Path:
        """Where the exported trace of a profiled case lies; it is large, and not in git.

        Raises StorageError if a link stands in its way.
        """
        path = self.path / "traces" / f"{case_id}.json.gz"
        self._check_inside(path)
        return path

    def manifest(self) -> Manifest:
        """The plan. Raises RecordError if it is damaged or newer."""
        path = self.path / MANIFEST
        blob = self.read(path)
        check_version(blob, name=path.name)
        try:
            manifest = msgspec.json.decode(blob, type=Manifest)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise RecordError(
                f"{path.name} of run {self.path.name} is damaged ({error})",
                next_step="restore it from version control",
            ) from error
        for name in (manifest.run_id, manifest.gpu_slug):
            if NAME.fullmatch(name) is None:
                raise RecordError(f"{path.name} holds an invalid name {name!r}")
        return manifest

    def load(self) -> Run:
        """Everything recorded so far. Raises RecordError for a damaged or newer file."""
        manifest = self.manifest()
        processes: dict[str, list[Result]] = {}
        failures: dict[str, Failure] = {}
        read_bytes = 0
        for case in manifest.cases:
            for path in self._recorded(case.id):
                blob = self.read(path)
                read_bytes += len(blob)
                self._check_total(read_bytes)
                record = decode(blob, name=f"{self.path.name}/cases/{path.name}")
                if record.case_id != case.id or record.case != case:
                    raise RecordError(
                        f"record {path.name} of run {self.path.name} is of another case",
                        next_step="restore it or run the case again",
                    )
                if isinstance(record, Result):
                    if document_name(path) != result_name(case.id, record.process):
                        raise RecordError(
                            f"record {path.name} of run {self.path.name} is of another process",
                            next_step="give the file its name again",
                        )
                    processes.setdefault(case.id, []).append(record)
                else:
                    failures[case.id] = record
        run = Run(self.path, manifest, processes, failures)
        unfinished = set(run.missing)
        return replace(
            run, failures={name: one for name, one in failures.items() if name in unfinished}
        )

    def files(self) -> list[Path]:
        """The plan, and every record of its cases; what else lies there is no part of the run.

        Raises RecordError for a damaged plan.
        """
        cases = self.manifest().cases
        recorded = [path for case in cases for path in self._recorded(case.id)]
        return [self.path / MANIFEST, *recorded]

    def restore(self, name: str, blob: bytes) -> None:
        """Writes a file of a run that was received, as it was sent. Raises StorageError."""
        self._write(self.path / name, blob)

    def _recorded(self, case_id: str) -> list[Path]:
        """Records of a case: attempts that failed, then results by process.

        An undecided comparison has more results than planned.
        """
        attempts = [path for _, path in sorted(self.attempts(case_id).items())]
        paths = (self.path / "cases" / result_name(case_id, n) for n in range(MOST_PROCESSES))
        done = [there for path in paths if (there := _there(path)) is not None]
        return [*attempts, *done]

    def attempts(self, case_id: str) -> dict[int, Path]:
        """Failures of a case by number; a file of another name is not ours and is left alone."""
        pattern = re.compile(rf"{re.escape(case_id)}\.failed-(\d+)\.json")
        names = {path: document_name(path) for path in (self.path / "cases").glob("*.failed-*")}
        found = {path: pattern.fullmatch(name) for path, name in names.items()}
        return {int(match[1]): path for path, match in found.items() if match}

    def read(self, path: Path) -> bytes:
        """A file of the run, within its limit. Raises RecordError."""
        try:
            refuse_links(self.path, path)
            return read_document(path, RECORD_LIMIT_BYTES)
        except OSError as error:
            raise RecordError(f"{path.name} cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise RecordError(
                f"{path.name} of run {self.path.name}: {error}",
                next_step="it is no record of this program",
            ) from error

    def _check_total(self, read_bytes: int) -> None:
        if read_bytes > RUN_LIMIT_BYTES:
            raise RecordError(
                f"the records of run {self.path.name} are larger than {RUN_LIMIT_BYTES >> 20} MiB",
                next_step="it is no run of this program",
            )

    def _check_inside(self, target: Path) -> None:
        try:
            refuse_links(self.path, target)
        except ValueError as error:
            raise StorageError(
                f"{target.name} cannot be written into run {self.path.name}: {error}",
                next_step="remove the link",
            ) from error

    def _write(self, target: Path, blob: bytes) -> None:
        self._check_inside(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".saving-", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(blob)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(name, 0o644)
                if _there(target) is not None:
                    raise FileExistsError
                os.replace(name, target)
            except BaseException:
                os.unlink(name)
                raise
            directory = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except FileExistsError as error:
            raise StorageError(f"{target.name} exists already and is never overwritten") from error
        except OSError as error:
            raise StorageError(
                f"cannot write {target.name} into {target.parent.name}/ ({error.strerror})",
                next_step="free space or fix the folder's permissions, then use --resume",
            ) from error


def _there(path: Path) -> Path | None:
    """A record's file, plain or compressed; None if there is none."""
    both = (path, path.with_name(path.name + SUFFIX))
    return next((file for file in both if os.path.lexists(file)), None)


def result_name(case_id: str, process: int) -> str:
    """File name of a finished process of a case; the first has the case's own name."""
    return f"{case_id}.json" if process == 0 else f"{case_id}.process-{process + 1}.json"


def runs(reports: Path) -> list[Path]:
    """Folders of all runs, oldest first by name."""
    return sorted(
        (path.parent for path in reports.glob(f"*/*/{MANIFEST}")), key=lambda path: path.name
    )


def all_runs(reports: Path) -> Iterator[Run]:
    """Every run under `reports`. Raises RecordError where a plan names another folder."""
    for path in runs(reports):
        run = RunFolder(path).load()
        if (run.manifest.gpu_slug, run.manifest.run_id) != (path.parent.name, path.name):
            raise RecordError(
                f"run {path.parent.name}/{path.name} is that of "
                f"{run.manifest.gpu_slug}/{run.manifest.run_id} by its plan",
                next_step="give the folder its name again",
            )
        yield run

"""A run's folder: `reports/<gpu>/<run>/`, write-once files, each on disk before the next case.

run.json                    the plan: what is measured, how and where (Manifest)
cases/<case>.json           a finished case (Result); its further processes: <case>.process-<n>.json
cases/<case>.failed-<n>.json   an attempt that did not finish (Failure)
traces/<case>.json.gz       a profiled case's trace, for Perfetto (not in git)
report.md, figures/*.svg    rendered from the files above, can be deleted at any time
"""

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from harness.errors import RecordError, StorageError, UsageError
from harness.matrix import MOST_PROCESSES, Case, Process, schedule
from harness.result import Fact, Failure, Record, Result, check_version, decode, encode
from harness.strict import Strict

MANIFEST = "run.json"
RECORD_LIMIT_BYTES = 8 * 2**20
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,95}")


class Manifest(Strict, frozen=True):
    """The plan of a run, written before its first case."""

    schema_version: int
    run_id: str
    created_utc: str
    matrix: str
    command: list[str]  # as typed, paths replaced by placeholders
    runtime: Literal["docker", "local"]
    runtime_reason: str
    gpu_slug: str  # folder name, e.g. nvidia-h200 or cpu
    cases: list[Case]
    expected_s: float
    facts: dict[str, Fact]  # host, engine, image, commit
    budget_s: float | None = None  # within it, undecided comparisons get more processes


@dataclass(frozen=True)
class Run:
    """A run as read back: results and the last failure of each unfinished case, in plan order."""

    path: Path
    manifest: Manifest
    processes: dict[str, list[Result]]  # every finished process of a case, in order
    failures: dict[str, Failure]

    @property
    def results(self) -> dict[str, Result]:
        """The first finished process of each case."""
        return {name: results[0] for name, results in self.processes.items()}

    @property
    def finished(self) -> list[Result]:
        """Every finished process."""
        return [result for results in self.processes.values() for result in results]

    @property
    def missing(self) -> list[str]:
        """Ids of planned cases that lack a result of at least one process."""
        return list(dict.fromkeys(process.case.id for process in self.todo))

    @property
    def todo(self) -> list[Process]:
        """Planned processes without a result, in the order in which they run."""
        done = {(result.case_id, result.process) for result in self.finished}
        planned = schedule(self.manifest.cases)
        return [process for process in planned if (process.case.id, process.number) not in done]


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
            number = max(self._attempts(record.case_id), default=0) + 1
            target = cases / f"{record.case_id}.failed-{number}.json"
        self._write(target, encode(record))
        return target

    def trace(self, case_id: str) -> Path:
        """Where the exported trace of a profiled case lies; it is large, and not in git."""
        return self.path / "traces" / f"{case_id}.json.gz"

    def manifest(self) -> Manifest:
        """The plan. Raises RecordError if it is damaged or newer."""
        path = self.path / MANIFEST
        blob = _read(path)
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
        for case in manifest.cases:
            attempts = [path for _, path in sorted(self._attempts(case.id).items())]
            done = self._finished(case.id)
            for path in [*attempts, *done]:
                record = decode(_read(path), name=f"{self.path.name}/cases/{path.name}")
                if record.case_id != case.id or record.case != case:
                    raise RecordError(
                        f"record {path.name} of run {self.path.name} is of another case",
                        next_step="restore it or run the case again",
                    )
                if isinstance(record, Result):
                    processes.setdefault(case.id, []).append(record)
                else:
                    failures[case.id] = record
        run = Run(self.path, manifest, processes, failures)
        unfinished = set(run.missing)
        return replace(
            run, failures={name: one for name, one in failures.items() if name in unfinished}
        )

    def _finished(self, case_id: str) -> list[Path]:
        """Results of a case by process; an undecided comparison has more than planned."""
        paths = (self.path / "cases" / result_name(case_id, n) for n in range(MOST_PROCESSES))
        return [path for path in paths if path.exists()]

    def _attempts(self, case_id: str) -> dict[int, Path]:
        """Failures of a case by number; a file of another name is not ours and is left alone."""
        paths = (self.path / "cases").glob(f"{case_id}.failed-*.json")
        numbered = ((path.stem.rpartition("-")[2], path) for path in paths)
        return {int(number): path for number, path in numbered if number.isdecimal()}

    def _write(self, target: Path, blob: bytes) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".saving-", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(blob)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(name, 0o644)
                if target.exists():
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


def result_name(case_id: str, process: int) -> str:
    """File name of a finished process of a case; the first has the case's own name."""
    return f"{case_id}.json" if process == 0 else f"{case_id}.process-{process + 1}.json"


def runs(reports: Path) -> list[Path]:
    """Folders of all runs, oldest first by name."""
    return sorted(
        (path.parent for path in reports.glob(f"*/*/{MANIFEST}")), key=lambda path: path.name
    )


def all_runs(reports: Path) -> Iterator[Run]:
    """Every run under `reports`."""
    for path in runs(reports):
        yield RunFolder(path).load()


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > RECORD_LIMIT_BYTES:
            raise RecordError(
                f"{path.name} is larger than {RECORD_LIMIT_BYTES >> 20} MiB",
                next_step="it is no record of this program",
            )
        return path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path.name} cannot be read ({error.strerror})") from error

"""A run's folder: `reports/<gpu>/<run>/`, write-once files, each on disk before the next case.

run.json                    the plan: what is measured, how and where (Manifest)
cases/<case>.json           a finished case (Result)
cases/<case>.failed-<n>.json   an attempt that did not finish (Failure)
report.md, figures/*.svg    rendered from the files above, can be deleted at any time
"""

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from harness.errors import RecordError, StorageError, UsageError
from harness.matrix import Case
from harness.result import (
    Fact,
    Failure,
    Record,
    Result,
    Strict,
    check_version,
    decode,
    encode,
)

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


@dataclass(frozen=True)
class Run:
    """A run as read back: results and the last failure of each unfinished case, in plan order."""

    path: Path
    manifest: Manifest
    results: dict[str, Result]
    failures: dict[str, Failure]

    @property
    def missing(self) -> list[str]:
        """Ids of planned cases without a result."""
        return [case.id for case in self.manifest.cases if case.id not in self.results]


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
            target = cases / f"{record.case_id}.json"
        else:
            number = max(self._attempts(record.case_id), default=0) + 1
            target = cases / f"{record.case_id}.failed-{number}.json"
        self._write(target, encode(record))
        return target

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
        results: dict[str, Result] = {}
        failures: dict[str, Failure] = {}
        for case in manifest.cases:
            done = self.path / "cases" / f"{case.id}.json"
            attempts = [path for _, path in sorted(self._attempts(case.id).items())]
            for path in [*attempts, *([done] if done.exists() else [])]:
                record = decode(_read(path), name=f"{self.path.name}/cases/{path.name}")
                if record.case_id != case.id or record.case != case:
                    raise RecordError(
                        f"record {path.name} of run {self.path.name} is of another case",
                        next_step="restore it or run the case again",
                    )
                if isinstance(record, Result):
                    results[case.id] = record
                else:
                    failures[case.id] = record
        failures = {name: value for name, value in failures.items() if name not in results}
        return Run(self.path, manifest, results, failures)

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

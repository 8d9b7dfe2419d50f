"""Several benches on one run, each on a GPU of its own: who measures which process.

Before it measures a process, a bench claims it: by a file in the run's folder that the kernel holds
for it (flock) and lets go of however it ends. What the file says tells a process that is under way
or was cut off from one that has ended. The last bench to leave the run removes these files.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StorageError, UsageError
from harness.host.locks import is_taken, other_benches
from harness.matrix import Process
from harness.store import MANIFEST, result_name

BESIDE_FACT = "run.beside"  # most benches on other GPUs as the process began and ended
CLAIMS = ".claims"  # a folder of the run, not in git
ENDED = b"ended"
CONTENT_BYTES = 16
POLL_S = 1.0
FREE = "free space or fix the folder's permissions, then use --resume"


@dataclass(frozen=True)
class Hold:
    """A run's folder, held against other benches."""

    _folder: int

    def admit(self) -> None:
        """From here on other benches may measure processes of the run."""
        fcntl.flock(self._folder, fcntl.LOCK_SH)


@dataclass
class Claim:
    """A process that is ours to measure, and how many benches were under way beside it."""

    run: Path
    _handle: int
    beside: int = 0

    def look(self) -> None:
        """Counts the benches that measure this run or on this host now; the largest count stays."""
        self.beside = max(self.beside, claimed(self.run) - 1, other_benches())

    def end(self) -> None:
        """The process has its record: no bench of this run measures it again."""
        try:
            os.pwrite(self._handle, ENDED, 0)
        except OSError as error:
            raise StorageError(
                f"a measured process cannot be marked as such ({error.strerror})", next_step=FREE
            ) from error


@contextmanager
def hold_run(run: Path) -> Iterator[Hold]:
    """Holds a run's folder alone, until others are admitted. Raises UsageError if it is held."""
    plan = _open(run / MANIFEST, run)
    try:
        if not is_taken(plan, run):
            raise UsageError(
                f"run {run.name} is under way in another process",
                next_step="wait for it, stop it first, or help it from another GPU with --beside",
            )
        with _folder(run, shared=False) as folder:
            yield Hold(folder)
    finally:
        os.close(plan)


@contextmanager
def help_run(run: Path) -> Iterator[None]:
    """Takes part in a run that may be under way. Raises UsageError while it is held alone."""
    with _folder(run, shared=True):
        yield


@contextmanager
def claim(run: Path, process: Process) -> Iterator[Claim | None]:
    """A process for this bench; None if another one measures it, or has done so."""
    path = run / CLAIMS / result_name(process.case.id, process.number)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(
            f"process {process.label} cannot be claimed ({error.strerror})", next_step=FREE
        ) from error
    try:
        mine = is_taken(handle, run) and os.pread(handle, CONTENT_BYTES, 0) != ENDED
        yield Claim(run, handle) if mine else None
    finally:
        os.close(handle)


@contextmanager
def saving(run: Path) -> Iterator[None]:
    """One bench at a time chooses the number of a failed attempt and writes the record."""
    folder = _open(run / CLAIMS, run)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def wait_for_others(run: Path, say: Callable[[str], None]) -> None:
    """Until no bench measures a process of the run; `say` is told how many, as that changes."""
    said = 0
    while count := claimed(run):
        if count != said:
            processes = "1 process" if count == 1 else f"{count} processes"
            say(f"waiting for {processes} of {run.name} that other benches measure")
            said = count
        time.sleep(POLL_S)


def claimed(run: Path) -> int:
    """Claims that some bench holds now."""
    count = 0
    for path in (run / CLAIMS).glob("*"):
        # Not to be written: the folder may have become read-only, which the record's writing tells.
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:  # the last bench to leave the run has just removed it
            continue
        try:
            count += not is_taken(handle, run, shared=True)
        finally:
            os.close(handle)
    return count


@contextmanager
def _folder(run: Path, *, shared: bool) -> Iterator[int]:
    """The run's folder. Claims are removed by whoever has it alone, at both ends."""
    folder = _open(run, run)
    try:
        if not is_taken(folder, run, shared=shared):
            raise UsageError(
                f"run {run.name} is in use by another process",
                next_step="try again in a moment" if shared else "wait for it, or stop it first",
            )
        if not shared:
            _remove_claims(run)
        try:
            yield folder
        finally:
            if is_taken(folder, run):
                _remove_claims(run)
    finally:
        os.close(folder)


def _remove_claims(run: Path) -> None:
    shutil.rmtree(run / CLAIMS, ignore_errors=True)  # what stays is removed by the next resume


def _open(path: Path, run: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(f"{path.name} of run {run.name} cannot be opened") from error

"""Locks against two benches at once: in one reports folder, on one GPU (`beside` has the runs).

A lock is a file that the kernel holds for the process (flock) and lets go of however the process
ends, so none is ever stuck. Its content says who holds it, for the message to whoever comes second;
content in a file that nobody holds was left by a process that was killed.
"""

import errno
import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from harness.errors import StorageError, UsageError
from harness.host.runner import utc_now
from harness.strict import Strict

REPORTS_LOCK = ".bench.lock"  # holds the host's name, and is not in git
SHARED_FOLDERS = (Path("/run/lock"), Path("/tmp"))  # the same for every user of the host
GPU_LOCK = "vace-bench-gpu-{}.lock"
CONTENT_BYTES = 4096
TRIES, TRY_S = 3, 0.02  # another bench that only looks whether a lock is held takes it for a moment
HELD = (errno.EAGAIN, errno.EACCES)


class Holder(Strict, frozen=True):
    """Who holds a lock."""

    pid: int
    host: str
    since_utc: str

    @property
    def started_us(self) -> bool:
        """Whether it is the bench that started this one: what it holds is held for us too."""
        return self.pid == os.getppid() and self.host == socket.gethostname()

    def __str__(self) -> str:
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"process {self.pid}{where}, since {self.since_utc}"


@contextmanager
def hold_reports(reports: Path) -> Iterator[Holder | None]:
    """Holds a reports folder; yields who was killed while holding it.

    Raises UsageError if another bench writes there, StorageError if the folder cannot be written.
    """
    try:
        reports.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(reports, error) from error
    with _hold(reports / REPORTS_LOCK, f"the reports folder {reports.name}/") as left:
        yield left


@contextmanager
def hold_gpu(gpu: str, folder: Path | None = None) -> Iterator[Holder | None]:
    """Holds a GPU of this host, by UUID or whatever names it; yields who was killed holding it.

    Raises UsageError if another bench measures on it. A bench on another host that uses the same
    remote engine is not seen.
    """
    name = hashlib.sha256(gpu.encode()).hexdigest()[:16]
    path = (folder or _shared_folder()) / GPU_LOCK.format(name)
    with _hold(path, "this GPU") as left:
        yield left


def other_benches(folder: Path | None = None) -> int:
    """GPUs of this host that other benches hold now."""
    count = 0
    for path in (folder or _shared_folder()).glob(GPU_LOCK.format("*")):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # it has just gone, or is no lock of ours
        try:
            holder = _read(handle)
            mine = holder is not None and holder.pid == os.getpid()
            count += not mine and not is_taken(handle, path, shared=True)
        finally:
            os.close(handle)
    return count


def _shared_folder() -> Path:
    return next((one for one in SHARED_FOLDERS if os.access(one, os.W_OK)), SHARED_FOLDERS[-1])


@contextmanager
def _hold(path: Path, what: str) -> Iterator[Holder | None]:
    handle = _open(path)
    try:
        if not is_taken(handle, path):
            holder = _read(handle)
            if holder is not None and holder.started_us:
                yield None
                return
            by = str(holder) if holder else "another process"
            raise UsageError(
                f"{what} is in use by another bench ({by})", next_step="wait for it, or stop it"
            )
        left = _read(handle)
        me = Holder(pid=os.getpid(), host=socket.gethostname(), since_utc=utc_now())
        _write(handle, msgspec.json.encode(me))
        try:
            yield left
        finally:
            _write(handle, b"")  # an empty file says that its last holder ended in order
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    """A file of every user's: opened if it is there, since a sticky folder forbids O_CREAT then."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(2):
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue  # somebody was faster: open theirs
        except OSError as error:
            raise _unwritable(path, error) from error
        os.fchmod(handle, 0o666)
        return handle
    raise StorageError(f"the lock {path.name} comes and goes", next_step="try again")


def is_taken(handle: int, path: Path, *, shared: bool = False) -> bool:
    """Takes an open file's lock, alone or with others; False if another process stands against it.

    Raises StorageError where the file system has no locks; `path` names it there.
    """
    for _ in range(TRIES):
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in HELD:
                raise StorageError(
                    f"{path.name} lies on a file system without locks ({error.strerror})",
                    next_step="put it on another one",
                ) from error
        else:
            return True
        time.sleep(TRY_S)
    return False


def _read(handle: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(handle, CONTENT_BYTES, 0), type=Holder)
    except (msgspec.MsgspecError, ValueError):
        return None


def _write(handle: int, content: bytes) -> None:
    with suppress(OSError):  # on a full disk the lock holds all the same, without a name
        os.ftruncate(handle, 0)
        os.pwrite(handle, content, 0)


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path.name} cannot be written ({error.strerror})",
        next_step="free space or fix the folder's permissions",
    )

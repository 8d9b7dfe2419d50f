"""Whose a container, process or folder is, and the removal of what a killed harness left.

A harness that dies at once (kill -9) cannot clean up. Everything it makes carries a mark of its
process, so that the next one can tell what nobody owns any more.
"""

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from harness.errors import StorageError
from harness.host.engine import Engine
from harness.host.image import remove_images

RUN_LABEL = "vace-bench.run"
OWNER_LABEL = "vace-bench.owner"
CACHE_LABEL = "vace-bench.cache"
OWNER_VARIABLE = "VACE_BENCH_OWNER"  # in the environment of local cases and all that they start
FOLDER_PREFIX = "vace-bench-"
UNFINISHED = (".saving-", ".rendering-")
FOLDER_NAME = re.compile(rf"{FOLDER_PREFIX}(\d+)-(\d+)-.*")


def labels(run_id: str) -> dict[str, str]:
    """Labels of everything that this process makes for a run."""
    return {RUN_LABEL: run_id, OWNER_LABEL: owner()}


def owner() -> str:
    """This process among all that ever ran on any host: boot, pid namespace, pid, start time."""
    return f"{_here()}:{os.getpid()}:{_start_time(os.getpid())}"


def temporary_folder() -> Path:
    """A new folder whose name says whose it is. Raises StorageError."""
    pid = os.getpid()
    try:
        return Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{pid}-{_start_time(pid)}-"))
    except OSError as error:
        raise StorageError(
            f"no temporary folder can be made ({error.strerror})",
            next_step="free space in the temporary folder or set TMPDIR",
        ) from error


def sweep_folders() -> int:
    """Removes temporary folders of processes that are gone; returns how many."""
    count = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        match = FOLDER_NAME.fullmatch(folder.name)
        if match and folder.is_dir() and not _alive(int(match[1]), match[2]):
            shutil.rmtree(folder, ignore_errors=True)  # another user's folder stays
            count += 1
    return count


def sweep_processes() -> int:
    """Kills local cases, with all that they started, whose harness is gone; returns how many.

    The kernel kills a case with its harness; what the case had started may be slower.
    """
    count = 0
    for pid, mark in _marked_processes():
        if _is_dead(mark):
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGKILL)
                count += 1
    return count


def sweep_unsaved(run: Path) -> int:
    """Removes files of a run that were never finished; returns how many. Its lock is held."""
    files = [path for prefix in UNFINISHED for path in run.rglob(f"{prefix}*")]
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


def sweep_containers(engine: Engine, run_id: str | None = None, *, own: bool = False) -> int:
    """Removes containers and volumes of dead harnesses; returns how many.

    With `run_id` those of that run too: the caller holds it alone, so none of them can be in use.
    With `own` those of this process too, which has none in use.
    """
    me = owner()

    def stale(marks: Mapping[str, str] | None) -> bool:
        marks = marks or {}
        whose = marks.get(OWNER_LABEL, "")
        of_run = run_id is not None and marks.get(RUN_LABEL) == run_id
        return of_run or (own and whose == me) or _is_dead(whose)

    count = 0
    for container in engine.containers(RUN_LABEL):
        if stale(container.get("Labels")):
            engine.remove(str(container["Id"]))
            count += 1
    for volume in engine.volumes(RUN_LABEL):
        if stale(volume.get("Labels")):
            engine.remove_volume(str(volume["Name"]))
            count += 1
    return count


def remove_local() -> list[str]:
    """Removes what dead runs left on this host without an engine; returns what was removed."""
    return [
        f"{sweep_processes()} processes of dead runs",
        f"{sweep_folders()} temporary folders of dead runs",
    ]


def remove_from_engine(engine: Engine) -> list[str]:
    """Removes stale containers, compile-cache volumes and images; returns what was removed."""
    removed = [f"{sweep_containers(engine)} containers and volumes of dead runs"]
    for volume in engine.volumes(CACHE_LABEL):
        engine.remove_volume(str(volume["Name"]))
        removed.append(str(volume["Name"]))
    return removed + remove_images(engine)


def _marked_processes() -> Iterator[tuple[int, str]]:
    """Processes of local cases, as far as this user may look: number and owner's mark."""
    variable = f"{OWNER_VARIABLE}=".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # another user's, or it has just ended
            for word in path.read_bytes().split(b"\0"):
                if word.startswith(variable):
                    yield int(path.parent.name), word[len(variable) :].decode(errors="replace")


def _is_dead(mark: str) -> bool:
    """Whether the marked process was of this host and is gone; another host's cannot be judged."""
    here, _, process = mark.partition(":")
    pid, _, start = process.partition(":")
    return here == _here() and pid.isdigit() and not _alive(int(pid), start)


def _here() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}".replace(":", "-")


def _alive(pid: int, start: str) -> bool:
    return _start_time(pid) == start


def _start_time(pid: int) -> str | None:
    """Clock ticks after boot at which a process started; None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before may hold anything
    return None if state in "ZX" else fields[18]

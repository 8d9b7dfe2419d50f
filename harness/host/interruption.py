"""Ctrl-C, SIGTERM, and two harnesses at one run."""

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from harness.errors import StorageError, UsageError
from harness.store import MANIFEST


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, so that the container under way is removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def lock(run: Path) -> Iterator[None]:
    """Holds a run's folder; the kernel lets go of it however this process ends.

    Raises UsageError if another process holds it.
    """
    try:
        handle = os.open(run / MANIFEST, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"{MANIFEST} of run {run.name} cannot be opened") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"run {run.name} is under way in another process",
                next_step="wait for it, or stop it first",
            ) from error
        yield
    finally:
        os.close(handle)

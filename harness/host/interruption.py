"""Ctrl-C, SIGTERM and a closed terminal: the first ends the run, cleaning up is let finish."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A closed terminal (SIGHUP) would otherwise end the harness at once, with its container running.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INSISTED = 3  # the signal that ends even the cleaning up


class _Stop:
    """How often this process was asked to stop, and whether that has to wait."""

    def __init__(self) -> None:
        self.asked = 0
        self.shields = 0
        self.waiting = False  # a first signal came inside a shield

    def begin(self) -> None:
        """A new block counts its own signals."""
        self.asked, self.waiting = 0, False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Raises KeyboardInterrupt for the first signal, later for one that came in a shield."""
        self.asked += 1
        if self.asked >= INSISTED:
            raise KeyboardInterrupt
        if self.asked > 1:
            sys.stderr.write("cleaning up; once more to leave it at once\n")
        elif self.shields:
            self.waiting = True
        else:
            raise KeyboardInterrupt


_stop = _Stop()  # signal handlers belong to the process, and so does what they know


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that the container is removed.

    Only the first does: the cleaning up that follows is not torn apart by the second. What is
    ignored (SIGHUP under nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _stop.begin()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _stop.handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _stop.begin()


@contextmanager
def shielded() -> Iterator[None]:
    """What must not be torn apart: a signal waits until the block has ended."""
    _stop.shields += 1
    try:
        yield
    finally:
        _stop.shields -= 1
        if _stop.waiting and not _stop.shields:
            _stop.waiting = False
            raise KeyboardInterrupt


def check() -> None:
    """Ends the block if it was asked to: what a signal raised inside a callback is lost there.

    (Python ignores it while a process is forked or an object is freed.)
    """
    if _stop.asked and not _stop.shields:
        raise KeyboardInterrupt

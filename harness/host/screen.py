"""What `invoke bench` shows: plain lines, and on a terminal one that updates itself."""

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from harness.job import Progress
from harness.matrix import Process
from harness.result import Record, Result

BAR_WIDTH = 110


def duration(seconds: float) -> str:
    """'42 s' or '3 min 05 s'."""
    whole = max(round(seconds), 0)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"


class Screen:
    """Progress of a run on one stream. The time left follows how the cases so far compared."""

    def __init__(
        self,
        stream: TextIO = sys.stdout,
        clock: Callable[[], float] = time.monotonic,
        *,
        quiet: bool = False,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._live = stream.isatty() and not quiet
        self._quiet = quiet
        self._silent = False
        self._phase = ""
        self._started_s = 0.0
        self._expected: dict[str, float] = {}
        self._process: Process | None = None
        self._total = 0
        self._spent_s = 0.0  # on finished cases
        self._planned_s = 0.0  # what those were expected to take

    def say(self, text: str) -> None:
        """One line that stays; nothing where the screen is quiet."""
        if not self._quiet:
            self.tell(text)

    def tell(self, text: str) -> None:
        """A line that a script waits for: shown also where the screen is quiet."""
        self._clear()
        self._show(text + "\n")

    def plan(self, expected_s: dict[str, float], total: int) -> None:
        """Labels of the processes to come and their times; `total` counts finished ones too."""
        self._expected = dict(expected_s)
        self._total = total

    def skip(self, process: Process) -> None:
        """A process that another bench measures."""
        self.say(f"{self._number()} {process.label}: another bench has it")
        self._expected.pop(process.label, None)

    def begin(self, process: Process) -> None:
        """A process starts."""
        self._process, self._phase, self._started_s = process, "", self._clock()
        if not self._live:
            self.say(f"{self._number()} {process.label}: started{self._left()}")

    def progress(self, progress: Progress) -> None:
        """How far the process has come."""
        if self._process is None or not (self._live or progress.phase != self._phase):
            return
        self._phase = progress.phase
        steps = f" {progress.done}/{progress.total}" if progress.total > 1 else ""
        detail = progress.text.removeprefix(f"{self._process.case.id}: ")
        label = self._process.label
        text = f"{self._number()} {label}: {progress.phase}{steps} {detail}".rstrip()
        if self._live:
            line = (text + self._left())[:BAR_WIDTH]
            self._show(f"\r{line:<{BAR_WIDTH}}")
        else:
            self.say(text)

    def end(self, record: Record) -> None:
        """A process has its record."""
        assert self._process is not None, "end() follows begin()"
        label = self._process.label
        number = self._number()
        took_s = self._clock() - self._started_s
        self._spent_s += took_s
        self._planned_s += self._expected.pop(label, 0.0)
        outcome = "finished" if isinstance(record, Result) else f"FAILED, {record.message}"
        self._process = None
        self.say(f"{number} {label}: {outcome} ({duration(took_s)}){self._left()}")

    def _number(self) -> str:
        return f"[{self._total - len(self._expected) + 1}/{self._total}]"

    def _left(self) -> str:
        pace = self._spent_s / self._planned_s if self._planned_s else 1.0
        elapsed_s = self._clock() - self._started_s if self._process else 0.0
        left_s = 0.0
        for name, expected_s in self._expected.items():
            running = self._process is not None and name == self._process.label
            left_s += max(expected_s * pace - (elapsed_s if running else 0.0), 0.0)
        return f", about {duration(left_s)} left" if self._expected else ""

    def _clear(self) -> None:
        if self._live:
            self._show(f"\r{'':<{BAR_WIDTH}}\r")

    def _show(self, text: str) -> None:
        """Writes at once. When nobody reads any more, the run goes on in silence."""
        if self._silent:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            self._silent = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

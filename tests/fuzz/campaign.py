"""One loader fuzzed for a time: starts the worker, says how it goes, starts another if it dies."""

import json
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).resolve().parent / "corpus"
COUNTS = "counts.json"  # as the worker names it
TELL_EVERY_S = 5.0
MOST_INPUT_BYTES = 1 << 16
HANG_S = 20  # wall time of one input after which the worker is ended
MEMORY_MB = 2048
# atheris keeps about 7 kB of each execution of the trace loader, which by itself keeps nothing: a
# worker that ran for half an hour reached the limit of memory without any input being at fault.
WORKER_S = 300
GRACE_S = 2 * HANG_S  # for a worker to notice that its time is up
COVERED = re.compile(r"cov: (\d+)")
HEAD = (
    "| loader | seed | seconds | executions | a second | edges | refused | accepted | crashes |\n"
    "|:---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


class CannotFuzzError(Exception):
    """The worker ended before it had tried anything."""


class Campaign:
    """Counts of one loader over all workers."""

    def __init__(self, loader: str, seconds: float, seed: int, state: Path) -> None:
        self.loader, self.seconds, self.seed, self.state = loader, seconds, seed, state
        self.edges = 0
        self.spent_s = 0.0
        self.deaths = 0  # of workers: an input that hung, filled the memory or broke a C library
        self._workers = 0
        self._ended: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._stop_at_crash = False

    @property
    def counts(self) -> Counter[str]:
        """Executions, refused, accepted and crashes so far."""
        return self._ended + self._now

    @property
    def crashes(self) -> int:
        """Inputs that crashed, each time they did, and those that ended a worker."""
        return self.counts["crashes"] + self.deaths

    @property
    def row(self) -> str:
        """A row of the table."""
        counts = self.counts
        rate = counts["executions"] / max(self.spent_s, 1e-9)
        return (
            f"| {self.loader} | {self.seed} | {self.spent_s:.0f} | {counts['executions']:,} | "
            f"{rate:,.0f} | {self.edges:,} | {counts['refused']:,} | {counts['accepted']:,} | "
            f"{self.crashes} |"
        )

    def run(self, tell: Callable[[str], None], *, stop_at_crash: bool = False) -> None:
        """Fuzzes until the time is over, or the first crash.

        Raises CannotFuzzError if the worker does not start.
        """
        self._stop_at_crash = stop_at_crash
        self.state.mkdir(parents=True, exist_ok=True)
        began_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="vace-bench-fuzz-") as grown:
            while (left_s := self.seconds - (time.monotonic() - began_s)) > 0:
                if stop_at_crash and self.crashes:
                    break
                self._worker(max(1, min(round(left_s), WORKER_S)), Path(grown), began_s, tell)
        self.spent_s = time.monotonic() - began_s

    def _worker(
        self, left_s: int, grown: Path, began_s: float, tell: Callable[[str], None]
    ) -> None:
        """One worker from its start to its end."""
        (self.state / COUNTS).unlink(missing_ok=True)
        process = subprocess.Popen(
            self._command(left_s, grown),
            cwd=PROJECT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        last = deque[str](maxlen=20)
        try:
            enough = self._watch(process, last, began_s, tell, time.monotonic() + left_s + GRACE_S)
        finally:
            process.kill()  # also where this one is interrupted
            code = process.wait()
        self._read_counts()
        if not (self.state / COUNTS).exists():
            raise CannotFuzzError(f"the fuzzer did not start (exit {code}): {''.join(last)}")
        self._ended += self._now
        self._now = Counter()
        self._workers += 1
        if code and not enough:
            self.deaths += 1
            (self.state / f"death-{self.deaths}.txt").write_text("".join(last))

    def _watch(
        self,
        process: "subprocess.Popen[str]",
        last: deque[str],
        began_s: float,
        tell: Callable[[str], None],
        deadline_s: float,
    ) -> bool:
        """Follows a worker until it ends; whether it was ended because a crash is enough."""
        lines, told_s, enough = _lines(process), time.monotonic(), False
        while (line := _next(lines)) is not None:
            if line:
                last.append(line)
                self.edges = max([self.edges, *map(int, COVERED.findall(line))])
            self._read_counts()
            if time.monotonic() - told_s > TELL_EVERY_S:
                told_s = time.monotonic()
                tell(self._line(told_s - began_s))
            enough = self._stop_at_crash and self.crashes > 0
            if enough or time.monotonic() > deadline_s:
                process.kill()
        process.wait()  # it has closed its output, and ends by itself
        return enough

    def _command(self, left_s: int, grown: Path) -> list[str]:
        return [
            *(sys.executable, "-m", "tests.fuzz.worker", self.loader, str(self.state)),
            f"-max_total_time={left_s}",
            f"-seed={self.seed + self._workers}",
            f"-timeout={HANG_S}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-max_len={MOST_INPUT_BYTES}",
            f"-artifact_prefix={self.state}/",
            str(grown),
            *(str(folder) for folder in [CORPUS / self.loader] if folder.is_dir()),
        ]

    def _read_counts(self) -> None:
        try:
            self._now = Counter(json.loads((self.state / COUNTS).read_text()))
        except FileNotFoundError:
            self._now = Counter()

    def _line(self, at_s: float) -> str:
        counts = self.counts
        return (
            f"{self.loader} {at_s:5.0f} s: {counts['executions']:,} executions "
            f"({counts['executions'] / at_s:,.0f}/s), {self.edges:,} edges, "
            f"{counts['refused']:,} refused, {counts['accepted']:,} accepted, "
            f"{self.crashes} crashes"
        )


def _lines(process: "subprocess.Popen[str]") -> "queue.Queue[str | None]":
    """The worker's messages as they come, None at the end."""
    found: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            found.put(line)
        found.put(None)

    threading.Thread(target=read, daemon=True).start()
    return found


def _next(lines: "queue.Queue[str | None]") -> str | None:
    """The next message; empty after a second without one."""
    try:
        return lines.get(timeout=1.0)
    except queue.Empty:
        return ""

"""How a case is run: the protocol that both runners fulfil, and what they share.

A runner gives a Job to the measured process, passes its progress on, and always comes back with a
record: the process's own, or a Failure that says how the process ended.
"""

import datetime
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

from harness.errors import HarnessError, RecordError, StorageError
from harness.job import Devices, Job, PreflightRequest, Progress, parse_progress
from harness.matrix import Case
from harness.result import SCHEMA_VERSION, Fact, Failure, Record, decode

Category = Literal["killed", "memory", "timeout", "infrastructure", "bug"]
Notify = Callable[[Progress], None]

TAIL_LINES = 40
LINE_LIMIT_BYTES = 1 << 16
PREFLIGHT_LIMIT_S = 600.0
GRACE_S = 30.0  # a process that can still end itself at its limit is let do so, and says where
ERROR = "error: "  # begins the one line of an expected error
FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}


class Runner(Protocol):
    """Runs one case, in a process of its own that ends with it."""

    def preflight(self, request: PreflightRequest) -> Devices:
        """What devices there are and what stands against the cases. Raises HarnessError."""

    def facts(self) -> dict[str, Fact]:
        """What a record says about where it was made; complete after the preflight."""

    def run(self, job: Job, clips: list[Path], notify: Notify, trace: Path | None = None) -> Record:
        """One case's record. `clips` are the files that `job.clips` names. The runner itself sets
        the job's weights folder and GPU as the measured process sees them. What a profiled case
        exports goes to `trace`.
        """

    def recover(self) -> None:
        """After an EngineError: waits until cases can run again. Raises EngineError if not."""


class OutputReader:
    """Splits a process's output into Progress, passed on at once, and the last other lines."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._rest = b""
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    def feed(self, piece: bytes) -> None:
        """Takes output as it comes, in pieces of any size."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._rest) > LINE_LIMIT_BYTES:
            self.close()

    def close(self) -> str:
        """The last lines that were no progress."""
        if self._rest:
            self._take(self._rest)
            self._rest = b""
        return "\n".join(self._tail)

    def _take(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip()
        progress = parse_progress(line)
        if progress is not None:
            self._notify(progress)
        elif line:
            self._tail.append(line[:2000])


class Deadline:
    """Whether the time limit of a process was reached, and what kept it from being stopped."""

    passed = False
    failed: HarnessError | None = None


@contextmanager
def deadline(
    limit_s: float, stop: Callable[[], None], clock: Callable[[], float] = time.monotonic
) -> Iterator[Deadline]:
    """Calls `stop` from another thread once `limit_s` seconds have passed inside the block.

    The clock is asked again after each wait: on Python 3.10 a wait follows the wall clock, which
    may be set.
    """
    state = Deadline()
    ended = threading.Event()
    end_s = clock() + limit_s

    def watch() -> None:
        while (left_s := end_s - clock()) > 0:
            if ended.wait(left_s):
                return
        state.passed = True
        try:
            stop()
        except HarnessError as error:
            state.failed = error  # whoever follows the process must not wait for ever

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield state
    finally:
        ended.set()


def case_limit_s(case: Case) -> float:
    """When a case counts as hung: its own budgets several times over, and time for compiling."""
    return 1200 + 3 * (case.warmup_max_s + case.measure_max_s)


def explain(code: int | None, *, place: str, tail: str) -> tuple[Category, str]:
    """Why a process gave no record. `code` as a shell has it: 128 + n for signal n; None: gone."""
    if code is None:
        return "killed", f"the {place} was removed from outside"
    if code - 128 in FROM_OUTSIDE:
        name = signal.Signals(code - 128).name
        return "killed", f"the {place} was killed from outside ({name})"
    if code - 128 in CRASHES:
        return "bug", f"the {place} crashed ({signal.Signals(code - 128).name})"
    stated = [line for line in tail.splitlines() if line.startswith(ERROR)]
    if code == HarnessError.exit_code and stated:
        return "infrastructure", f"no record: {stated[-1].removeprefix(ERROR)}"
    return "bug", f"the {place} ended without a valid record (exit {code})"


def utc_now() -> str:
    """The time as records write it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_record(blob: bytes, case: Case) -> Record:
    """The measured process's record. Raises RecordError if it is no valid record of `case`."""
    record = decode(blob, name=case.id)
    if record.case != case or record.case_id != case.id:
        raise RecordError(f"the record that came back is not of case {case.id}")
    return record


def keep_trace(blob: bytes, target: Path) -> None:
    """Writes an exported trace. Raises StorageError."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(blob)
    except OSError as error:
        raise StorageError(
            f"cannot write the trace {target.name} ({error.strerror})",
            next_step="free space, then use --resume",
        ) from error


def ended_without_record(
    case: Case, *, category: Category, message: str, tail: str, exit_code: int | None, started: str
) -> Failure:
    """The record of a case whose process gave none."""
    return Failure(
        schema_version=SCHEMA_VERSION,
        case=case,
        case_id=case.id,
        started_utc=started,
        category=category,
        message=message,
        detail=tail,
        exit_code=exit_code,
        provenance={},
    )

"""The session's side of the GPU sampler: starts it, asks for counters, collects what it saw.

    with Telemetry.start(command, samples_path, interval_s) as telemetry:
        telemetry.read_counters("steady.0.start")
        ...
    state = telemetry.state()      # harness.record_parts.GpuState

A sampler that dies costs the telemetry from there on, never the case. A GPU that is lost ends it.
"""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import CaseError
from harness.measure.gpu_probe import SLOW_FIELDS
from harness.measure.nvml import SLOW_INTERVAL_S, Broken, CounterAnswer, Message, Ready
from harness.measure.series import Sample, gpu_series, host_series, read_sample
from harness.measure.stalls import stalls, told
from harness.record_parts import CounterReading, GpuState, HostSeries

READY_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 5.0
THROTTLE_COUNTERS = ("sw_thermal_ns", "hw_thermal_ns", "hw_power_brake_ns")

DAMAGED = "a line of the samples file was damaged and is left out"


class GpuGoneError(CaseError):
    """The GPU or its driver stopped answering in the middle of a case."""

    def __init__(self, message: str, category: str) -> None:
        self.category = category
        super().__init__(message, next_step="check the GPU, then run the case again with --resume")


def sampler_command(gpu_uuid: str | None, samples: Path, interval_s: float) -> list[str]:
    """Command line of the sampler process; without a GPU it samples the host alone."""
    return [
        *(sys.executable, "-m", "harness.measure.nvml"),
        *(("--gpu", gpu_uuid) if gpu_uuid is not None else ()),
        *("--out", str(samples), "--interval", str(interval_s)),
    ]


class Telemetry:
    """One sampler process, or none with the reason."""

    def __init__(self, samples: Path, interval_s: float | None, reason: str | None) -> None:
        self._samples_path = samples
        self._interval_s = interval_s
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._read_to = 0
        self._samples: list[Sample] = []
        self._readings: list[CounterReading] = []
        self._events: list[str] = []
        self._unsupported: dict[str, str] = {}
        self._pcie: list[tuple[int, int]] = []
        self._sampling = False
        self._lost: str | None = None  # how the sampler ended early
        self._pauses: list[tuple[float, float]] = []
        self.reason = reason  # why the GPU is not sampled
        self.ready: Ready | None = None  # of a GPU that is sampled

    @classmethod
    def none(cls, reason: str) -> "Telemetry":
        """No telemetry, for the stated reason."""
        return cls(Path(os.devnull), None, reason)

    @classmethod
    def start(cls, command: Sequence[str], samples: Path, interval_s: float) -> "Telemetry":
        """Starts the sampler and waits until it says that it is ready, or why it cannot be."""
        telemetry = cls(samples, interval_s, None)
        samples.unlink(missing_ok=True)
        telemetry._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,  # a label must not wait in a buffer, nor fail when the pipe is closed
        )
        try:
            message = telemetry._receive(READY_TIMEOUT_S)
        except GpuGoneError:
            telemetry.stop()
            raise
        if not isinstance(message, Ready):
            telemetry.reason = "the sampler did not start"
            telemetry.stop()
            return telemetry
        telemetry._sampling = True
        telemetry.reason = message.no_gpu
        if message.no_gpu is None:
            telemetry.ready = message
            telemetry._unsupported |= message.unsupported
        return telemetry

    @property
    def pcie_link(self) -> tuple[int, int] | None:
        """Fastest (generation, width) seen right after a timed block."""
        return max(self._pcie, default=None)

    @property
    def power_source(self) -> str | None:
        """Which NVML reading `power_mw` is."""
        return self.ready.power_source if self.ready else None

    def __enter__(self) -> "Telemetry":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def read_counters(self, label: str) -> None:
        """Asks for the cumulative counters now. Raises GpuGoneError if the GPU is lost."""
        if self._process is None or self._process.stdin is None or self.ready is None:
            return
        try:
            self._process.stdin.write(label.encode() + b"\n")
        except BrokenPipeError:
            self._receive(ANSWER_TIMEOUT_S)  # its last words, if there are any
            self._give_up("the sampler ended")
            return
        answer = self._receive(ANSWER_TIMEOUT_S)
        if not isinstance(answer, CounterAnswer):
            self._give_up("the sampler stopped answering")
            return
        self._readings.append(
            CounterReading(t_s=answer.t_s, label=answer.label, values=answer.values)
        )
        self._unsupported |= answer.unsupported
        self._events += [event for event in answer.events if event not in self._events]
        if answer.pcie_gen is not None and answer.pcie_width is not None:
            self._pcie.append((answer.pcie_gen, answer.pcie_width))

    def samples_between(self, start_s: float, end_s: float) -> list[Sample]:
        """Samples taken in a stretch of time, as far as they are written yet."""
        self._poll()
        return [s for s in self._samples if start_s <= (s["t_s"] or 0.0) <= end_s]

    def nearest(self, field: str, at_s: float) -> float | None:
        """A field's reading closest to a moment, if it is less than two intervals away."""
        self._poll()
        interval_s = SLOW_INTERVAL_S if field in SLOW_FIELDS else self._interval_s or 0.0
        near = [
            (abs((sample["t_s"] or 0.0) - at_s), value)
            for sample in self._samples
            if (value := sample.get(field)) is not None
            and abs((sample["t_s"] or 0.0) - at_s) < 2 * interval_s
        ]
        return min(near)[1] if near else None

    def throttled_ns(self, start_s: float, end_s: float) -> dict[str, int]:
        """Rise of each throttle counter between the readings that enclose a stretch of time."""
        before = [r for r in self._readings if r.t_s <= start_s]
        after = [r for r in self._readings if r.t_s >= end_s]
        if not before or not after:
            return {}
        pairs = {
            name: (before[-1].values.get(name), after[0].values.get(name))
            for name in THROTTLE_COUNTERS
        }
        return {name: b - a for name, (a, b) in pairs.items() if a is not None and b is not None}

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The sampler process stands still inside the block, and nothing of it runs."""
        process = self._process
        if process is None:
            yield
            return
        start_s = time.monotonic()
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)
            self._pauses.append((start_s, time.monotonic()))

    def stop(self) -> None:
        """Ends the sampler; safe to call twice."""
        if self._process is not None and self._process.poll() is not None:
            self._note_loss(self._last_words())
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        self._poll()

    def troubles(self) -> list[str]:
        """What makes the samples incomplete, one line each."""
        lost = [] if self._lost is None else [f"telemetry ended early: {self._lost}"]
        self._poll()
        return lost + told(stalls([s["t_s"] or 0.0 for s in self._samples], self._pauses))

    def state(self) -> GpuState:
        """Everything seen, column by column."""
        self._poll()
        samples = self._samples if self.ready else []
        series, silent = gpu_series(samples)
        self._unsupported = silent | self._unsupported
        return GpuState(
            source="nvml" if self.ready else "none",
            reason=self.reason,
            interval_s=self._interval_s if self.ready else None,
            sampler_version=self.ready.version if self.ready else None,
            series=series,
            counters=self._readings,
            unsupported=self._unsupported,
            events=self._events,
        )

    def host(self) -> HostSeries | None:
        """The host's load, column by column; None if nothing was sampled."""
        self._poll()
        return host_series(self._samples)

    def _poll(self) -> None:
        """Takes in complete new lines of the samples file."""
        if not self._sampling or not self._samples_path.exists():
            return
        with self._samples_path.open("rb") as file:
            file.seek(self._read_to)
            text = file.read()
        complete = text[: text.rfind(b"\n") + 1]
        self._read_to += len(complete)
        for line in complete.splitlines():
            if (sample := read_sample(line)) is not None:
                self._samples.append(sample)
            elif DAMAGED not in self._events:
                self._events.append(DAMAGED)

    def _receive(self, timeout_s: float) -> Message | None:
        """The sampler's next message; None if it ended or stays silent."""
        assert self._process is not None and self._process.stdout is not None
        stream = self._process.stdout.fileno()
        deadline_s = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                wait_s = deadline_s - time.monotonic()
                if wait_s <= 0 or not selector.select(wait_s):
                    return None
                received = os.read(stream, 65536)
                if not received:
                    return None
                self._pending += received
        line, _, self._pending = self._pending.partition(b"\n")
        try:
            message: Any = msgspec.json.decode(line, type=Message)
        except (msgspec.MsgspecError, ValueError):
            return None  # what cannot be understood is no answer
        if isinstance(message, Broken):
            raise GpuGoneError(message.message, message.category)
        return message  # type: ignore[no-any-return]

    def _give_up(self, what: str) -> None:
        self._note_loss(what)
        self.stop()

    def _note_loss(self, what: str) -> None:
        """The sampler is lost; the first reason found is the one that is told."""
        if self._lost is not None or not self._sampling or self._process is None:
            return
        self._lost = f"{what} (exit code {self._process.poll()})"
        self._events.append(f"{self._lost}, noticed at {time.monotonic():.3f} s; no samples after")

    def _last_words(self) -> str:
        try:
            self._receive(ANSWER_TIMEOUT_S)
        except GpuGoneError as error:
            return f"the sampler ended: {error.what}"
        return "the sampler ended"

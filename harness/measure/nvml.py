"""The sampler of GPU and host: a process of its own that shares neither GIL nor CUDA context.

    python -m harness.measure.nvml --gpu GPU-... --out samples.jsonl --interval 0.1

It appends one JSON line a sample to the file. On standard output it first says Ready, and answers
each line of its standard input with a CounterAnswer of that label. Without a GPU it samples the
host alone. It ends on SIGTERM, at the end of its input, or when its parent is gone. If the GPU is
lost it says Broken.
"""

import argparse
import importlib
import importlib.metadata
import os
import selectors
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import msgspec

from harness.measure.gpu_probe import GpuProbe, NoTelemetryError, Number, ProbeError
from harness.measure.host_load import HostProbe
from harness.strict import Strict

DEFAULT_INTERVAL_S = 0.1
SLOW_INTERVAL_S = 1.0  # of what moves slowly: temperatures, memory, utilisation


class Ready(Strict, frozen=True, kw_only=True, tag="ready"):
    """The sampler runs. `idle` is the state before the case touched the GPU."""

    version: str
    no_gpu: str | None = None  # why the GPU is not sampled
    facts: dict[str, str | int | float | None]
    idle: dict[str, int | float | None]
    power_source: str | None
    unsupported: dict[str, str]


class CounterAnswer(Strict, frozen=True, kw_only=True, tag="counters"):
    """The counters at one moment, asked for under a label."""

    t_s: float
    label: str
    values: dict[str, int | None]
    pcie_gen: int | None
    pcie_width: int | None
    unsupported: dict[str, str]
    events: list[str]


class Broken(Strict, frozen=True, kw_only=True, tag="broken"):
    """The GPU or its driver stopped answering; the sampler has ended."""

    category: str
    message: str


Message = Ready | CounterAnswer | Broken


class Sampler:
    """Samples at a steady rate and answers requests in between."""

    def __init__(
        self, probe: GpuProbe | None, host: HostProbe, out: BinaryIO, interval_s: float
    ) -> None:
        self._probe = probe
        self._host = host
        self._out = out
        self._interval_s = interval_s
        self._parent = os.getppid()
        self._pending = b""
        self._stopped = False
        self._slow_s = float("-inf")  # when the slow fields were last read

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Ends the loop at its next turn; also a signal handler."""
        self._stopped = True

    def run(self, requests: int) -> None:
        """Until stopped. `requests` is the file descriptor that labels arrive on."""
        with selectors.DefaultSelector() as selector:
            selector.register(requests, selectors.EVENT_READ)
            next_s = time.monotonic()
            while not self._stopped and os.getppid() == self._parent:
                wait_s = next_s - time.monotonic()
                if wait_s > 0:
                    if selector.select(wait_s):
                        self._answer(requests)
                    continue
                self._sample()
                # A late turn is skipped rather than made up for in a burst.
                missed = max(0.0, time.monotonic() - next_s) // self._interval_s
                next_s += (missed + 1) * self._interval_s

    def _sample(self) -> None:
        at_s = time.monotonic()
        line: dict[str, Number | None] = {"t_s": round(at_s, 4), **self._host.sample()}
        if self._probe is not None:
            slow = at_s - self._slow_s >= SLOW_INTERVAL_S
            self._slow_s = at_s if slow else self._slow_s
            line |= self._probe.sample(slow=slow)
        line["sampler_ms"] = round((time.monotonic() - at_s) * 1e3, 3)
        self._out.write(msgspec.json.encode(line) + b"\n")
        self._out.flush()

    def _answer(self, requests: int) -> None:
        received = os.read(requests, 4096)
        if not received:
            self._stopped = True
            return
        if self._probe is None:
            return  # nothing but the host is sampled: there are no counters
        *labels, self._pending = (self._pending + received).split(b"\n")
        for label in labels:
            at_s = time.monotonic()
            values = self._probe.counters()
            gen, width = self._probe.pcie_link()
            say(
                CounterAnswer(
                    t_s=round(at_s, 4),
                    label=label.decode(errors="replace"),
                    values=values,
                    pcie_gen=None if gen is None else int(gen),
                    pcie_width=None if width is None else int(width),
                    unsupported=self._probe.unsupported,
                    events=self._probe.events,
                )
            )


def say(message: Message) -> None:
    """One message on standard output. A parent that is gone is noticed by the loop."""
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def serve(
    nvml: Any, *, gpu: str | None, out: Path, interval_s: float, version: str, no_gpu: str = ""
) -> int:
    """The sampler's life with a given NVML binding; returns its exit code.

    Where `no_gpu` says why there is no GPU to look at, `nvml` is not used.
    """
    try:
        probe, no_gpu = _open(nvml, gpu, no_gpu)
        ready = Ready(
            version=version,
            no_gpu=no_gpu or None,
            idle=probe.sample() if probe else {},
            facts=probe.describe() if probe else {},
            power_source=probe.power_source if probe else None,
            unsupported=probe.unsupported if probe else {},
        )
        with out.open("ab") as file:
            sampler = Sampler(probe, HostProbe(os.getppid()), file, interval_s)
            signal.signal(signal.SIGTERM, sampler.stop)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle
            say(ready)
            sampler.run(sys.stdin.fileno())
    except ProbeError as error:
        say(Broken(category=error.category, message=str(error)))
        return 4
    except BrokenPipeError:
        return 5
    return 0


def _open(nvml: Any, gpu: str | None, no_gpu: str) -> tuple[GpuProbe | None, str]:
    if no_gpu or gpu is None:
        return None, no_gpu or "the case runs on a CPU"
    try:
        return GpuProbe(nvml, gpu), ""
    except NoTelemetryError as error:
        return None, str(error)


def main() -> int:
    """Command line of the sampler."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.measure.nvml", description="Samples one GPU's state through NVML."
    )
    parser.add_argument("--gpu", help="UUID of the GPU, as nvidia-smi -L prints it; else none")
    parser.add_argument("--out", required=True, type=Path, help="file to append samples to")
    parser.add_argument("--interval", type=float, default=DEFAULT_INTERVAL_S, help="seconds")
    arguments = parser.parse_args()
    if not 0.01 <= arguments.interval <= 60:
        parser.error("--interval must be between 0.01 and 60 seconds")
    nvml, version, no_gpu = None, "no NVML", ""
    if arguments.gpu is not None:
        try:
            nvml = importlib.import_module("pynvml")
            version = f"nvidia-ml-py {importlib.metadata.version('nvidia-ml-py')}"
        except (ImportError, importlib.metadata.PackageNotFoundError) as error:
            no_gpu = f"nvidia-ml-py is not installed ({error})"
    return serve(
        nvml,
        gpu=arguments.gpu,
        out=arguments.out,
        interval_s=arguments.interval,
        version=version,
        no_gpu=no_gpu,
    )


if __name__ == "__main__":
    sys.exit(main())

"""The real measured process with one fault in it, for one case.

    python inject.py FAULT CASE --job DIR | --preflight DIR

Whole by itself, so that `python -c` can run it in a container without tests. On a GPU the CUDA
faults are real; on a CPU they are raised as torch raises them. The GPU that is lost is a fake of
NVML's, on a CPU only.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from harness.job import Job, Progress
from harness.measure import __main__ as measured

CHUNK = 4  # index of the chunk in which a CUDA fault happens: the first steady one
GIB = 1 << 30
SLEPT_S = 600.0
STEPPED_S = -3600.0
FAKE_NVML = ("-m", "tests.measure.fake_nvml", "--interval", "0.02")


def out_of_memory(device: Any) -> None:
    """Takes the GPU's memory until there is none; on a CPU, what torch then says."""
    import torch

    if device.type == "cpu":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    taken = []
    while True:
        taken.append(torch.empty(GIB, dtype=torch.uint8, device=device))


def sticky_error(device: Any) -> None:
    """An assertion on the device: no CUDA call of this process succeeds any more."""
    import torch

    if device.type == "cpu":
        raise RuntimeError("CUDA error: device-side assert triggered")
    table = torch.zeros(4, device=device)
    table[torch.tensor([1 << 20], device=device)].sum().item()


def in_chunk(act: Callable[[Any], None]) -> None:
    """From chunk CHUNK on, every chunk of the pipeline does `act` first."""
    from harness.workload.rollout import Pipeline

    run_chunk = Pipeline.run_chunk

    def faulty(self: Pipeline, *arguments: Any) -> Any:
        if self.chunk_index >= CHUNK:
            act(self.device)
        return run_chunk(self, *arguments)

    Pipeline.run_chunk = faulty  # type: ignore[method-assign]


def in_steady(act: Callable[[], None]) -> None:
    """The first progress of the steady phase does `act`."""
    report = measured.report

    def faulty(progress: Progress) -> None:
        report(progress)
        if progress.phase == "steady":
            act()

    measured.report = faulty


def shift_clocks(*, slept_s: float = 0.0, stepped_s: float = 0.0) -> None:
    """From the steady phase on, the clocks show a sleep or another time; the machine's are left."""
    from harness.measure import clock_watch

    real, shifted = clock_watch.read_clocks, [False]
    in_steady(lambda: shifted.__setitem__(0, True))

    def read() -> clock_watch.Clocks:
        now = real()
        if not shifted[0]:
            return now
        return clock_watch.Clocks(
            now.monotonic_s, now.boot_s + slept_s, now.wall_s + slept_s + stepped_s
        )

    clock_watch.ClockWatch.__init__.__defaults__ = (read,)


def fake_gpu(*more: str) -> None:
    """The real sampler on a fake of NVML that breaks, beside a case on the CPU."""
    from harness.measure import session
    from harness.measure.telemetry import Telemetry

    def start(_: object, samples: Path) -> Telemetry:
        command = [sys.executable, *FAKE_NVML, "--out", str(samples), *more]
        return Telemetry.start(command, samples, 0.02)

    session.run_job.__defaults__ = (start,)


FAULTS: dict[str, Callable[[], None]] = {
    "cuda-out-of-memory": lambda: in_chunk(out_of_memory),
    "cuda-sticky-error": lambda: in_chunk(sticky_error),
    "clock-back": lambda: shift_clocks(stepped_s=STEPPED_S),
    "sleep": lambda: shift_clocks(slept_s=SLEPT_S),
    "gpu-lost": lambda: fake_gpu("--fails", "nvmlDeviceGetClockInfo=15", "--after", "100"),
    "daemon-reload": lambda: fake_gpu("--fails", "nvmlDeviceGetClockInfo=999", "--after", "100"),
}


def main(arguments: list[str]) -> int:
    """Arranges the fault if this is its case, then measures."""
    fault, case_id, *rest = arguments
    option, folder = rest
    if option == "--job":
        job = msgspec.json.decode((Path(folder) / "job.json").read_bytes(), type=Job)
        if job.case.id == case_id:
            FAULTS[fault]()
    return measured.main(rest)


if __name__ == "__main__":
    import faulthandler

    faulthandler.enable()
    sys.exit(main(sys.argv[1:]))

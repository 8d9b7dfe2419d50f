"""A delay planted in every chunk, to prove that a slow-down of known size is found.

It is spread over the chunk's stages: on a GPU as kernels that spin on the stream, so that the GPU
is busy for longer; on a CPU as a loop of the host.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from harness.errors import CaseError

CALIBRATION_CYCLES = 20_000_000  # about 10 ms
CALIBRATION_ROUNDS = 5

Mark = Callable[[str], None]


@dataclass(frozen=True)
class Delay:
    """Milliseconds a chunk, in equal pieces after each of its marks.

    `cycles_per_ms` is null on a CPU. Cycles are of the SM clock, so a GPU whose clock falls spins
    for longer, as it works for longer.
    """

    ms: float
    pieces: int
    cycles_per_ms: float | None

    def after(self, mark: Mark) -> Mark:
        """The same mark with a piece of the delay behind it."""
        if not self.ms:
            return mark
        piece_ms = self.ms / self.pieces
        cycles = None if self.cycles_per_ms is None else round(piece_ms * self.cycles_per_ms)

        def delayed(stage: str) -> None:
            mark(stage)
            if cycles is not None:
                torch.cuda._sleep(cycles)
            else:
                spin(piece_ms)

        return delayed


NO_DELAY = Delay(0.0, 1, None)


def spin(ms: float) -> None:
    """Keeps the host busy."""
    end_ns = time.monotonic_ns() + round(ms * 1e6)
    while time.monotonic_ns() < end_ns:
        pass


def cycles_per_ms(device: torch.device) -> float | None:
    """SM cycles that a spinning kernel counts in a millisecond now; None on a CPU.

    Raises CaseError if the device gives no sensible answer.
    """
    if device.type != "cuda":
        return None
    rates: list[float] = []
    for _ in range(CALIBRATION_ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        torch.cuda._sleep(CALIBRATION_CYCLES)
        end.record()
        torch.cuda.synchronize(device)
        rates.append(CALIBRATION_CYCLES / max(begin.elapsed_time(end), 1e-6))
    rate = sorted(rates)[len(rates) // 2]
    if not 1e4 <= rate <= 1e8:
        raise CaseError(
            f"a delay cannot be calibrated: {rate:.0f} cycles in a millisecond",
            next_step="leave the delay arms out",
        )
    return rate

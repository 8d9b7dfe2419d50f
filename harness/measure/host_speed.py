"""How fast the host is at this moment, told by two small pieces of fixed work in this process.

Launch-bound work follows the speed of one CPU core. On a virtual machine neither the core's clock
nor the load of its neighbours can be read, so the speed itself is taken, right before and right
after each block of chunks and never inside one.
"""

import time
from dataclasses import dataclass

import torch

LOOP_TURNS = 20_000  # under a millisecond
OPERATORS = 200
DECIMALS = 3


@dataclass(frozen=True)
class HostSpeed:
    """Microseconds: of the fixed loop, and of one small eager operator with its launch."""

    loop_us: float
    operator_us: float


class SpeedProbe:
    """Takes the host's speed beside the workload."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cell = torch.zeros(1, device=device)

    def measure(self) -> HostSpeed:
        """Both readings now; the device is idle before and after."""
        self._synchronise()
        start_ns = time.monotonic_ns()
        for _ in range(LOOP_TURNS):
            pass
        loop_ns = time.monotonic_ns() - start_ns
        with torch.no_grad():
            start_ns = time.monotonic_ns()
            for _ in range(OPERATORS):
                self._cell.add_(1.0)
            operators_ns = time.monotonic_ns() - start_ns
        self._synchronise()
        return HostSpeed(loop_ns / 1e3, operators_ns / 1e3 / OPERATORS)

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def mean_speed(before: HostSpeed, after: HostSpeed) -> HostSpeed:
    """The speed of a block, from its two ends."""
    return HostSpeed(
        round((before.loop_us + after.loop_us) / 2, DECIMALS),
        round((before.operator_us + after.operator_us) / 2, DECIMALS),
    )

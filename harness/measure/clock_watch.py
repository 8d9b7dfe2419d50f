"""Whether the host slept during a case, or its wall clock was set: three clocks held side by side.

Times are taken from CLOCK_MONOTONIC, which neither counts a sleep nor follows the wall clock, so
no sample is wrong by it. But a host that slept has cooled down, and a clock that was set makes the
start times of records disagree: a record says so.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

SLEEP_S = 0.1  # the two clocks differ by nothing but sleeps
STEP_S = 1.0
SLEW_SHARE = 1e-3  # twice what a clock that is being adjusted may run fast or slow


class Clocks(NamedTuple):
    """The three clocks at one moment, in seconds."""

    monotonic_s: float
    boot_s: float  # counts sleeps
    wall_s: float  # counts sleeps and can be set


def read_clocks() -> Clocks:
    """The clocks now."""
    return Clocks(time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


class ClockWatch:
    """Compares the clocks with what they showed when it was made. `read` is for tests."""

    def __init__(self, read: Callable[[], Clocks] = read_clocks) -> None:
        self._read = read
        self._begin = read()

    def flags(self) -> list[str]:
        """What happened to the clocks since, one line each."""
        now, then = self._read(), self._begin
        awake_s = now.monotonic_s - then.monotonic_s
        passed_s = now.boot_s - then.boot_s
        slept_s = passed_s - awake_s
        stepped_s = now.wall_s - then.wall_s - passed_s
        flags = []
        if slept_s > SLEEP_S:
            flags.append(f"the host slept for {slept_s:.1f} s during the case")
        if abs(stepped_s) > STEP_S + SLEW_SHARE * passed_s:
            way = "back" if stepped_s < 0 else "forward"
            flags.append(f"the clock was set {way} by {abs(stepped_s):.1f} s during the case")
        return flags

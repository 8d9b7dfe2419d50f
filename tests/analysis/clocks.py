"""Clocks of GPU-busy samples changed in a loaded record."""

from collections.abc import Mapping

import msgspec

from harness.result import Result


def clocks_of(result: Result, mhz: Mapping[str | None, int | None]) -> None:
    """Gives the samples of these arms another clock, in place; None: it was not sampled."""
    result.busy[:] = [
        msgspec.structs.replace(one, sm_clock_mhz=mhz.get(one.arm, one.sm_clock_mhz))
        for one in result.busy
    ]

"""Is B shown to be no slower than a margin allows? Non-inferiority, for a gate in CI.

A gate asks another question than a comparison: not whether anything changed, but whether what a
merge may cost is spent. It passes on evidence only; a wide interval neither passes nor fails.
"""

import re
from dataclasses import dataclass
from typing import Literal

from harness.analysis.experiment import CONFIDENCE, MIN_PROCESSES, Ratio
from harness.errors import UsageError

GateCall = Literal["passed", "regressed", "undecided"]


@dataclass(frozen=True)
class GateVerdict:
    """Whether a ratio keeps within the margin; `bound` is what it is shown to lie below."""

    call: GateCall
    ratio: Ratio
    bound: float | None
    reason: str


def parse_margin(given: str) -> float:
    """'3%' or '0.03' -> 0.03. Raises UsageError unless it is above 0 and below 100 %."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*", given, re.ASCII)
    margin = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < margin < 1:
        raise UsageError(
            f"--max-regression '{given}' is no margin between 0 and 100 %",
            next_step="write e.g. 3% or 0.03",
        )
    return margin


def non_inferiority(ratio: Ratio, margin: float) -> GateVerdict:
    """Passed: the upper bound of the one-sided test lies below 1 + margin.

    The bound leaves out 1 - CONFIDENCE above it, so it is the upper end of the interval at
    1 - 2 alpha, as in the two one-sided tests of "same". Regressed: the two-sided interval lies
    above 1 and the ratio reaches the margin. Both need MIN_PROCESSES of each side.
    """
    if ratio.of_same_samples:
        return GateVerdict("passed", ratio, 1.0, "the samples are the same")
    alpha = 1 - CONFIDENCE
    one_sided, two_sided = ratio.interval(1 - 2 * alpha), ratio.interval(CONFIDENCE)
    if min(ratio.processes) < MIN_PROCESSES or one_sided is None or two_sided is None:
        return GateVerdict("undecided", ratio, None, "fewer processes than a verdict needs")
    bound = one_sided[1]
    if bound < 1 + margin:
        return GateVerdict("passed", ratio, bound, "shown to keep within the margin")
    if two_sided[0] > 1 and ratio.value >= 1 + margin:
        return GateVerdict("regressed", ratio, bound, "slower, and by the margin or more")
    return GateVerdict("undecided", ratio, bound, "not shown to keep within the margin")


def with_cycles(time: GateVerdict, cycles: GateVerdict | None) -> GateVerdict:
    """The verdict in time, unless the cycles contradict it: then the clock differed."""
    contradicted = cycles is not None and (
        (time.call == "regressed" and cycles.call != "regressed")
        or (time.call == "passed" and cycles.call == "regressed")
    )
    if not contradicted:
        return time
    reason = "time and cycles tell different things: the clock differed"
    return GateVerdict("undecided", time.ratio, time.bound, reason)

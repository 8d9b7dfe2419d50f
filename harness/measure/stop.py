"""When enough has been measured: the interval is narrow, narrows no more, or time is spent."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.analysis.interval import relative_half_width

HALF_WIDTH = 0.01  # of the median, at 95 %
PLATEAU_GAIN = 0.1  # two more blocks that narrow the interval by less than this are the last
MIN_BLOCKS = 3
MIN_BLOCKS_SPENT = 2  # even when the time is spent


@dataclass
class StopRule:
    """Asked after each block; the plan's number of blocks is the most."""

    planned_blocks: int
    budget_s: float
    _widths: list[float | None] = field(default_factory=list)

    def reason(self, series: Sequence[Sequence[float]], elapsed_s: float) -> str | None:
        """Why to stop after this block, or None.

        `series` holds all samples so far of everything that is measured; the widest of their
        intervals decides.
        """
        widths = [relative_half_width(samples) for samples in series]
        known = [width for width in widths if width is not None]
        widest = max(known) if len(known) == len(widths) and known else None
        self._widths.append(widest)
        blocks = len(self._widths)
        if blocks >= MIN_BLOCKS and widest is not None:
            if widest < HALF_WIDTH:
                return f"{blocks} blocks: half-width {widest:.2%} is below {HALF_WIDTH:.0%}"
            if self._plateau(widest):
                return f"{blocks} blocks: half-width {widest:.2%} narrows no more"
        if blocks >= self.planned_blocks:
            return f"all {blocks} planned blocks"
        if blocks >= MIN_BLOCKS_SPENT and elapsed_s >= self.budget_s:
            return f"{blocks} blocks: the budget of {self.budget_s:g} s is spent"
        return None

    def _plateau(self, widest: float) -> bool:
        earlier = self._widths[-3] if len(self._widths) >= MIN_BLOCKS + 2 else None
        return earlier is not None and widest > (1 - PLATEAU_GAIN) * earlier

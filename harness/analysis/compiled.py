"""Does torch.compile help? Compiled against eager, with a verdict that claims no more than it may.

Both sides come from one process each. The spread within a process is not the error between two
processes, so a difference is called only above a minimum effect and above that spread, and even
then the verdict says how many processes stand behind it. A spread above the minimum effect could
hide a difference, so there is no verdict then either.
"""

from dataclasses import dataclass
from typing import Literal

from harness.analysis.stats import Spread

MIN_EFFECT = 0.02  # a smaller change of the median is called no difference

Call = Literal["faster", "slower", "no measurable difference", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """Compiled against eager: ratio of the medians and what may be said of it."""

    eager_ms: float
    compiled_ms: float
    call: Call
    reason: str

    @property
    def ratio(self) -> float:
        """Compiled over eager: below 1 the compiled case is faster."""
        return self.compiled_ms / self.eager_ms

    @property
    def change(self) -> float:
        """Relative change of the median time: negative is faster."""
        return self.ratio - 1.0


def verdict(eager: Spread, compiled: Spread) -> Verdict:
    """The verdict of one process each."""
    if not eager.median:
        raise ValueError("the eager median is 0: nothing was timed")
    change = compiled.median / eager.median - 1.0
    call: Call
    spread_ms = max(eager.iqr, compiled.iqr)
    if abs(change) < MIN_EFFECT and spread_ms < MIN_EFFECT * eager.median:
        call, reason = "no measurable difference", "change and spread are below the minimum effect"
    elif abs(compiled.median - eager.median) <= spread_ms:
        call, reason = "undecided", "within the spread of one process"
    else:
        call = "faster" if change < 0 else "slower"
        reason = "above the minimum effect and the spread; one process each"
    return Verdict(eager.median, compiled.median, call, reason)

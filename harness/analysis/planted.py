"""Arms with a known truth: the same workload again must be the same, a planted delay be found."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.comparisons import Measure, compare_arms, process_values
from harness.analysis.experiment import MIN_EFFECT, Call, Verdict
from harness.analysis.interval import median
from harness.arms import BASE_ARM
from harness.result import Result

AGAIN = "again"
DELAY = "delay"


@dataclass(frozen=True)
class Planted:
    """One arm against the base; `decides` is the time that its verdict is taken from."""

    arm: str
    results: tuple[Result, ...]  # the processes that measured it
    planted_ms: float | None  # median over processes
    planted_share: float | None  # of the base arm's time
    wall: Verdict
    busy: Verdict | None
    expected: tuple[Call, ...]

    @property
    def decides(self) -> Measure:
        """GPU-busy time, into which the delay is planted; on a CPU there is only wall time."""
        return "wall" if self.busy is None else "busy"

    @property
    def call(self) -> Call:
        """The verdict that counts."""
        return (self.busy or self.wall).call

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is one that the truth allows."""
        return self.call in self.expected


def planted(results: Sequence[Result]) -> list[Planted]:
    """Every arm with a known truth, in the order of the case."""
    arms = results[0].case.arms if results else ()
    known = [arm for arm in arms if arm == AGAIN or arm.startswith(DELAY)]
    return [found for arm in known if (found := _planted(results, arm)) is not None]


def expected_calls(arm: str) -> tuple[Call, ...]:
    """What an honest verdict says: a delay of the minimum effect itself may be either."""
    share = int(arm.removeprefix(DELAY)) / 100 if arm.startswith(DELAY) else 0.0
    if share < MIN_EFFECT:
        return ("same",)
    return ("slower",) if share > MIN_EFFECT else ("same", "undecided", "slower")


def _planted(results: Sequence[Result], arm: str) -> Planted | None:
    wall = compare_arms(results, arm, "wall")
    if wall is None:
        return None
    busy = compare_arms(results, arm, "busy")
    base_ms = process_values(results, "wall" if busy is None else "busy", BASE_ARM)
    delays_ms = [result.planted_ms[arm] for result in results if arm in result.planted_ms]
    planted_ms = median(delays_ms) if delays_ms else None
    return Planted(
        arm=arm,
        results=tuple(results),
        planted_ms=planted_ms,
        planted_share=planted_ms / median(base_ms) if planted_ms is not None else None,
        wall=wall,
        busy=busy,
        expected=expected_calls(arm),
    )

"""The account of two profiled results: cells of both sides, each handed to one cause only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.analysis.claims import Measured, Words
from harness.analysis.part_cells import Cells
from harness.result import Result

Cause = Literal[
    "sync", "launch", "python", "queue", "attention", "work", "compile", "contention", "clock",
    "outside",
]  # fmt: skip

WHAT: dict[Cause, str] = {
    "sync": "reads by the host, which wait for the GPU",
    "launch": "launches",
    "python": "Python between operators",
    "queue": "gaps between queued kernels",
    "attention": "attention",
    "work": "device time",
    "compile": "compiling and graph breaks",
    "contention": "contention on the host",
    "clock": "the GPU's clock",
    "outside": "the host before the first and after the last kernel",
}


@dataclass(frozen=True)
class ChangedCause:
    """One cause: wall-relevant ms of a chunk in A and B, and the evidence in words."""

    cause: Cause
    part: str | None  # where most of it lies; None for the whole chunk
    a_ms: float
    b_ms: float
    share: float  # of A's wall time; negative where B takes less
    words: Words

    @property
    def change_ms(self) -> float:
        """B less A."""
        return self.b_ms - self.a_ms

    @property
    def what(self) -> str:
        """The cause in words."""
        return WHAT[self.cause] + (f" in {self.part}" if self.part else "")


@dataclass
class Ledger:
    """Cells of both sides; one that has found its cause is taken and not offered again."""

    a: Result
    b: Result
    before: Cells
    after: Cells
    idle: list[tuple[str, str]]  # (cause, part) not yet taken
    work: list[str]  # parts not yet taken
    outside: bool = True  # what lies outside of the span is not yet taken

    def take_idle(self, fits: Callable[[str, str], bool]) -> tuple[dict[str, float], float, float]:
        """Change by part, and both sums, of idle cells that fit (cause, part)."""
        chosen = [key for key in self.idle if fits(*key)]
        change: dict[str, float] = {}
        a_ms = b_ms = 0.0
        for key in chosen:
            self.idle.remove(key)
            one, other = self.before.idle_ms.get(key, 0.0), self.after.idle_ms.get(key, 0.0)
            change[key[1]] = change.get(key[1], 0.0) + other - one
            a_ms, b_ms = a_ms + one, b_ms + other
        return change, a_ms, b_ms

    def take_work(self, part: str) -> tuple[float, float]:
        """Device time of a part on both sides."""
        self.work.remove(part)
        return self.before.work_ms.get(part, 0.0), self.after.work_ms.get(part, 0.0)

    def take_outside(self) -> tuple[float, float]:
        """Wall time outside of the span on both sides; nothing the second time."""
        if not self.outside:
            return 0.0, 0.0
        self.outside = False
        return self.before.outside_ms, self.after.outside_ms

    def share(self, change_ms: float) -> float:
        """A change as a share of A's wall time."""
        return change_ms / self.before.wall_ms

    def matters(self, a_ms: float, b_ms: float, share: float, change: float) -> bool:
        """Whether a change is above both limits."""
        size_ms = abs(b_ms - a_ms)
        return abs(self.share(size_ms)) >= share and size_ms >= change * max(a_ms, b_ms)

    def found(
        self, cause: Cause, part: str | None, a_ms: float, b_ms: float, *words: str | Measured
    ) -> ChangedCause:
        """The cause with its times and evidence."""
        return ChangedCause(cause, part, a_ms, b_ms, self.share(b_ms - a_ms), words)

    def numbers(self, value_a: float, value_b: float, path: str) -> Words:
        """A count of A and of B from the profiled chunks."""
        return (
            Measured(value_a, "count", (self.a,), (f"{self.before.slot.path}{path}",)),
            " before, ",
            Measured(value_b, "count", (self.b,), (f"{self.after.slot.path}{path}",)),
            " after",
        )


def open_ledger(a: Result, b: Result, before: Cells, after: Cells) -> Ledger:
    """All cells of both sides, none taken."""
    idle = list(dict.fromkeys((*before.idle_ms, *after.idle_ms)))
    work = list(dict.fromkeys((*before.work_ms, *after.work_ms)))
    return Ledger(a, b, before, after, idle, work)

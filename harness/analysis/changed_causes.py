"""Two results cause by cause: what changed between them, and what each change costs.

The difference in wall time of unprofiled chunks is that of the GPU's work, which the profile tells
part by part, and of its idle time:

    idle time of B less that of A = (wall_B - wall_A) - (work_B - work_A)

That much is handed out, no more: to what changed in number or in the host's time (by estimates from
counts and unprofiled costs, all scaled alike), and what is left to a change of the whole chunk, if
there is one. What nothing explains stays unexplained: a host that wanders is no cause.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.change_chunk import (
    chunk_evidence,
    clock_evidence,
    clock_factor,
    explains_host_time,
)
from harness.analysis.change_evidence import Cause, Evidence, part_evidence
from harness.analysis.change_sides import Sides, sides
from harness.analysis.claims import Words
from harness.analysis.part_groups import REST, grouping
from harness.result import Result

LEAST_COST = 0.01  # of A's wall time, in work and idle time together
LEAST_IDLE = 0.02  # of A's wall time, where it is idle time alone: wall time wanders
EXPLAINS = 0.3  # of the idle time, that the estimates must reach to be given all of it

WHAT: dict[Cause, str] = {
    "attention": "attention",
    "work": "GPU work",
    "launch": "launches",
    "sync": "reads and waits of the host",
    "python": "Python of the host",
    "operator": "the host's time in operators",
    "compile": "compiling and graph breaks",
    "contention": "a slower or crowded host",
    "memory": "taking and giving back of memory",
    "clock": "the GPU's clock",
}


@dataclass(frozen=True)
class ChangedCause:
    """One cause: what it changes of a chunk from A to B, in ms, and the evidence in words."""

    cause: Cause
    where: str | None  # a part, or a kind of work with several; None: the whole chunk
    operator: str | None
    gpu_ms: float  # the GPU's work
    idle_ms: float  # the GPU's idle time
    share: float  # of A's wall time
    words: Words

    @property
    def change_ms(self) -> float:
        """Of wall time."""
        return self.gpu_ms + self.idle_ms

    @property
    def what(self) -> str:
        """The cause in words."""
        by = f" by {self.operator}" if self.operator else ""
        return f"{WHAT[self.cause]}{by}" + (f" in {self.where}" if self.where else "")


@dataclass(frozen=True)
class Changes:
    """All causes of a pair, the costliest first, and idle time that none of them explains."""

    both: Sides
    causes: tuple[ChangedCause, ...]
    wall_ms: float  # B less A
    work_ms: float  # B less A, device time of all parts
    unexplained_ms: float

    @property
    def idle_ms(self) -> float:
        """B less A."""
        return self.wall_ms - self.work_ms


def changed_causes(a: Sequence[Result], b: Sequence[Result]) -> Changes | None:
    """What changed from the processes of A to those of B; None where either has no profile."""
    both = sides(a, b)
    if both is None:
        return None
    found = _evidence(both)
    wall_ms = both.b.wall_ms - both.a.wall_ms
    work_ms = sum(both.b.cells.device_ms.values()) - sum(both.a.cells.device_ms.values())
    idle, rest_ms = _handed_out(found, wall_ms - work_ms)
    causes = _grouped(both, found, idle)
    ranked = sorted(causes, key=lambda cause: -abs(cause.change_ms))
    told = tuple(cause for cause in ranked if _matters(cause, both.a.wall_ms))
    return Changes(both, told, wall_ms, work_ms, rest_ms)


def _evidence(both: Sides) -> list[Evidence]:
    """By part, then what concerns the whole chunk."""
    whole = chunk_evidence(both)
    factor = clock_factor(both)
    found = clock_evidence(both, factor)
    for part in both.parts:
        known = explains_host_time(whole, both, part)
        found += part_evidence(both, part, clock=factor, counted_only=known)
    return [*found, *whole]


def _handed_out(found: Sequence[Evidence], idle_ms: float) -> tuple[list[float], float]:
    """Idle time of each piece of evidence, and what none of them explains."""
    handed = [0.0] * len(found)
    fitting = [i for i, item in enumerate(found) if item.idle_ms * idle_ms > 0]
    told_ms = sum(found[i].idle_ms for i in fitting)
    general = [i for i, item in enumerate(found) if item.general and item.sign * idle_ms >= 0]
    scale = min(1.0, idle_ms / told_ms) if told_ms else 0.0
    if not general and told_ms and told_ms / idle_ms >= EXPLAINS:
        scale = idle_ms / told_ms
    for i in fitting:
        handed[i] = scale * found[i].idle_ms
    rest_ms = idle_ms - sum(handed)
    if general:
        handed[general[0]] += rest_ms
        rest_ms = 0.0
    return handed, rest_ms


def _grouped(both: Sides, found: Sequence[Evidence], idle: Sequence[float]) -> list[ChangedCause]:
    """Evidence of one cause in parts of one kind of work, together; the largest speaks for all."""
    together: dict[tuple[Cause, str | None], list[tuple[Evidence, float]]] = {}
    group_of = grouping(both.a.result.case)
    for item, idle_ms in zip(found, idle, strict=True):
        group = group_of("", item.part).name if item.part else REST
        place = item.part if group == REST else group
        together.setdefault((item.cause, place), []).append((item, idle_ms))
    causes = []
    for (cause, place), items in together.items():
        largest, _ = max(items, key=lambda pair: abs(pair[0].gpu_ms + pair[1]))
        gpu_ms, idle_ms = sum(item.gpu_ms for item, _ in items), sum(ms for _, ms in items)
        alone = largest.part if len(items) == 1 else place
        share = (gpu_ms + idle_ms) / both.a.wall_ms
        words = largest.words
        causes.append(
            ChangedCause(cause, alone or None, largest.operator, gpu_ms, idle_ms, share, words)
        )
    return causes


def _matters(cause: ChangedCause, wall_ms: float) -> bool:
    """Above the noise; compile counters are told even where no time changed."""
    if cause.cause == "compile":
        return True
    least = LEAST_COST if abs(cause.gpu_ms) >= LEAST_COST * wall_ms else LEAST_IDLE
    return abs(cause.change_ms) >= least * wall_ms

"""What a root cause is: a claim with its figures, what fixing it can gain at most, how to test it.

Ceilings follow Amdahl, "Validity of the single processor approach" (1967), once for GPU-busy time
and once for wall time. For a part p of the chunk with device time d and idle time i (waits that
ended in its launches, scaled as in `harness.analysis.profile`):

    work that goes away          GPU-busy: sum of d      wall: sum of d + i
    kernels that become cheaper  GPU-busy: sum of d      wall: sum of d * d / (d + i)

The second holds because device time is gained on wall only where the GPU is not waiting: in the
share i / (d + i) of a part the host is late, and a shorter kernel only waits longer for the next.
Both are upper limits, and those of different causes overlap: they must not be added.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from harness.analysis.profile import Slot, idle_scale, main_slot, wall_ms
from harness.result import Result

Confidence = Literal["high", "medium", "low"]
Outcome = Literal["confirmed", "refuted", "untested"]
Unit = Literal["ms", "us", "count", "share", "ratio", "seconds"]

# The least that is worth a claim. What lies below is told as not worth a fix.
LEAST_CEILING = 0.01  # of wall or of GPU-busy time


@dataclass(frozen=True)
class Measured:
    """A number of a claim: its unit, and the paths in the records that it was computed from."""

    value: float
    unit: Unit
    results: tuple[Result, ...]
    paths: tuple[str, ...]  # in each of the results; "rule#NAME" is a limit


Words = tuple[str | Measured, ...]


@dataclass(frozen=True)
class Ceiling:
    """The most that fixing a cause can gain, in ms, and as shares of both times."""

    busy_ms: float
    wall_ms: float
    busy_share: float
    wall_share: float

    @property
    def largest(self) -> float:
        """The larger share."""
        return max(self.busy_share, self.wall_share)


@dataclass(frozen=True, kw_only=True)
class RootCause:
    """Why a chunk takes the time it takes: one reason, with its evidence."""

    id: str
    title: str
    claim: Words
    ceiling: Ceiling | None  # None: the records hold nothing to compute it from
    ceiling_paths: tuple[str, ...]
    confidence: Confidence
    because: str
    fix: str
    experiment: str
    verdict: Outcome = "untested"
    verdict_words: Words = ()
    subject: "Subject"

    @property
    def worth_it(self) -> bool:
        """Whether its ceiling is worth a claim; one without a ceiling stands on its evidence."""
        return self.ceiling is None or self.ceiling.largest >= LEAST_CEILING


@dataclass(frozen=True)
class Subject:
    """A profiled result and what the same run measured beside it."""

    result: Result
    other_backend: Result | None = None  # the same case with SDPA as attention
    paired: tuple[Result, ...] = ()  # processes that ran eager and compiled arms
    compiled: Result | None = None  # the same case, compiled

    @cached_property
    def slot(self) -> Slot | None:
        """The profiled steady chunk, where it ran on a GPU."""
        found = main_slot(self.result.profile)
        return found if found is not None and found.chunk.busy_ms else None

    @property
    def busy_ms(self) -> float:
        """GPU-busy time of the profiled chunk."""
        return self.slot.chunk.busy_ms if self.slot else 0.0

    @property
    def wall_ms(self) -> float:
        """Wall time of an unprofiled chunk."""
        return wall_ms(self.result, self.slot) if self.slot else 0.0

    def read(self, value: float, unit: Unit, *paths: str) -> Measured:
        """A number from this result's record."""
        return Measured(value, unit, (self.result,), paths)

    def in_chunk(self, value: float, unit: Unit, *paths: str) -> Measured:
        """A number from the profiled chunk; paths are below it."""
        return self.read(value, unit, *self.at(*paths))

    def at(self, *paths: str) -> tuple[str, ...]:
        """Paths below the profiled chunk as paths in the record; an empty list is its source."""
        if self.slot is None:
            return ()
        chunk, found = self.slot.chunk, []
        for path in paths:
            field = path.split("/")[1]
            empty = "*" in path and not getattr(chunk, field)
            found.append(f"{self.slot.path}/{field}" if empty else f"{self.slot.path}{path}")
        return tuple(found)

    def ceiling(self, busy_ms: float, gained_wall_ms: float) -> Ceiling:
        """Both gains, neither above the whole."""
        busy_ms = min(busy_ms, self.busy_ms)
        gained_wall_ms = min(gained_wall_ms, self.wall_ms)
        return Ceiling(
            busy_ms, gained_wall_ms, busy_ms / self.busy_ms, gained_wall_ms / self.wall_ms
        )


CEILING_PATHS = ("/parts/*/device_ms", "/gaps/*/idle_ms")
Fits = Callable[[str], bool]


@dataclass(frozen=True)
class Cost:
    """Device and idle time of one part path, summed over stages; idle as without profiler."""

    part: str
    device_ms: float
    idle_ms: float
    kernels: int

    @property
    def device_on_wall_ms(self) -> float:
        """What of the device time wall time would gain: d * d / (d + i)."""
        both_ms = self.device_ms + self.idle_ms
        return self.device_ms**2 / both_ms if both_ms else 0.0


def costs(result: Result, slot: Slot) -> dict[str, Cost]:
    """Every part path of a profiled chunk with its device and idle time."""
    scale = idle_scale(result, slot)
    idle: dict[str, float] = {}
    for gap in slot.chunk.gaps:
        idle[gap.part] = idle.get(gap.part, 0.0) + gap.idle_ms * scale
    device: dict[str, tuple[float, int]] = {}
    for part in slot.chunk.parts:
        ms, kernels = device.get(part.part, (0.0, 0))
        device[part.part] = (ms + part.device_ms, kernels + part.kernels)
    names = dict.fromkeys((*device, *idle))
    return {
        name: Cost(
            name, device.get(name, (0.0, 0))[0], idle.get(name, 0.0), device.get(name, (0, 0))[1]
        )
        for name in names
    }


def removal(subject: Subject, fits: Fits, kept_ms: float = 0.0) -> Ceiling:
    """Ceiling of work that goes away; `kept_ms` of its device time must remain."""
    found = _chosen(subject, fits)
    device_ms = max(sum(cost.device_ms for cost in found) - kept_ms, 0.0)
    return subject.ceiling(device_ms, device_ms + sum(cost.idle_ms for cost in found))


def speedup(subject: Subject, fits: Fits, share: float = 1.0) -> Ceiling:
    """Ceiling of kernels that become cheaper by `share`, their launches staying."""
    found = _chosen(subject, fits)
    return subject.ceiling(
        share * sum(cost.device_ms for cost in found),
        share * sum(cost.device_on_wall_ms for cost in found),
    )


def part_sum(subject: Subject, fits: Fits) -> Cost:
    """The chosen parts as one."""
    found = _chosen(subject, fits)
    return Cost(
        "",
        sum(cost.device_ms for cost in found),
        sum(cost.idle_ms for cost in found),
        sum(cost.kernels for cost in found),
    )


def _chosen(subject: Subject, fits: Fits) -> Sequence[Cost]:
    if subject.slot is None:
        return []
    return [c for name, c in costs(subject.result, subject.slot).items() if fits(name)]

"""What a root cause is: a claim with its figures, what fixing it can gain at most, how to test it.

Ceilings follow Amdahl, "Validity of the single processor approach" (1967), once for GPU-busy time
and once for wall time. For parts with device time d and host time h, in a chunk whose GPU idles i:

    work that goes away          GPU-busy: d      wall: d + min(h, i)
    kernels that become cheaper  GPU-busy: d      wall: d

Wall time is the longest way through the launches of the host and the work of the device. Shortening
some of the device's work by d shortens that way by d at most, taking h from the host by h at most;
and what remains of the device's work must still fit, so that no more than d + i can go. Host and
idle time are those of an unprofiled chunk (`harness.analysis.unprofiled`); how the host's time
splits over the parts of a stage is the profiler's word. All are upper limits, and those of
different causes overlap: they must not be added.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from harness.analysis.profile import Slot, main_slot, wall_ms
from harness.analysis.unprofiled import idle_ms, real_host
from harness.result import Result

Confidence = Literal["high", "medium", "low"]
Outcome = Literal["confirmed", "refuted", "untested"]
Unit = Literal["ms", "us", "count", "share", "ratio", "seconds", "mhz", "watts"]

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

    @property
    def idle_ms(self) -> float:
        """What of it the GPU idles."""
        return idle_ms(self.result, self.slot) if self.slot else 0.0

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


CEILING_PATHS = ("/parts/*/device_ms", "/parts/*/host_ms")
Fits = Callable[[str], bool]


@dataclass(frozen=True)
class Cost:
    """Device and host time of one part path, summed over stages; the host's without profiler."""

    part: str
    device_ms: float
    host_ms: float
    kernels: int


def costs(result: Result, slot: Slot) -> dict[str, Cost]:
    """Every part path of a profiled chunk with its device and host time."""
    host = real_host(result, slot)
    device: dict[str, tuple[float, int]] = {}
    for part in slot.chunk.parts:
        ms, kernels = device.get(part.part, (0.0, 0))
        device[part.part] = (ms + part.device_ms, kernels + part.kernels)
    return {name: Cost(name, ms, host[name], kernels) for name, (ms, kernels) in device.items()}


def removal(subject: Subject, fits: Fits, kept_ms: float = 0.0) -> Ceiling:
    """Ceiling of work that goes away; `kept_ms` of its device time must remain."""
    total = part_sum(subject, fits)
    return gone(subject, max(total.device_ms - kept_ms, 0.0), total.host_ms)


def gone(subject: Subject, device_ms: float, host_ms: float) -> Ceiling:
    """Ceiling where that much of device and host time goes away."""
    return subject.ceiling(device_ms, device_ms + min(host_ms, subject.idle_ms))


def speedup(subject: Subject, fits: Fits, share: float = 1.0) -> Ceiling:
    """Ceiling of kernels that become cheaper by `share`, their launches staying."""
    device_ms = share * part_sum(subject, fits).device_ms
    return subject.ceiling(device_ms, device_ms)


def part_sum(subject: Subject, fits: Fits) -> Cost:
    """The chosen parts as one."""
    found = _chosen(subject, fits)
    return Cost(
        "",
        sum(cost.device_ms for cost in found),
        sum(cost.host_ms for cost in found),
        sum(cost.kernels for cost in found),
    )


def _chosen(subject: Subject, fits: Fits) -> Sequence[Cost]:
    if subject.slot is None:
        return []
    return [c for name, c in costs(subject.result, subject.slot).items() if fits(name)]

"""The targets of measuring, and what a check of one of them says.

A target is met, missed, undecided where an interval contains it, or not measured with the reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.causes import (
    Quantity,
    Reading,
    Words,
    between_processes,
    correlation_words,
    host_words,
)
from harness.analysis.comparisons import Measure, over_processes, process_values
from harness.arms import BASE_ARM
from harness.result import Result
from harness.run import Run

TARGETS: dict[str, float] = {
    "COMPONENT_SPREAD": 0.005,
    "CHUNK_SPREAD": 0.01,
    "PROCESS_TIME": 0.02,
    "PROCESS_CYCLES": 0.01,
    "HALF_WIDTH": 0.01,
    "TELEMETRY": 0.005,
    "CONTAINER_BUSY": 0.01,
    "CONTAINER_WALL": 0.02,
    "COMPONENT_SUM": 0.05,
}
WORDS: dict[Measure, str] = {
    "wall": "wall time",
    "busy": "GPU-busy time",
    "wall_cycles": "wall time in cycles",
    "busy_cycles": "GPU-busy time in cycles",
}
PATHS: dict[Measure, tuple[str, ...]] = {
    "wall": ("/chunks/*/wall_ms",),
    "busy": ("/busy/*/busy_ms",),
    "wall_cycles": ("/chunks/*/wall_ms", "/chunks/*/state/sm_clock_mhz"),
    "busy_cycles": ("/busy/*/busy_ms", "/busy/*/sm_clock_mhz"),
}
STATE_PATH = "/chunks/*/state"


Name = tuple[str, str, str]  # id, what, entry of TARGETS
Outcome = Literal["met", "missed", "undecided", "not measured"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One target beside its measured share; `target` names the entry of TARGETS."""

    id: str
    what: str
    target: str
    outcome: Outcome
    value: float | None = None
    interval: tuple[float, float] | None = None
    reason: str = ""  # why it is not measured, or not decided
    readings: tuple[Reading, ...] = ()
    cause: Words | None = None


@dataclass(frozen=True)
class Subject:
    """The processes that answer: with arms, the same on the bare host, parts alone, compiled."""

    run: Run
    paired: list[Result]
    bare: list[Result]
    isolated: Result | None
    compiled: list[Result]
    compiled_run: Run

    def read(self, results: Sequence[Result], *paths: str) -> tuple[Reading, ...]:
        """Readings of records of the self-check."""
        return tuple(Reading(self.run, tuple(results), path) for path in paths)


def held(
    name: Name, value: float, readings: tuple[Reading, ...], cause: Callable[[], Words]
) -> Check:
    """A value against its target; the cause is looked for only where it is missed."""
    met = value <= TARGETS[name[2]]
    return tested(name, value, None, "met" if met else "missed", readings, None if met else cause())


def tested(
    name: Name,
    value: float,
    interval: tuple[float, float] | None,
    outcome: Outcome,
    readings: tuple[Reading, ...],
    cause: Words | None,
) -> Check:
    """A value with its outcome."""
    return Check(
        id=name[0],
        what=name[1],
        target=name[2],
        outcome=outcome,
        value=value,
        interval=interval,
        readings=readings,
        cause=cause,
    )


def not_measured(name: Name, reason: str) -> Check:
    """A target that this self-check says nothing about."""
    return Check(id=name[0], what=name[1], target=name[2], outcome="not measured", reason=reason)


def why_not(subject: Subject, measure: Measure) -> str:
    """Why a time over processes is not known."""
    if not subject.paired:
        return "no paired case has a result"
    if not process_values(subject.paired, measure, BASE_ARM):
        on_cpu = subject.paired[0].case.device == "cpu"
        if measure.startswith("busy"):
            return "a CPU has no GPU-busy time" if on_cpu else "GPU-busy time was not recorded"
        return "a CPU has no SM clock" if on_cpu else "the SM clock was not recorded"
    return "one process alone has no spread between processes"


def host_cause(
    subject: Subject, target: str, busy: float | None, wall: float, measure: Measure = "wall"
) -> Words | None:
    """The host, if GPU-busy time keeps the target that wall time misses."""
    share = busy_share(subject.paired)
    if measure.startswith("busy") or busy is None or share is None or busy > TARGETS[target]:
        return None
    both = (*PATHS["busy"], *PATHS["wall"])
    return host_words(
        Quantity(busy, "share", subject.read(subject.paired, *PATHS["busy"])),
        Quantity(wall, "share", subject.read(subject.paired, *PATHS["wall"])),
        Quantity(share, "share", subject.read(subject.paired, *both)),
    )


def with_host(host: Words | None, circumstance: Words) -> Words:
    """The host first, where it is the cause, then what was recorded of it."""
    return circumstance if host is None else (*host, "; ", *circumstance)


def between_cause(subject: Subject, results: Sequence[Result], measure: Measure) -> Words:
    """The circumstance that moves with the processes' times."""
    times = process_values(results, measure, BASE_ARM)
    readings = subject.read(results, *PATHS[measure], STATE_PATH)
    best = between_processes(results, times) if len(times) == len(results) else None
    return correlation_words(best, "processes", len(times), readings)


def busy_share(results: Sequence[Result]) -> float | None:
    """GPU-busy time over wall time of the base arm."""
    busy = over_processes(results, "busy", BASE_ARM)
    wall = over_processes(results, "wall", BASE_ARM)
    return busy.value / wall.value if busy and wall else None

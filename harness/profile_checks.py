"""Integrity of a profile: what must hold before a profiled chunk is quoted, as a table of checks.

Each check reads one share of a chunk and says between which limits it must lie. They need the
record alone, so they run when it is made, and again when it is told.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.profiled import ProfiledChunk
from harness.runtime_calls import makes_work

Figure = Callable[[ProfiledChunk], float | None]  # None: says nothing of this chunk


@dataclass(frozen=True)
class Check:
    """A share of a chunk, as words, and its limits; `most` may be missing."""

    name: str
    what: str
    figure: Figure
    least: float
    most: float | None = None
    device: bool = True  # only on a GPU

    def holds(self, value: float) -> bool:
        """Whether a value lies within the limits."""
        return self.least <= value and (self.most is None or value <= self.most)

    @property
    def limits(self) -> str:
        """The limits in words."""
        if self.most is None:
            return f"at least {_percent(self.least)}"
        return f"{_percent(self.least)} to {_percent(self.most)}"


def problems(
    chunks: Sequence[ProfiledChunk], *, on_gpu: bool, stages: Iterable[str] = ()
) -> list[str]:
    """What is wrong with a profile, one line each; empty if nothing is.

    `stages` are the stages that every chunk must have, if they are known.
    """
    if not chunks:
        return ["no chunk was profiled"]
    wanted = list(stages)
    return [
        f"{chunk.kind} chunk {chunk.chunk}: {problem}"
        for chunk in chunks
        for problem in chunk_problems(chunk, on_gpu=on_gpu, stages=wanted)
    ]


def chunk_problems(chunk: ProfiledChunk, *, on_gpu: bool, stages: Iterable[str] = ()) -> list[str]:
    """What is wrong with one chunk, one line each."""
    found = {row.stage for row in chunk.parts}
    wrong = [f"no range of stage {stage}" for stage in stages if stage not in found]
    if found <= {""}:
        wrong.append("no stage ranges")
    if on_gpu and chunk.kernels == 0:
        return [*wrong, "no device events"]
    return wrong + [
        f"{check.what}: {value:.2%}, must be {check.limits}"
        for check, value in checked(chunk, on_gpu=on_gpu)
        if not check.holds(value)
    ]


def checked(chunk: ProfiledChunk, *, on_gpu: bool) -> list[tuple[Check, float]]:
    """Every check that says something of a chunk, with its value."""
    fitting = [check for check in CHECKS if on_gpu or not check.device]
    return [(check, value) for check in fitting if (value := check.figure(chunk)) is not None]


def _filled(chunk: ProfiledChunk) -> float | None:
    return _share(chunk.busy_ms + sum(gap.idle_ms for gap in chunk.gaps), chunk.span_ms)


def _operators(chunk: ProfiledChunk) -> float | None:
    """Parts and operators are two splits of the same kernels."""
    return _share(sum(row.device_ms for row in chunk.operators), _attributed_ms(chunk))


def _categories(chunk: ProfiledChunk) -> float | None:
    """Busy time is the union of what is summed; more is the overlap of streams and launches."""
    return _share(_attributed_ms(chunk) + chunk.unattributed_ms, chunk.busy_ms)


def _span(chunk: ProfiledChunk) -> float | None:
    return None if chunk.event_ms is None else _share(chunk.span_ms, chunk.event_ms)


def _attributed(chunk: ProfiledChunk) -> float | None:
    attributed_ms = _attributed_ms(chunk)
    return _share(attributed_ms, attributed_ms + chunk.unattributed_ms)


def _launches(chunk: ProfiledChunk) -> float | None:
    """Kernels and copies over the calls that make some. A graph's launch counts as one."""
    launches = sum(count for name, count in chunk.host_calls.items() if makes_work(name))
    return _share(chunk.kernels, launches)


def _host(chunk: ProfiledChunk) -> float | None:
    return _share(sum(row.host_ms for row in chunk.parts), chunk.wall_ms)


def _staged(chunk: ProfiledChunk) -> float | None:
    """Host time inside stages. The wait for the device at the chunk's end is explained too."""
    outside_ms = sum(
        row.host_ms - row.sync_ms for row in chunk.parts if not (row.stage or row.part)
    )
    return _share(chunk.wall_ms - outside_ms, chunk.wall_ms)


def _attributed_ms(chunk: ProfiledChunk) -> float:
    return sum(row.device_ms for row in chunk.parts)


def _share(value: float, of: float) -> float | None:
    return value / of if of > 0 else None


def _percent(share: float) -> str:
    return f"{share * 100:g} %"


MOST_DISTORTION = 1.2  # a target: profiled over unprofiled wall time
CHECKS = (
    Check("attributed", "GPU time attributed to a part or operator", _attributed, 0.99),
    Check("staged", "wall time attributed to a stage", _staged, 0.95, device=False),
    Check("categories", "sum of all kinds of work over GPU-busy time", _categories, 0.999),
    Check("operators", "sum of all operators over that of all parts", _operators, 0.999, 1.001),
    Check("filled", "busy and idle time over the span", _filled, 0.999, 1.001),
    Check("span", "span over the event time of the same chunk", _span, 0.95, 1.05),
    Check("launches", "launches that left a kernel or copy", _launches, 0.99),
    Check("host", "host time of all parts over wall time", _host, 0.999, 1.001, device=False),
)

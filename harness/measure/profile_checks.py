"""Integrity of a profile: what must hold before a profiled chunk is quoted, as a table of checks.

Each check reads one figure of a chunk and names the most that it may be. They need the record
alone, so they run after the caller has filled in the event time, and again on a stored record.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.measure.trace import Kind, call_kind
from harness.profiled import ProfiledChunk

Figure = Callable[[ProfiledChunk], float | None]  # None: says nothing of this chunk


@dataclass(frozen=True)
class Check:
    """One figure, the most that it may be, and what to say with both if it is more."""

    figure: Figure
    most: float
    message: str
    device: bool = True  # only on a GPU


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
    for check in CHECKS:
        figure = check.figure(chunk) if on_gpu or not check.device else None
        if figure is not None and figure > check.most:
            wrong.append(check.message.format(figure=figure, most=check.most))
    return wrong


def _fill_error(chunk: ProfiledChunk) -> float | None:
    filled_ms = chunk.busy_ms + sum(gap.idle_ms for gap in chunk.gaps)
    return _deviation(filled_ms, chunk.span_ms)


def _operator_error(chunk: ProfiledChunk) -> float | None:
    """Parts and operators are two splits of the same kernels."""
    return _deviation(sum(row.device_ms for row in chunk.operators), _attributed_ms(chunk))


def _uncounted_share(chunk: ProfiledChunk) -> float | None:
    """A union cannot be longer than the sum of what it unites."""
    return _share(chunk.busy_ms - _attributed_ms(chunk) - chunk.unattributed_ms, chunk.busy_ms)


def _event_error(chunk: ProfiledChunk) -> float | None:
    return None if chunk.event_ms is None else _deviation(chunk.span_ms, chunk.event_ms)


def _unattributed_share(chunk: ProfiledChunk) -> float | None:
    return _share(chunk.unattributed_ms, _attributed_ms(chunk) + chunk.unattributed_ms)


def _missing_kernels(chunk: ProfiledChunk) -> float | None:
    """Launches of which no kernel or copy is there. A graph launch counts as one."""
    launches = sum(count for name, count in chunk.host_calls.items() if _makes_work(name))
    return _share(launches - chunk.kernels, launches)


def _makes_work(name: str) -> bool:
    return call_kind(name) in (Kind.LAUNCH, Kind.COPY) or "Memcpy" in name


def _host_error(chunk: ProfiledChunk) -> float | None:
    return _deviation(sum(row.host_ms for row in chunk.parts), chunk.wall_ms)


def _unexplained_host_share(chunk: ProfiledChunk) -> float | None:
    """Host time in no stage. The wait for the device at the chunk's end is explained."""
    outside_ms = sum(
        row.host_ms - row.sync_ms for row in chunk.parts if not (row.stage or row.part)
    )
    return _share(outside_ms, chunk.wall_ms)


def _attributed_ms(chunk: ProfiledChunk) -> float:
    return sum(row.device_ms for row in chunk.parts)


def _deviation(value_ms: float, from_ms: float) -> float | None:
    return _share(abs(value_ms - from_ms), from_ms)


def _share(value: float, of: float) -> float | None:
    return value / of if of > 0 else None


CHECKS = (
    Check(_fill_error, 0.001, "busy and idle time miss the span by {figure:.2%} (most {most:.1%})"),
    Check(
        _operator_error, 0.001, "operators miss the parts' time by {figure:.2%} (most {most:.1%})"
    ),
    Check(_uncounted_share, 0.001, "{figure:.2%} of busy time is in no part (most {most:.1%})"),
    Check(_event_error, 0.05, "the span misses the event time by {figure:.1%} (most {most:.0%})"),
    Check(
        _unattributed_share, 0.01, "{figure:.1%} of device time is unattributed (most {most:.0%})"
    ),
    Check(_missing_kernels, 0.01, "{figure:.1%} of launches have no kernel (most {most:.0%})"),
    Check(_host_error, 0.001, "parts miss the wall time by {figure:.2%} (most {most:.1%})", False),
    Check(
        _unexplained_host_share,
        0.05,
        "{figure:.1%} of wall time is in no stage (most {most:.0%})",
        False,
    ),
)

"""How cost grows along one axis at a time, beside what the cost model says of it.

An axis is the frame's size, the number of denoising steps, or the KV cache's window. Its points are
end-to-end cases of one variant that differ in nothing else. The prediction is the measured time of
the preset's own point, by wall time and by GPU-busy time, times the ratio of the arithmetic
(`harness.cost`, without adapters where they are merged); memory is predicted as the preflight does
it (`harness.cost_memory`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from harness.analysis.chunks import ChunkTiming, chunk_timing
from harness.analysis.comparisons import over_processes
from harness.analysis.gpu_state import energy
from harness.analysis.output_errors import fixes_of
from harness.cost import chunk_flops
from harness.cost_case import cost_config
from harness.cost_memory import memory_need
from harness.matrix import DEFAULT_WINDOW, EFFORT, Case
from harness.presets import DEFAULT_STEPS, PRESETS
from harness.result import Result

AxisName = Literal["size", "steps", "window"]
AXES: tuple[AxisName, ...] = ("size", "steps", "window")
LEAST_POINTS = 3  # of an axis, the preset's own among them
REAL_TIME_FPS: dict[str, float] = {"FILM_LIKE": 16.0, "CINEMA": 24.0, "VIDEO": 30.0}


@dataclass(frozen=True)
class GrowthPoint:
    """One case on an axis."""

    result: Result
    timing: ChunkTiming
    predicted_ms: float
    busy_ms: float | None  # None on a CPU
    predicted_busy_ms: float | None  # None where it was not measured at the preset's own point

    @property
    def case(self) -> Case:
        """What was measured."""
        return self.result.case

    @property
    def wall_ms(self) -> float:
        """Median of its steady chunks."""
        return self.timing.wall_ms.median

    @property
    def fps(self) -> float:
        """Frames over the seconds of its blocks."""
        return self.timing.fps

    @property
    def error(self) -> float:
        """Prediction over measurement, less one: above zero it took less than predicted."""
        return self.predicted_ms / self.wall_ms - 1

    @property
    def busy_error(self) -> float | None:
        """The same by GPU-busy time; None where it is not known here or at the own point."""
        if self.busy_ms is None or self.predicted_busy_ms is None:
            return None
        return self.predicted_busy_ms / self.busy_ms - 1

    @property
    def peak_bytes(self) -> int | None:
        """Largest allocation of the case's own pass."""
        memory = self.result.memory
        return memory.allocated_peak_bytes if memory is not None else None

    @property
    def device_bytes(self) -> int | None:
        """The most that the device had in use, with CUDA, its graphs' pools and what was there."""
        memory = self.result.memory
        return memory.device_peak_bytes if memory is not None else None

    @property
    def least_bytes(self) -> int:
        """With less of the device free the preflight refuses the case."""
        return memory_need(self.case).least_bytes

    @property
    def predicted_bytes(self) -> int:
        """The same by arithmetic."""
        return memory_need(self.case).allocated_bytes

    @property
    def joules_per_frame(self) -> float | None:
        """None where the GPU's power is not known."""
        found, _ = energy(self.result)
        return found.per_frame_j if found is not None else None


@dataclass(frozen=True)
class AxisError:
    """How far the predictions of an axis are off, by one measure."""

    mean: float  # of the absolute values
    worst: float
    at: GrowthPoint


@dataclass(frozen=True)
class Axis:
    """One axis of one variant, cheapest point first."""

    name: AxisName
    variant: str
    points: tuple[GrowthPoint, ...]
    anchor: GrowthPoint  # the preset's own point

    @property
    def others(self) -> tuple[GrowthPoint, ...]:
        """Points that were predicted: all but the preset's own."""
        return tuple(point for point in self.points if point is not self.anchor)

    @property
    def wall_error(self) -> AxisError:
        """Of wall time."""
        return _axis_error([(point, point.error) for point in self.others])

    @property
    def busy_error(self) -> AxisError | None:
        """Of GPU-busy time; None unless it is known at every point."""
        errors = [(point, point.busy_error) for point in self.others]
        known = [(point, error) for point, error in errors if error is not None]
        return _axis_error(known) if len(known) == len(errors) else None


@dataclass(frozen=True)
class Tendency:
    """Which way predictions are off, of the points with more and less arithmetic than the own."""

    by_busy: bool  # else by wall time
    more: int
    more_took_less: int
    less: int
    less_took_more: int


def growth_axes(results: Iterable[Result]) -> list[Axis]:
    """Every axis that has enough points, by axis, then in the order of the results.

    Of the built-in workload alone: the arithmetic of others is not known at another point.
    """
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        built_in = result.case.kind == "e2e" and not result.case.pipeline
        if built_in and chunk_timing(result) is not None:
            groups.setdefault(_but_for(result.case, AXES), []).append(result)
    axes = []
    for name in AXES:
        for group in groups.values():
            anchor = next((one for one in group if is_own_point(one.case)), None)
            axis = _axis(name, group, anchor) if anchor is not None else None
            axes += [axis] if axis is not None else []
    return axes


def tendency(axes: Sequence[Axis]) -> Tendency:
    """By GPU-busy time, and by wall time unless that is known at every point."""
    by_busy = all(axis.busy_error is not None for axis in axes)
    more, less = list[float](), list[float]()
    for axis in axes:
        for point in axis.others:
            error = point.busy_error if by_busy else point.error
            assert error is not None
            costlier = point.predicted_ms > axis.anchor.predicted_ms
            (more if costlier else less).append(error)
    return Tendency(
        by_busy=by_busy,
        more=len(more),
        more_took_less=sum(error > 0 for error in more),
        less=len(less),
        less_took_more=sum(error < 0 for error in less),
    )


def is_own_point(case: Case) -> bool:
    """Whether size, steps and window are the preset's own."""
    preset = PRESETS[case.preset]
    size = (case.width_px, case.height_px) == (preset.width_px, preset.height_px)
    return size and (case.steps, case.window) == (DEFAULT_STEPS, DEFAULT_WINDOW)


def predicted_ms(anchor: GrowthPoint | Result, case: Case) -> float:
    """The anchor's time for the arithmetic of another case of its variant.

    Raises ValueError for an anchor without steady chunks.
    """
    result = anchor.result if isinstance(anchor, GrowthPoint) else anchor
    timing = chunk_timing(result)
    if timing is None:
        raise ValueError(f"case {result.case_id} has no steady chunk")
    return timing.wall_ms.median * arithmetic_ratio(case, result.case)


def arithmetic_ratio(case: Case, base: Case) -> float:
    """Arithmetic of a steady chunk over that of another case of its variant."""
    return _flops(case) / _flops(base)


def with_place(case: Case, *, size: tuple[int, int], steps: int) -> Case:
    """The same case at another size (width, height, px) and number of steps."""
    width_px, height_px = size
    return msgspec.structs.replace(case, width_px=width_px, height_px=height_px, steps=steps)


def _axis(name: AxisName, group: Sequence[Result], anchor: Result) -> Axis | None:
    """None where the group has too few points on it."""
    rest = tuple(other for other in AXES if other != name)
    fixed = _values(anchor.case, rest)
    points: dict[object, GrowthPoint] = {}
    for result in (anchor, *(one for one in group if _values(one.case, rest) == fixed)):
        timing = chunk_timing(result)
        if timing is not None:
            points.setdefault(_values(result.case, (name,)), _point(result, timing, anchor))
    if len(points) < LEAST_POINTS:
        return None
    ordered = tuple(sorted(points.values(), key=lambda point: _flops(point.case)))
    return Axis(name, anchor.case.variant, ordered, points[_values(anchor.case, (name,))])


def _point(result: Result, timing: ChunkTiming, anchor: Result) -> GrowthPoint:
    busy_ms, own_busy_ms = _busy_ms(result), _busy_ms(anchor)
    times = arithmetic_ratio(result.case, anchor.case)
    return GrowthPoint(
        result=result,
        timing=timing,
        predicted_ms=predicted_ms(anchor, result.case),
        busy_ms=busy_ms,
        predicted_busy_ms=own_busy_ms * times if own_busy_ms is not None else None,
    )


def _busy_ms(result: Result) -> float | None:
    busy = over_processes([result], "busy")
    return busy.value if busy is not None else None


def _axis_error(errors: Sequence[tuple[GrowthPoint, float]]) -> AxisError:
    at, worst = max(errors, key=lambda pair: abs(pair[1]))
    return AxisError(sum(abs(error) for _, error in errors) / len(errors), worst, at)


def _flops(case: Case) -> float:
    """Arithmetic of a steady chunk."""
    parts = chunk_flops(cost_config(case), case.mode, chunk=case.first_steady_chunk)
    merged = "lora-merged" in fixes_of(case.variant)
    return sum(value for part, value in parts.items() if not (merged and part == "LoRA"))


def _values(case: Case, axes: Sequence[AxisName]) -> tuple[object, ...]:
    values: dict[AxisName, object] = {
        "size": (case.width_px, case.height_px),
        "steps": case.steps,
        "window": case.window,
    }
    return tuple(values[name] for name in axes)


def _but_for(case: Case, axes: Sequence[AxisName]) -> tuple[object, ...]:
    """Everything about a case but its place on the axes and how long it is looked at."""
    left = {*axes, "width_px", "height_px", *EFFORT}
    return tuple(value for name, value in msgspec.structs.asdict(case).items() if name not in left)

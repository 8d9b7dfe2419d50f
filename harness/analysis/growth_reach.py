"""Where a rate of frames holds along the axes of growth, from the preset's own point upward.

Points lie in order of their arithmetic, which is not always that of their wall time: a cheaper
point whose wall time follows the host may lack a rate that the own point holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.growth import Axis, GrowthPoint


@dataclass(frozen=True)
class Reach:
    """How far one rate holds along one axis."""

    axis: Axis
    last: GrowthPoint | None  # up to which it holds; None where the own point lacks it
    first: GrowthPoint | None  # without it, the own point or above
    cheaper: tuple[GrowthPoint, ...]  # without it, although the own point holds it
    besides: tuple[GrowthPoint, ...]  # hold it beyond `first`, or where the own point does not

    @property
    def own_holds(self) -> bool:
        """Whether the preset's own point has that many frames a second."""
        return self.last is not None


@dataclass(frozen=True)
class Break:
    """What a rate meets first in one variant, over all of its axes."""

    own: GrowthPoint | None  # the preset's own point, where it lacks the rate
    first: tuple[Axis, GrowthPoint] | None  # the least arithmetic above the own point without it
    cheaper: tuple[tuple[Axis, GrowthPoint], ...]  # less arithmetic, and yet without it


def reach(axis: Axis, fps: float) -> Reach:
    """By what was measured."""
    own = next(n for n, point in enumerate(axis.points) if point is axis.anchor)
    below, upward = axis.points[:own], axis.points[own:]
    held = next((n for n, point in enumerate(upward) if point.fps < fps), len(upward))
    first = upward[held] if held < len(upward) else None
    beyond = upward[held:] if held else axis.points
    return Reach(
        axis=axis,
        last=upward[held - 1] if held else None,
        first=first,
        cheaper=tuple(point for point in below if held and point.fps < fps),
        besides=tuple(point for point in beyond if point.fps >= fps),
    )


def first_break(axes: Sequence[Axis], fps: float) -> Break:
    """Over the axes of one variant, which share the preset's own point."""
    found = [reach(axis, fps) for axis in axes]
    if not found[0].own_holds:
        return Break(axes[0].anchor, None, ())
    failing = [(one.axis, one.first) for one in found if one.first is not None]
    return Break(
        own=None,
        first=min(failing, key=lambda pair: pair[1].predicted_ms) if failing else None,
        cheaper=tuple((one.axis, point) for one in found for point in one.cheaper),
    )

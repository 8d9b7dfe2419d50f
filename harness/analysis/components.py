"""Isolated components: share of the chunk, VACE overhead in two ways, and what does not add up."""

from dataclasses import dataclass

from harness.analysis.chunks import grouped_stages
from harness.analysis.stats import Spread, spread
from harness.record_parts import Component
from harness.result import Result

RESIDUAL_LIMIT = 0.05  # of the chunk; above it the residual is named
VACE_PARTS = ("vace_forward", "vace_patch_embedding", "context_encode")


@dataclass(frozen=True)
class ComponentTime:
    """One isolated component; `per_chunk_ms` is its median times its calls in a chunk."""

    name: str
    variant: str
    calls_per_chunk: int
    wall_ms: Spread
    event_ms: Spread | None
    share: float | None  # of the chunk; None without a chunk to compare with

    @property
    def per_chunk_ms(self) -> float:
        """Median times calls per chunk."""
        return self.wall_ms.median * self.calls_per_chunk


@dataclass(frozen=True)
class Overhead:
    """What VACE costs a chunk, once added up and once as a difference."""

    bottom_up_ms: float | None  # components times calls
    bottom_up_share: float | None
    top_down_ms: float | None  # conditioned minus text-only
    top_down_share: float | None


@dataclass(frozen=True)
class Gap:
    """A part of the chunk measured twice: in the loop, and by isolated components."""

    name: str
    in_loop_ms: float
    isolated_ms: float

    @property
    def difference_ms(self) -> float:
        """Loop minus isolated."""
        return self.in_loop_ms - self.isolated_ms


@dataclass(frozen=True)
class Residual:
    """The chunk against the sum of components and passes."""

    chunk_ms: float
    sum_ms: float
    gaps: tuple[Gap, ...]  # largest first

    @property
    def share(self) -> float:
        """Residual as a part of the chunk; negative where the sum is more than the chunk."""
        return (self.chunk_ms - self.sum_ms) / self.chunk_ms

    @property
    def named(self) -> bool:
        """Whether it is large enough to be explained."""
        return abs(self.share) > RESIDUAL_LIMIT


def component_times(result: Result, chunk_ms: float | None) -> list[ComponentTime]:
    """The components of an isolated case, with their share of a chunk of `chunk_ms`."""
    return [_component_time(component, chunk_ms) for component in result.components]


def _component_time(component: Component, chunk_ms: float | None) -> ComponentTime:
    wall_ms = spread(component.wall_ms)
    if wall_ms is None:
        raise ValueError(f"component {component.name} holds no samples")
    return ComponentTime(
        name=component.name,
        variant=component.variant,
        calls_per_chunk=component.calls_per_chunk,
        wall_ms=wall_ms,
        event_ms=spread(component.event_ms or ()),
        share=wall_ms.median * component.calls_per_chunk / chunk_ms if chunk_ms else None,
    )


def vace_overhead(
    components: list[ComponentTime], chunk_ms: float | None, text_ms: float | None
) -> Overhead:
    """VACE's cost bottom-up (four forwards, four patch embeddings, the context encode) and
    top-down (the conditioned chunk minus the text-only one).
    """
    parts = {component.name: component.per_chunk_ms for component in components}
    complete = all(name in parts for name in VACE_PARTS)
    bottom_up = sum(parts[name] for name in VACE_PARTS) if complete else None
    top_down = chunk_ms - text_ms if chunk_ms is not None and text_ms is not None else None

    def share(part_ms: float | None) -> float | None:
        return part_ms / chunk_ms if part_ms is not None and chunk_ms else None

    return Overhead(bottom_up, share(bottom_up), top_down, share(top_down))


def residual(components: list[ComponentTime], result: Result, chunk_ms: float) -> Residual | None:
    """Components plus the passes of the loop against the chunk; None where a part is missing.

    What has no isolated twin (denoise steps without their hints, the clean pass, the rest) is
    taken from the loop, so the residual is the disagreement of encode, hints and decode.
    """
    parts = {component.name: component.per_chunk_ms for component in components}
    loop = grouped_stages([result])
    twins = {
        "encode": ("context_encode",),
        "hints": ("vace_forward", "vace_patch_embedding"),
        "decode": ("vae_decode",),
    }
    if any(name not in parts for names in twins.values() for name in names):
        return None
    if any(group not in loop for group in twins):
        return None
    gaps = [
        Gap(group, loop[group], sum(parts[name] for name in names))
        for group, names in twins.items()
    ]
    rest_ms = sum(value for group, value in loop.items() if group not in twins)
    sum_ms = rest_ms + sum(gap.isolated_ms for gap in gaps)
    ordered = sorted(gaps, key=lambda gap: -abs(gap.difference_ms))
    return Residual(chunk_ms, sum_ms, tuple(ordered))

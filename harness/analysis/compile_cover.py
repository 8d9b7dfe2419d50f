"""Why torch.compile of the VACE branch does or does not help: what it can reach, and what is there.

Compiling fuses elementwise work and saves launches. Products, convolutions and attention come from
libraries and stay what they are, so the gain on GPU-busy time ends at the rest of what is covered.
"""

from dataclasses import dataclass

from harness.analysis.operators import family_of
from harness.analysis.part_groups import within
from harness.analysis.profile import Slot, compiled_in_regions, main_slot, wall_ms
from harness.analysis.unprofiled import idle_ms, real_host
from harness.result import Result

# Compiled are the VACE patch embedding and the VACE blocks; what prepares them stays eager.
COVERED = ("vace",)
EAGER_INSIDE = ("vace/pad",)
LIBRARY_FAMILIES: dict[str, str] = {
    "addmm (linears with bias)": "products",
    "mm (LoRA adapters)": "products",
    "FP8 products": "products",
    "convolution": "convolutions",
    "SageAttention": "attention",
    "SDPA attention": "attention",
    "FP8 attention": "attention",
    "flex_attention": "attention",
}


@dataclass(frozen=True)
class Cover:
    """What torch.compile reaches in the eager chunk; times in ms, shares of the chunk."""

    slot: Slot
    covered_ms: float
    library_ms: dict[str, float]  # kind of library kernel -> its device time in there
    host_ms: float  # of the covered parts, as without profiler
    idle_ms: float  # of the whole chunk, as without profiler
    busy_ms: float
    wall_ms: float

    @property
    def covered_share(self) -> float:
        """Covered over GPU-busy time."""
        return self.covered_ms / self.busy_ms

    @property
    def fusible_ms(self) -> float:
        """What is covered and no library kernel."""
        return max(self.covered_ms - sum(self.library_ms.values()), 0.0)

    @property
    def busy_ceiling(self) -> float:
        """Largest gain as a share of GPU-busy time: all fusible work gone."""
        return self.fusible_ms / self.busy_ms

    @property
    def wall_ceiling(self) -> float:
        """Largest gain as a share of wall time: its host time gone too, as far as the GPU idles."""
        return min(1.0, (self.fusible_ms + min(self.host_ms, self.idle_ms)) / self.wall_ms)


def cover(eager: Result) -> Cover | None:
    """Of an eager result with a profiled steady chunk on a GPU that has a VACE branch.

    None for a variant that has compiled more than the branch.
    """
    slot = main_slot(eager.profile)
    if slot is None or not slot.chunk.busy_ms or compiled_in_regions(eager.case):
        return None
    covered_ms = sum(part.device_ms for part in slot.chunk.parts if is_covered(part.part))
    if not covered_ms:
        return None
    library: dict[str, float] = {}
    for item in slot.chunk.operators:
        kind = library_kind(item.operator)
        if kind is not None and item.device_ms and is_covered(item.part):
            library[kind] = library.get(kind, 0.0) + item.device_ms
    return Cover(
        slot=slot,
        covered_ms=covered_ms,
        library_ms=dict(sorted(library.items(), key=lambda item: -item[1])),
        host_ms=sum(ms for part, ms in real_host(eager, slot).items() if is_covered(part)),
        idle_ms=idle_ms(eager, slot),
        busy_ms=slot.chunk.busy_ms,
        wall_ms=wall_ms(eager, slot),
    )


def covered_ms(result: Result) -> tuple[Slot, float] | None:
    """Device time of the VACE branch in a profiled steady chunk, eager or compiled."""
    slot = main_slot(result.profile)
    if slot is None or not slot.chunk.busy_ms:
        return None
    return slot, sum(part.device_ms for part in slot.chunk.parts if is_covered(part.part))


def is_covered(part: str) -> bool:
    """Whether torch.compile reaches a part."""
    return within(part, *COVERED) and not within(part, *EAGER_INSIDE)


def library_kind(operator: str) -> str | None:
    """The kind of library kernel that an operator launches; None for work that can be fused."""
    return LIBRARY_FAMILIES.get(family_of(operator))

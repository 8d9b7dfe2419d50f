"""A profiled chunk by kind of work, where the parts of a block are compiled together.

Inside a compiled half of a block there are no ranges, so a kind is told by what launched a kernel:

    VAE encode, decode       everything in the range `vae`, by its stage
    attention                everything in a range `attention`: what the measured rate holds too,
                             whatever kernel it is; and elsewhere the attention operators
    linears                  matrix products; convolutions too, which outside of the VAE are the
                             patch embeddings
    elementwise and copies   all else in `base` and `vace`, the ranges around the blocks
    outside of blocks        all else: noise, x0, masks, the tokens' way in and out

Nothing is left out: what the profiler attributes to no operator has a line of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.least_work import Kind
from harness.analysis.operators import family_of
from harness.analysis.part_groups import within
from harness.analysis.profile import Slot
from harness.profiled import OperatorPart

Place = Kind | Literal["outside of blocks"]
PLACES: tuple[Place, ...] = (
    "linears",
    "attention",
    "elementwise and copies",
    "VAE encode",
    "VAE decode",
    "outside of blocks",
)
BLOCKS = ("base", "vace")
VAE = "vae"
PRODUCTS = frozenset(
    f"aten::{name}" for name in ("mm", "addmm", "_addmm_activation", "bmm", "baddbmm", "_scaled_mm")
)
ATTENTIONS = ("SageAttention", "SDPA attention", "flex_attention")  # families
# Named ranges of the workload's own around an attention.
ATTENTION_USE, BACKENDS = "attention.", ("cudnn", "flash")


@dataclass(frozen=True)
class KindTime:
    """What one kind of work took on the device.

    `operators` launched it, longest first; those of the VAE are of encode and decode together.
    """

    place: Place
    device_ms: float
    launches: int  # kernels; of a kind that is told by operator, calls of those that launch
    operators: tuple[OperatorPart, ...]
    paths: tuple[str, ...]  # in the record, below the chunk

    @property
    def mean_us(self) -> float:
        """Mean device time of a launch."""
        return 1e3 * self.device_ms / self.launches if self.launches else 0.0


def place_of(operator: str, part: str) -> Place | None:
    """Where an operator in a part belongs; None for the VAE's, whose stage no operator names."""
    if within(part, VAE):
        return None
    if "attention" in part.split("/") or _attends(operator):
        return "attention"
    if multiplies(operator):
        return "linears"
    return "elementwise and copies" if within(part, *BLOCKS) else "outside of blocks"


def multiplies(operator: str) -> bool:
    """Whether it is a matrix product or a convolution."""
    return operator in PRODUCTS or family_of(operator) == "convolution"


def _attends(operator: str) -> bool:
    named = operator in BACKENDS or operator.startswith(ATTENTION_USE)
    return named or family_of(operator) in ATTENTIONS


def kind_times(slot: Slot) -> tuple[KindTime, ...]:
    """Every kind with device time, in the order of PLACES."""
    chunk = slot.chunk
    by_place: dict[Place | None, list[tuple[int, OperatorPart]]] = {}
    for index, item in enumerate(chunk.operators):
        if item.device_ms:
            by_place.setdefault(place_of(item.operator, item.part), []).append((index, item))
    coded = _longest(item for _, item in by_place.pop(None, []))
    found = [
        KindTime(
            place=place,
            device_ms=sum(item.device_ms for _, item in rows),
            launches=sum(item.calls for _, item in rows),
            operators=_longest(item for _, item in rows),
            paths=tuple(f"/operators/{index}/device_ms" for index, _ in rows),
        )
        for place, rows in by_place.items()
        if place is not None
    ]
    found += [_of_vae(slot, place, coded) for place in ("VAE encode", "VAE decode")]
    shown = [one for one in found if one.device_ms]
    return tuple(sorted(shown, key=lambda one: PLACES.index(one.place)))


def unattributed_ms(slot: Slot, kinds: Sequence[KindTime]) -> float:
    """Device time in no kind: without an operator or a range, or with neither."""
    total_ms = sum(part.device_ms for part in slot.chunk.parts) + slot.chunk.unattributed_ms
    return max(total_ms - sum(kind.device_ms for kind in kinds), 0.0)


def _of_vae(slot: Slot, place: Place, operators: tuple[OperatorPart, ...]) -> KindTime:
    """By the ranges, which know their stage; a decode is what is no encode."""
    rows = [
        (index, part)
        for index, part in enumerate(slot.chunk.parts)
        if within(part.part, VAE) and (part.stage == "encode") == (place == "VAE encode")
    ]
    return KindTime(
        place=place,
        device_ms=sum(part.device_ms for _, part in rows),
        launches=sum(part.kernels for _, part in rows),
        operators=operators,
        paths=tuple(f"/parts/{index}/device_ms" for index, _ in rows),
    )


def _longest(items: Iterable[OperatorPart]) -> tuple[OperatorPart, ...]:
    return tuple(sorted(items, key=lambda item: -item.device_ms))

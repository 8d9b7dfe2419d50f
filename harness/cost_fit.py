"""Whether a case fits a GPU, and which smaller one would: a size, a window, fewer arms. No torch.

Nothing here changes a case: what is found is offered in words, and taken by whoever asks for it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.arms import BASE_ARM
from harness.cost_memory import GIB, memory_need
from harness.matrix import Case
from harness.presets import PRESETS, SIZE_MULTIPLE_PX

LEAST_SIDE_PX = 64  # of an offer
MOST_NAMED = 3  # other cases in a line


@dataclass(frozen=True)
class Offer:
    """A smaller case that would fit, and what makes it smaller, in words."""

    case: Case
    words: str

    @property
    def text(self) -> str:
        """Words and need."""
        return f"{self.words} ({gib(memory_need(self.case).least_bytes)})"


def gib(count: float) -> str:
    """Bytes in words."""
    return f"{count / GIB:.1f} GiB"


def least_bytes(case: Case) -> int | None:
    """GPU memory without which a case cannot run; None on a CPU and for another pipeline."""
    if case.device == "cpu" or case.pipeline:
        return None
    return memory_need(case).least_bytes


def offers(case: Case, free_bytes: int) -> list[Offer]:
    """The largest size of about this shape, the largest window, the most arms: each alone fits."""
    kinds = (_sizes(case), _windows(case), _arms(case))
    found = (_first(candidates, free_bytes) for candidates in kinds)
    return [offer for offer in found if offer is not None]


def misfits(cases: Iterable[Case], free_bytes: int) -> Iterator[str]:
    """One line for the largest case that cannot run in so much memory; one names all the others."""
    needs = {case.id: memory_need(case).least_bytes for case in cases}
    by_id = {case.id: case for case in cases}
    large = sorted((name for name in needs if needs[name] > free_bytes), key=lambda n: -needs[n])
    if not large:
        return
    yield (
        f"GPU memory is too small: {large[0]} needs {gib(needs[large[0]])}, "
        f"{gib(free_bytes)} are free; {_remedy(by_id[large[0]], free_bytes)}"
    )
    if others := large[1:]:
        named = ", ".join(f"{name} ({gib(needs[name])})" for name in others[:MOST_NAMED])
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        yield f"too large as well: {named}{more}"
    if fitting := [name for name in needs if name not in large]:
        yield f"what fits: --only '{','.join(fitting)}'"


def tight(cases: Iterable[Case], free_bytes: int) -> Iterator[str]:
    """A line where the allocator will have to give back blocks while the largest case runs."""
    needs = {case.id: memory_need(case) for case in cases}
    close = [name for name, need in needs.items() if need.expected_bytes > free_bytes]
    if close:
        name = max(close, key=lambda one: needs[one].expected_bytes)
        yield (
            f"GPU memory is tight: {name} needs {gib(needs[name].least_bytes)} at least and takes "
            f"{gib(needs[name].expected_bytes)} where there is plenty; {gib(free_bytes)} are free, "
            "so times may hold waits for memory"
        )


def _remedy(case: Case, free_bytes: int) -> str:
    found = [offer.text for offer in offers(case, free_bytes)]
    if not found:
        return "no size or window of it would fit: free the GPU, or use a larger one"
    return f"it would fit with {', or '.join(found)}: see docs/gpus.md"


def _first(candidates: Iterable[Offer], free_bytes: int) -> Offer | None:
    """Of candidates in falling order."""
    return next((o for o in candidates if memory_need(o.case).least_bytes <= free_bytes), None)


def _sizes(case: Case) -> Iterator[Offer]:
    """Smaller frames, by 16 pixels of the shorter side each."""
    short = min(case.width_px, case.height_px)
    for side in range(short - SIZE_MULTIPLE_PX, LEAST_SIDE_PX - 1, -SIZE_MULTIPLE_PX):
        width, height = (_multiple(full * side / short) for full in (case.width_px, case.height_px))
        yield Offer(_with(case, width_px=width, height_px=height), f"size {width}x{height}")


def _multiple(side_px: float) -> int:
    return round(side_px / SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX


def _windows(case: Case) -> Iterator[Offer]:
    chunk = PRESETS[case.preset].model.frames_per_chunk
    for window in range(case.window - chunk, 0, -chunk):
        yield Offer(_with(case, window=window), f"window {window}")


def _arms(case: Case) -> Iterator[Offer]:
    """The first arms alone; the others can have a case of their own."""
    for count in range(len(case.arms) - 1, 1, -1):
        arms = case.arms[:count]
        words = f"its first {count} arms" if count > 2 else f"arms {BASE_ARM} and {arms[1]} alone"
        yield Offer(_with(case, arms=arms), words)


def _with(case: Case, **changes: Any) -> Case:
    return msgspec.structs.replace(case, **changes)

"""Nested ranges of one thread: which is the innermost at a time, and the place that they name.

A place is a stage and the path of the parts inside it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import CaseError
from harness.measure.idle import EVER_NS
from harness.measure.trace import HostEvents, Ints, Kind

NONE = -1
NOWHERE = 0  # place outside of every stage and part
MOST_PLACES = 10_000  # different stages times paths; the workload has a few hundred
LONGEST_PATH = 1000  # characters


@dataclass(frozen=True)
class Steps:
    """Which of some ranges is the innermost: `inner[i]` from `breaks_ns[i]` on, NONE for none."""

    breaks_ns: Ints
    inner: Ints
    parent: list[int]  # of each range

    def at(self, time_ns: Ints) -> Ints:
        """Index of the innermost range at each time."""
        return self.inner[np.searchsorted(self.breaks_ns, time_ns, side="right") - 1]


def innermost(ranges: HostEvents) -> Steps:
    """Sweeps ranges of one thread. One that outlasts the range around it ends with that."""
    breaks, inner = [-EVER_NS], [NONE]
    stack, ends = [NONE], [EVER_NS]
    parent: list[int] = []

    def close(until_ns: int) -> None:
        while ends[-1] <= until_ns:
            breaks.append(ends.pop())
            stack.pop()
            inner.append(stack[-1])

    for index, (start, end) in enumerate(
        zip(ranges.start_ns.tolist(), ranges.end_ns.tolist(), strict=True)
    ):
        close(start)
        parent.append(stack[-1])
        stack.append(index)
        ends.append(min(end, ends[-1]))
        breaks.append(start)
        inner.append(index)
    close(EVER_NS - 1)
    return Steps(np.array(breaks, dtype=np.int64), np.array(inner, dtype=np.int64), parent)


class Places:
    """Where the main thread is at each time: (stage, path of parts), numbered as they appear."""

    def __init__(self, main: HostEvents, names: list[str]) -> None:
        stages = main.where(main.kind == Kind.STAGE)
        parts = main.where(main.kind == Kind.PART)
        stage_steps, part_steps = innermost(stages), innermost(parts)
        stage_names = [names[name].removeprefix("stage.") for name in stages.name.tolist()] + [""]
        paths, repeats = _paths(parts, part_steps, names)
        self._number: dict[tuple[str, str], int] = {("", ""): NOWHERE}

        def number(stage: Ints, part: Ints) -> Ints:
            """Places of pairs of ranges; NONE is the last of either list, which is empty."""
            pairs = zip(stage.tolist(), part.tolist(), strict=True)
            keys = ((stage_names[i], paths[j]) for i, j in pairs)
            known = self._number
            return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)

        self.breaks_ns = np.sort(np.concatenate([stage_steps.breaks_ns, part_steps.breaks_ns]))
        self._place = number(stage_steps.at(self.breaks_ns), part_steps.at(self.breaks_ns))
        entered = parts.where(~repeats)
        self.entry_ns = np.concatenate([stages.start_ns, entered.start_ns])
        self.entry = np.concatenate(
            [
                number(np.arange(stages.name.size), np.full_like(stages.name, NONE)),
                number(stage_steps.at(entered.start_ns), np.flatnonzero(~repeats)),
            ]
        )
        self.names = list(self._number)
        if len(self.names) > MOST_PLACES:
            raise CaseError(
                f"the trace has {len(self.names)} places, more than any workload has",
                next_step="record the profile again",
            )

    def at(self, time_ns: Ints) -> Ints:
        """The place at each time."""
        return self._place[np.searchsorted(self.breaks_ns, time_ns, side="right") - 1]

    def host_ns(self, start_ns: int, end_ns: int) -> Ints:
        """Time spent in each place within a window. It adds up to the window."""
        inside = (self.breaks_ns > start_ns) & (self.breaks_ns < end_ns)
        bounds = np.concatenate([[start_ns], self.breaks_ns[inside], [end_ns]])
        return self.sums_ns(self.at(bounds[:-1]), np.diff(bounds))

    def sums_ns(self, place: Ints, time_ns: Ints) -> Ints:
        """Sum of times in each place; exact up to 2**53 ns."""
        return np.bincount(place, time_ns, minlength=len(self.names)).astype(np.int64)


def _paths(
    parts: HostEvents, steps: Steps, names: list[str]
) -> tuple[list[str], NDArray[np.bool_]]:
    """Path of each part range, with "" at the end, and which ranges only repeat the one around."""
    paths: list[str] = []
    repeats = np.zeros(parts.name.size, dtype=np.bool_)
    for index, (name, parent) in enumerate(zip(parts.name.tolist(), steps.parent, strict=True)):
        own = names[name].removeprefix("part.")
        outer = paths[parent] if parent != NONE else ""
        repeats[index] = outer == own or outer.endswith("/" + own)
        paths.append(outer if repeats[index] else f"{outer}/{own}".lstrip("/"))
        if len(paths[-1]) > LONGEST_PATH:
            raise CaseError(
                "the trace has parts inside parts without end", next_step="record the profile again"
            )
    return [*paths, ""], repeats

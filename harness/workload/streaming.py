"""The protocol of a streaming pipeline: what is measured answers to it, the built-in workload too.

A pipeline of your own is one Python file with a function `build(wish)` that returns an object of a
subclass of StreamingPipeline (docs/own-pipeline.md). It is driven chunk by chunk:

    given = pipeline.prepare(chunk)      not timed: the chunk's input, on the device
    frames = pipeline.step(given, mark)  timed: mark("encode") says that a stage begins here
    pipeline.reset()                     the next chunk is chunk 0 again

It knows no clock and never needs to synchronise.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.workload.parts import trace_marked

Mark = Callable[[str], None]
ENDLESS = 1 << 30  # chunks of a pipeline whose state never has to be reset


def ignore(_: str) -> None:
    """Marks nothing."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What `build` is asked for. A pipeline may do without preset and size."""

    device: torch.device
    seed: int
    preset: str  # "full", or "tiny": as much as a CPU can do
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Work:
    """What one part of a steady chunk costs by arithmetic; one multiply and one add are 2 FLOPs."""

    flops: float
    moved_bytes: float  # read and written

    def times(self, calls: int) -> "Work":
        """The same work so many times."""
        return Work(self.flops * calls, self.moved_bytes * calls)


@dataclass(frozen=True)
class ComponentCall:
    """One component that can be measured alone: how often a chunk calls it, and the call."""

    name: str
    calls_per_chunk: int
    call: Callable[[], object]


class StreamingPipeline(ABC):
    """A pipeline that yields its output chunk by chunk and keeps state between chunks."""

    first_steady_chunk: int = 0  # from here on every chunk does the same work
    chunks_per_cycle: int = ENDLESS  # so many chunks can follow each other without a reset
    dtype: torch.dtype = torch.float32  # of its matrix products

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._chunks = 0

    def prepare(self, chunk: int) -> Any:
        """The input of a chunk, counted from the last reset; None: nothing comes from outside."""
        return None

    @abstractmethod
    def step(self, given: Any, mark: Mark) -> int:
        """Runs one chunk and returns how many frames, at least one, it has produced.

        `mark(stage)` says which stage begins: lower-case letters and _, then perhaps a dot and a
        number, as in "denoise.2". The first line marks the first stage.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forgets all chunks: the next one is chunk 0."""

    def describe_cost(self) -> Mapping[str, Work]:
        """Work of a steady chunk by part, named as the outermost `part` ranges; none if unknown."""
        return {}

    def components(self) -> Sequence[ComponentCall]:
        """What can be measured alone, asked for in steady state; none by default."""
        return ()

    def traced(self) -> Iterable[object]:
        """Objects whose methods are marked with `part`: the pipeline, and every module in it."""
        yield self
        for value in vars(self).values():
            if isinstance(value, nn.Module):
                yield from value.modules()

    # What follows is for the harness.

    @property
    def chunk_index(self) -> int:
        """Number of the next chunk since the last reset."""
        return self._chunks

    def run(self, given: Any, mark: Mark = ignore) -> int:
        """Runs the next chunk and counts it; its frames."""
        with torch.no_grad():
            frames = self.step(given, mark)
        self._chunks += 1
        return frames

    def restart(self) -> None:
        """Resets state and count."""
        self.reset()
        self._chunks = 0

    @property
    def first_settled_chunk(self) -> int:
        """The first chunk from which on every one does what those before it did."""
        return self.first_steady_chunk

    @property
    def stages(self) -> list[str]:
        """The stages that a steady chunk must have, where they are known beforehand."""
        return []

    @property
    def input_tensor(self) -> Tensor | None:
        """What the latest chunk made of its input, to tell inputs apart; None: nothing is kept."""
        return None

    @contextmanager
    def part_ranges(self, *, compiled: bool) -> Iterator[None]:
        """Profiler ranges around the marked parts inside the block."""
        trace_marked(self.traced(), on=True)
        try:
            yield
        finally:
            trace_marked(self.traced(), on=False)

    def attention_ranges(self, *, compiled: bool) -> AbstractContextManager[None]:
        """Profiler ranges by use of attention inside the block, where a pipeline knows its uses."""
        return nullcontext()

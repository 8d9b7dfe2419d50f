"""The built-in workload as a streaming pipeline: the chunk loop, fed with a clip."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor

from harness.cost import chunk_flops
from harness.cost_bytes import chunk_bytes
from harness.workload.attention import USES
from harness.workload.components import component_calls
from harness.workload.inputs import Clip
from harness.workload.parts import blocks_in_regions, trace_parts
from harness.workload.rollout import LAST_START_FRAME, Pipeline, stage_names
from harness.workload.streaming import ComponentCall, Mark, StreamingPipeline, Work, ignore

Given = tuple[Tensor | None, Tensor | None]  # [1,3,12,H,W] and [1,1,12,H,W]
TEXT_ONLY: Given = (None, None)


class BuiltIn(StreamingPipeline):
    """A pipeline with its clip; None stands for text-only."""

    def __init__(self, workload: Pipeline, clip: Clip | None, mode: str) -> None:
        super().__init__(workload.device)
        self.workload, self.clip, self.mode = workload, clip, mode
        self.dtype = workload.dtype
        model = workload.config.model
        # The KV cache is full after these chunks, and rolls from then on.
        self.first_steady_chunk = workload.first_steady_chunk
        # Up to the reset that the workload would do itself.
        self.chunks_per_cycle = -(-LAST_START_FRAME // model.frames_per_chunk)

    def prepare(self, chunk: int) -> Given:
        """Frames and mask of a chunk."""
        return TEXT_ONLY if self.clip is None else self.clip.chunk(chunk)

    def step(self, given: Given, mark: Mark) -> int:
        """One chunk of the loop."""
        return self.workload.run_chunk(given[0], given[1], mark).shape[0]

    def reset(self) -> None:
        """Hard cut."""
        self.workload.reset()

    def describe_cost(self) -> Mapping[str, Work]:
        """Work by part of the cost model."""
        config, chunk = self.workload.config, self.first_steady_chunk
        flops = chunk_flops(config, self.mode, chunk=chunk)
        moved = chunk_bytes(config, self.mode, chunk)
        return {
            name: Work(flops.get(name, 0.0), moved.get(name, 0.0)) for name in {**flops, **moved}
        }

    def components(self) -> Sequence[ComponentCall]:
        """Encoders, VACE and decoder on the next chunk's input; none of a text-only case."""
        frames, mask = self.prepare(self.chunk_index)
        return () if frames is None else component_calls(self.workload, frames, mask)

    @property
    def chunk_index(self) -> int:
        """Of the workload, which resets itself where a prompt asks for it."""
        return self.workload.chunk_index

    def run(self, given: Given, mark: Mark = ignore) -> int:
        """The workload counts for itself."""
        return self.step(given, mark)

    def restart(self) -> None:
        """Hard cut."""
        self.workload.reset()

    @property
    def first_settled_chunk(self) -> int:
        """Of the workload: a variant's CUDA graphs are captured after the cache is full."""
        return self.workload.first_settled_chunk

    @property
    def stages(self) -> list[str]:
        """In order; a recache comes in rare chunks only."""
        return stage_names(self.workload.config, self.mode)

    @property
    def input_tensor(self) -> Tensor | None:
        """The VACE context; None for text-only."""
        return self.workload.last_vace_context

    @contextmanager
    def part_ranges(self, *, compiled: bool) -> Iterator[None]:
        """Parts inside the block; those of a compiled VACE branch stay off, or it compiles anew."""
        trace_parts(self.workload, base=True, vace=not compiled)
        try:
            with self.attention_ranges(compiled=compiled):
                yield
        finally:
            trace_parts(self.workload, base=False, vace=False)

    @contextmanager
    def attention_ranges(self, *, compiled: bool) -> Iterator[None]:
        """Ranges inside compiled blocks would compile them anew; the base blocks stay eager.

        Of blocks that are compiled in regions, the cross-attention lies inside one.
        """
        attention = self.workload.attention
        outside = ("cached_self", "vace_self") if blocks_in_regions(self.workload) else USES
        attention.trace(*(("cached_self",) if compiled else outside))
        try:
            yield
        finally:
            attention.trace()

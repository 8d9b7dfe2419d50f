"""CUDA graphs of a forward, of the denoising loop, or of the whole chunk, in the steady state.

Where tokens go in the ring repeats after a few chunks, so there is one graph for each place. A
chunk before the steady state, and the first one at each place, runs without a graph: that is also
the warm-up which a capture needs. The second is captured and replayed, all later ones replayed.
Inputs are copied into tensors that the graph knows; everything else that it reads stays in place.

Letters: F latent frames, h, w latent sides, T pixel frames, H, W pixel sides.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.workload.context import ContextEncoder
from harness.workload.noise import Noise
from harness.workload.rollout import Pipeline
from harness.workload.streaming import Mark, ignore
from harness.workload.variants.once import OnceTransformer
from harness.workload.variants.overlay import lay_over
from harness.workload.variants.real_rope import RealRotation
from harness.workload.variants.ring_cache import RingCache

Work = Callable[[], tuple[Tensor, ...]]
Pixels = tuple[Tensor | None, Tensor | None]


@dataclass
class Captured:
    """A graph with the tensors that it leaves behind."""

    graph: torch.cuda.CUDAGraph
    outputs: tuple[Tensor, ...]
    seen: dict[str, Tensor]  # what a watcher is shown


@dataclass
class Captures:
    """The graphs of a pipeline by what they depend on, and their common inputs."""

    graphs: dict[Hashable, Captured | None] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)
    context: Tensor | None = None  # the latest one that was placed

    def place(self, name: str, value: Tensor) -> Tensor:
        """An input's copy, in the tensor that the graphs read."""
        kept = self.inputs.get(name)
        if kept is None or kept.shape != value.shape or kept.dtype != value.dtype:
            if kept is not None:
                self.graphs.clear()
            kept = self.inputs[name] = torch.empty_like(value)
        return kept.copy_(value)

    def place_context(self, context: Tensor | None) -> Tensor | None:
        """The VACE context, copied once for all forwards of a chunk."""
        if context is None:
            return None
        if self.context is not context:
            self.context = context
            return self.place("context", context)
        return self.inputs["context"]

    def met(self, key: Hashable) -> bool:
        """Whether work with this key has run before: the first time it runs without a graph."""
        if key in self.graphs:
            return True
        self.graphs[key] = None
        return False


class DrawnNoise:
    """Noise that was drawn before a graph began, in the order in which it is asked for."""

    def __init__(self, drawn: list[Tensor]) -> None:
        self._drawn = iter(drawn)

    def initial(self, start_frame: int, shape: tuple[int, ...]) -> Tensor:
        """Raises: the initial latent is an input of every graph."""
        raise AssertionError("the initial latent is drawn before a graph")

    def next(self, shape: tuple[int, ...]) -> Tensor:
        """The noise of the next step."""
        return next(self._drawn)


class Graphed(Pipeline):
    """What the three sizes of graphs have in common."""

    captures: Captures

    @property
    def first_settled_chunk(self) -> int:
        """After the steady chunks that met each place of the ring, and those that captured it."""
        model = self.config.model
        places = (model.local_attn_frames - model.sink_frames) // model.frames_per_chunk
        return self.first_steady_chunk + 2 * places

    def _ready(self, name: Hashable, frames: int) -> Hashable | None:
        """The key of a graph that can be captured or replayed now; None: run without one."""
        ring, transformer = self.caches[0], self.transformer
        assert isinstance(ring, RingCache) and isinstance(transformer, OnceTransformer)
        assert self.conditioning is not None
        positions = ring.positions
        if not positions.full or not transformer.kept_text.holds(self.conditioning):
            return None
        tokens = self.config.tokens_per_frame
        plan = positions.plan(self.start_frame * tokens, frames * tokens)
        key = (name, tuple(positions.pieces(plan)), positions.attended(plan))
        return key if self.captures.met(key) else None

    def _replayed(self, key: Hashable, frames: int, work: Work) -> tuple[Tensor, ...]:
        """The outputs of the graph of `key`, which is captured from `work` where it is new."""
        self._find_positions(frames)
        captured = self.captures.graphs.get(key)
        if captured is None:
            captured = self.captures.graphs[key] = self._captured(work)
        captured.graph.replay()
        self._advance(frames)
        for name, value in captured.seen.items():
            self.watch(name, value)
        return captured.outputs

    def _captured(self, work: Work) -> Captured:
        watch, seen = self.watch, dict[str, Tensor]()
        self.watch = seen.__setitem__
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                outputs = work()
        finally:
            self.watch = watch
        return Captured(graph, outputs, seen)

    def _clean_with_graph(self, latent: Tensor, below: Callable[[Tensor], None]) -> None:
        """The clean pass of latent [1, F, 16, h, w], which `below` does without a graph."""
        key = self._ready("clean", latent.shape[1])
        if key is None:
            below(latent)
            return
        kept = self.captures.place("latent", latent)

        def work() -> tuple[Tensor, ...]:
            below(kept)
            return ()

        self._replayed(key, latent.shape[1], work)

    def _find_positions(self, frames: int) -> None:
        """Puts this chunk's rotation where the graphs read it."""
        rows, columns = self.config.latent_height // 2, self.config.latent_width // 2
        attention = self.transformer.blocks[0].self_attn
        assert isinstance(attention, RealRotation)
        attention.factors.at((frames, rows, columns), self.start_frame)

    def _advance(self, frames: int) -> None:
        """The ring's position on the host, whose code a replay does not run."""
        ring = self.caches[0]
        assert isinstance(ring, RingCache)
        tokens = self.config.tokens_per_frame
        plan = ring.positions.plan(self.start_frame * tokens, frames * tokens)
        if not plan.recompute:
            ring.positions.advance(plan.global_end, plan.local_end)

    def _drawn(self, x: Tensor, steps: Tensor) -> DrawnNoise:
        """The noise between the steps, drawn now and put where the graphs read it."""
        shape = tuple(x.flatten(0, 1).shape)
        count = len(steps) - 1
        place, draw = self.captures.place, self.noise.next
        return DrawnNoise([place(f"noise{index}", draw(shape)) for index in range(count)])

    def _with_noise(self, noise: Noise, work: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        own = self.noise
        self.noise = noise
        try:
            return (work(),)
        finally:
            self.noise = own


class ForwardGraphs(Graphed):
    """Laid over the pipeline: a graph for each forward with its step."""

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        start_frame: int,
        context: Tensor | None,
        mark: Mark,
        stage: str,
    ) -> tuple[Tensor, Tensor]:
        """One transformer forward: x [1, F, 16, h, w], timestep [1, F] -> (flow, x0)."""
        below, frames = super().forward, x.shape[1]
        name = (stage, timestep.data_ptr(), context is None)
        key = self._ready(name, frames) if stage.startswith("denoise") else None
        if key is None:
            return below(x, timestep, start_frame, context, mark, stage)
        kept = self.captures.place("x", x)
        control = self.captures.place_context(context)
        flow, x0 = self._replayed(
            key, frames, lambda: below(kept, timestep, start_frame, control, ignore, stage)
        )
        return flow, x0

    def _clean_pass(self, latent: Tensor) -> None:
        self._clean_with_graph(latent, super()._clean_pass)


class LoopGraphs(Graphed):
    """Laid over the pipeline: a graph for all steps of the loop, and one for the clean pass."""

    def _denoise(self, x: Tensor, steps: Tensor, context: Tensor | None, mark: Mark) -> Tensor:
        below, frames = super()._denoise, x.shape[1]
        key = self._ready(("loop", tuple(steps.tolist()), context is None), frames)
        if key is None:
            return below(x, steps, context, mark)
        mark("denoise.0")
        kept, noise = self.captures.place("x", x), self._drawn(x, steps)
        control = self.captures.place_context(context)

        def work() -> tuple[Tensor, ...]:
            return self._with_noise(noise, lambda: below(kept, steps, control, ignore))

        return self._replayed(key, frames, work)[0]

    def _clean_pass(self, latent: Tensor) -> None:
        self._clean_with_graph(latent, super()._clean_pass)


class KnownMask(ContextEncoder):
    """Laid over the context encoder: inside a graph nothing may ask the device for the answer."""

    known: bool | None

    def _generates_all(self, hard: Tensor) -> bool:
        return super()._generates_all(hard) if self.known is None else self.known


class ChunkGraphs(Graphed):
    """Laid over the pipeline: one graph from the pixels to the frames."""

    placed_history: Tensor | None

    def _chunk(self, x: Tensor, steps: Tensor, pixels: Pixels, mark: Mark) -> Tensor:
        below, captures = super()._chunk, self.captures
        encoder = self.context_encoder
        assert isinstance(encoder, KnownMask)
        frames, mask = pixels
        generates_all = mask is None or bool((mask > encoder.mask_threshold).all())
        name = ("chunk", tuple(steps.tolist()), frames is None, mask is None, generates_all)
        key = self._ready(name, x.shape[1])
        if key is None:
            return below(x, steps, pixels, mark)
        mark("denoise.0" if frames is None else "encode")
        kept, noise = captures.place("x", x), self._drawn(x, steps)
        kept_pixels = (
            None if frames is None else captures.place("frames", frames),
            None if mask is None else captures.place("mask", mask),
        )

        def work() -> tuple[Tensor, ...]:
            encoder.known = generates_all
            try:
                output = self._with_noise(noise, lambda: below(kept, steps, kept_pixels, ignore))
            finally:
                encoder.known = None
            context = self.last_vace_context
            return output if context is None else (*output, context)

        output, *context = self._replayed(key, x.shape[1], work)
        self.last_vace_context = context[0] if context else None
        return output.clone()

    def _history(self, latent: Tensor) -> Tensor:
        """The latest latents, in a tensor that stays in place."""
        history = super()._history(latent)
        if self.placed_history is None or self.placed_history.shape != history.shape:
            self.placed_history = torch.empty_like(history)
        return self.placed_history.copy_(history)


def capture_forwards(pipeline: Pipeline) -> None:
    """A graph a forward."""
    lay_over(pipeline, ForwardGraphs, captures=Captures())


def capture_loop(pipeline: Pipeline) -> None:
    """A graph for the loop."""
    lay_over(pipeline, LoopGraphs, captures=Captures())


def capture_chunk(pipeline: Pipeline) -> None:
    """A graph for the chunk."""
    lay_over(pipeline.context_encoder, KnownMask, known=None)
    lay_over(pipeline, ChunkGraphs, captures=Captures(), placed_history=None)

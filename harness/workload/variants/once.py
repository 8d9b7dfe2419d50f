"""What every forward computes anew though its input stays: kept, in tensors that stay in place.

The prompt's embedding and its keys and values in the VACE blocks change with the prompt; the time
embedding and the noise levels of a step never change; the VACE context lasts for a chunk. Kept
tensors are refilled rather than replaced, so that a captured CUDA graph still reads the right ones.
"""

import torch
from torch import Tensor

from harness.workload.layers import CrossAttention
from harness.workload.parts import part
from harness.workload.rollout import Pipeline
from harness.workload.scheduler import FlowScheduler
from harness.workload.transformer import CausalTransformer
from harness.workload.vace import Vace
from harness.workload.variants.overlay import lay_over


class Kept:
    """Tensors made from a source, until another source comes."""

    def __init__(self) -> None:
        self._source: Tensor | None = None
        self._version = 0  # torch counts the changes of a tensor in place
        self._tensors: tuple[Tensor, ...] = ()

    def holds(self, source: Tensor) -> bool:
        """Whether the tensors were made from this very tensor, and it has not changed since."""
        return self._source is source and self._version == source._version

    def refill(self, source: Tensor, made: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Takes over new values, in place where the shapes allow it."""
        if [t.shape for t in made] == [t.shape for t in self._tensors]:
            for kept, new in zip(self._tensors, made, strict=True):
                kept.copy_(new)
        else:
            self._tensors = made
        self._source, self._version = source, source._version
        return self._tensors

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """As last refilled."""
        return self._tensors


class KeptSteps:
    """One timestep tensor for each value, shape and type that the chunk loop uses."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, tuple[int, ...], torch.dtype], Tensor] = {}

    def get(self, ones: Tensor, step: int) -> Tensor:
        """`ones` times `step`: the same tensor each time."""
        key = (step, tuple(ones.shape), ones.dtype)
        if key not in self._kept:
            self._kept[key] = ones * step
        return self._kept[key]

    def holds(self, timestep: Tensor) -> bool:
        """Whether it is a kept one, or a view of it."""
        return any(timestep.data_ptr() == kept.data_ptr() for kept in self._kept.values())


class OncePipeline(Pipeline):
    """Laid over the pipeline: timesteps are kept tensors, by which others know a step."""

    steps: KeptSteps

    def timestep(self, ones: Tensor, step: Tensor | int) -> Tensor:
        """A timestep for every frame, of the shape of `ones`; `step` is a CPU scalar."""
        return self.steps.get(ones, int(step))  # a CPU scalar: nothing waits


class OnceTransformer(CausalTransformer):
    """Laid over the transformer."""

    steps: KeptSteps
    kept_text: Kept
    kept_times: dict[tuple[int, torch.dtype], tuple[Tensor, Tensor]]

    @part("embed.text")
    def _text(self, prompt: Tensor) -> Tensor:
        """[1, T', text_dim] -> [1, T, d]."""
        if not self.kept_text.holds(prompt):
            self.kept_text.refill(prompt, (super()._text(prompt),))
        return self.kept_text.tensors[0]

    @part("embed.time")
    def _times(self, timestep: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """[1, F] -> time embedding [1, F, 1, d] and its projection [1, F, 6, d]."""
        if not self.steps.holds(timestep):
            return super()._times(timestep, dtype)
        key = (timestep.data_ptr(), dtype)
        if key not in self.kept_times:
            self.kept_times[key] = super()._times(timestep, dtype)
        return self.kept_times[key]


class OnceScheduler(FlowScheduler):
    """Laid over the scheduler: the noise level of a kept timestep is looked up once."""

    steps: KeptSteps
    kept_sigmas: dict[tuple[int, torch.dtype], Tensor]

    @part("x0")
    def x0(self, flow: Tensor, x: Tensor, timestep: Tensor) -> Tensor:
        """x - sigma*flow for flow, x [F, 16, h, w] and timestep [F]; float64 inside."""
        if not self.steps.holds(timestep):
            return super().x0(flow, x, timestep)
        sigma = self._sigma(timestep, torch.float64)
        return (x.double() - sigma * flow.double()).to(flow.dtype)

    def add_noise(self, x0: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """(1-sigma)*x0 + sigma*noise for [F, 16, h, w] and timestep [F], in float32."""
        if not self.steps.holds(timestep):
            return super().add_noise(x0, noise, timestep)
        sigma = self._sigma(timestep, torch.float32)
        return ((1 - sigma) * x0 + sigma * noise).to(noise.dtype)

    def _sigma(self, timestep: Tensor, dtype: torch.dtype) -> Tensor:
        """[F, 1, 1, 1]; looked up in the type in which the baseline looks it up."""
        key = (timestep.data_ptr(), dtype)
        if key not in self.kept_sigmas:
            distance = (self.timesteps.to(dtype) - timestep.unsqueeze(1)).abs()
            sigma = self.sigmas.to(dtype)[distance.argmin(dim=1)]
            self.kept_sigmas[key] = sigma.reshape(-1, 1, 1, 1)
        return self.kept_sigmas[key]


class OnceCrossAttention(CrossAttention):
    """Laid over every cross-attention: the text's keys and values last as long as the text.

    The base blocks' caches forget theirs at a reset and ask again; they then get these.
    """

    kept_keys: Kept

    def keys(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """The text's keys and values, text [1, T, d] -> [1, T, n, D] each."""
        if not self.kept_keys.holds(text):
            self.kept_keys.refill(text, super().keys(text))
        k, v = self.kept_keys.tensors
        return k, v


class StaleCrossAttention(OnceCrossAttention):
    """A mistake for the proof of the output: the first prompt's keys stay for ever."""

    def keys(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """The first text's keys and values."""
        if not self.kept_keys.tensors:
            return super().keys(text)
        k, v = self.kept_keys.tensors
        return k, v


class OnceVace(Vace):
    """Laid over the VACE branch: a chunk's context is embedded once for its four forwards."""

    kept_context: Kept

    @part("patch")
    def _embedded(self, context: Tensor) -> Tensor:
        """[96, F, h, w] -> [1, d, F, h/2, w/2]."""
        if not self.kept_context.holds(context):
            self.kept_context.refill(context, (super()._embedded(context),))
        return self.kept_context.tensors[0]


def compute_once(pipeline: Pipeline) -> None:
    """Lays all of it over a pipeline."""
    steps = KeptSteps()
    lay_over(pipeline, OncePipeline, steps=steps)
    lay_over(pipeline.transformer, OnceTransformer, steps=steps, kept_text=Kept(), kept_times={})
    lay_over(pipeline.scheduler, OnceScheduler, steps=steps, kept_sigmas={})
    lay_over(pipeline.vace, OnceVace, kept_context=Kept())
    for block in (*pipeline.transformer.blocks, *pipeline.vace.vace_blocks):
        lay_over(block.cross_attn, OnceCrossAttention, kept_keys=Kept())


def keep_stale(pipeline: Pipeline) -> None:
    """The mistake, on a pipeline that computes text keys once."""
    for block in (*pipeline.transformer.blocks, *pipeline.vace.vace_blocks):
        lay_over(block.cross_attn, StaleCrossAttention)

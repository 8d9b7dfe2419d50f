"""TAE as a function of frames and memory: nothing is kept inside, so torch.compile takes it whole.

Letters: T frames, C channels, H, W sides at a layer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from harness.errors import CaseError
from harness.workload.autoencoder import MEMORY_BLOCKS, MemoryBlock, Tae
from harness.workload.rollout import Pipeline
from harness.workload.vae import FrameMemory
from harness.workload.variants.overlay import lay_over

Stream = Callable[[nn.Sequential, Tensor, list[Tensor | None]], tuple[Tensor, list[Tensor]]]


def run_stream(
    layers: nn.Sequential, x: Tensor, past: list[Tensor | None]
) -> tuple[Tensor, list[Tensor]]:
    """Frames [T,C,H,W] and the last input frame [1,C,H,W] of every memory block -> both anew."""
    latest: list[Tensor] = []
    for layer in layers:
        if isinstance(layer, MemoryBlock):
            x, last = layer(x, past[len(latest)])
            latest.append(last)
        else:
            x = layer(x)
    return x, latest


@dataclass
class PlacedMemory(FrameMemory):
    """A memory whose tensors stay where they are, also over a clear: a CUDA graph reads them."""

    places: dict[int, Tensor] = field(default_factory=dict)

    def refill(self, latest: list[Tensor]) -> None:
        """Takes over new frames [1,C,H,W], in place where the shapes allow it."""
        for slot, new in enumerate(latest):
            if slot not in self.places or self.places[slot].shape != new.shape:
                self.places[slot] = torch.empty_like(new)
            self.places[slot].copy_(new)
            self.slots[slot] = self.places[slot]


class ExplicitTae(Tae):
    """Laid over the autoencoder."""

    stream: Stream
    chunk_frames: dict[bool, int]  # frames of a chunk that go into the decoder, into the encoder

    def new_encoder_memory(self) -> FrameMemory:
        """A memory of its own for one encoded stream."""
        return PlacedMemory.empty(MEMORY_BLOCKS)

    def run_layers(self, layers: nn.Sequential, x: Tensor, memory: FrameMemory | None) -> Tensor:
        """Frames [T,C,H,W] through all layers; reads and refills the memory where one is given.

        The first decode of a stream has frames of other numbers, once: it is not compiled.
        """
        usual = x.shape[0] == self.chunk_frames[layers is self.decoder]
        past: list[Tensor | None] = [None] * MEMORY_BLOCKS if memory is None else [*memory.slots]
        x, latest = (self.stream if usual else run_stream)(layers, x, past)
        if memory is not None:
            assert isinstance(memory, PlacedMemory)
            memory.refill(latest)
        return x


class ChannelsLastTae(Tae):
    """Laid over the autoencoder: frames [T,C,H,W] lie in memory as [T,H,W,C]."""

    def run_layers(self, layers: nn.Sequential, x: Tensor, memory: FrameMemory | None) -> Tensor:
        """As below it, from frames in the other layout."""
        return super().run_layers(layers, x.contiguous(memory_format=torch.channels_last), memory)


def make_explicit(pipeline: Pipeline) -> None:
    """Memory as inputs and outputs, without compiling."""
    vae = _tae(pipeline, "tae-explicit")
    model = pipeline.config.model
    chunk_frames = {True: model.frames_per_chunk, False: model.pixel_frames_per_chunk}
    vae.decoder_memory = PlacedMemory.empty(MEMORY_BLOCKS)
    lay_over(vae, ExplicitTae, stream=run_stream, chunk_frames=chunk_frames)


def compile_streams(pipeline: Pipeline) -> None:
    """Encoder and decoder through torch.compile, whole and with static shapes."""
    vae = _tae(pipeline, "tae-compiled")
    assert isinstance(vae, ExplicitTae)
    vae.stream = torch.compile(run_stream, fullgraph=True, dynamic=False)


def use_channels_last(pipeline: Pipeline) -> None:
    """Weights of its own in the other layout: those of other pipelines stay as they are."""
    vae = _tae(pipeline, "tae-channels-last")
    for module in vae.modules():
        if isinstance(module, nn.Conv2d):
            weight = module.weight.detach().contiguous(memory_format=torch.channels_last)
            module.weight = nn.Parameter(weight, requires_grad=False)
    lay_over(vae, ChannelsLastTae)


def _tae(pipeline: Pipeline, fix: str) -> Tae:
    if not isinstance(pipeline.vae, Tae):
        raise CaseError(f"fix '{fix}' is for the TAE", next_step="use vae tae")
    return pipeline.vae

"""WanVAE through torch.compile: encoder and decoder as functions of frames and memory, whole.

Letters: T frames, C channels, H, W sides at a layer.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.errors import CaseError
from harness.workload.rollout import Pipeline
from harness.workload.vae import FrameMemory
from harness.workload.variants.overlay import lay_over
from harness.workload.wan_vae import TIME_FACTOR, WanVae

Slots = list[Tensor | None]
Stream = Callable[["CompiledCoder", Tensor, Slots], tuple[Tensor, Slots]]


def run_stream(coder: "CompiledCoder", x: Tensor, slots: Slots) -> tuple[Tensor, Slots]:
    """Frames [1,C,T,H,W] and what every layer that looks back has kept -> both anew."""
    memory = FrameMemory([*slots])
    return coder.whole(x, memory), memory.slots


class CompiledCoder(nn.Module):
    """Laid over the encoder and the decoder."""

    stream: Stream
    usual_frames: tuple[int, ...]
    needs_past: bool

    def forward(self, x: Tensor, memory: FrameMemory) -> Tensor:
        """One call of a stream, continued from the memory.

        The calls that only begin a stream have frames of other numbers: they are not compiled.
        """
        begun = all(slot is not None for slot in memory.slots)
        if x.shape[2] not in self.usual_frames or (self.needs_past and not begun):
            return self.whole(x, memory)
        x, memory.slots = self.stream(self, x, [*memory.slots])
        return x

    def whole(self, x: Tensor, memory: FrameMemory) -> Tensor:
        """All layers, as without this change."""
        return super().forward(x, memory)  # type: ignore[no-any-return]


def compile_wan(pipeline: Pipeline) -> None:
    """Both halves of the WanVAE, with static shapes.

    An encoder call has one frame or a whole group of them, a decoder call one latent frame.
    """
    use_stream(pipeline, torch.compile(run_stream, fullgraph=True, dynamic=False))


def use_stream(pipeline: Pipeline, stream: Stream) -> None:
    """Both halves of the WanVAE through one function. Raises CaseError for the TAE."""
    vae = pipeline.vae
    if not isinstance(vae, WanVae):
        raise CaseError("fix 'wan-compiled' is for the WanVAE", next_step="use vae wanvae")
    encoder = {"usual_frames": (1, TIME_FACTOR), "needs_past": False}
    decoder = {"usual_frames": (1,), "needs_past": True}
    lay_over(vae.encoder, CompiledCoder, stream=stream, **encoder)
    lay_over(vae.decoder, CompiledCoder, stream=stream, **decoder)

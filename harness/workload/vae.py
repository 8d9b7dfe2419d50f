"""What the pipeline asks of an autoencoder, whichever of the two it is.

Letters in shape comments: T pixel frames, F latent frames, H W pixels, h w latent cells.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass
class FrameMemory:
    """What a causal autoencoder keeps of earlier frames, so that a clip can be streamed by chunk.

    One slot for each layer that looks back, in order of execution. None: nothing was seen yet.
    """

    slots: list[Tensor | None]

    @classmethod
    def empty(cls, count: int) -> "FrameMemory":
        """A memory of `count` slots that has seen nothing."""
        return cls([None] * count)

    def clear(self) -> None:
        """Forgets all frames."""
        self.slots = [None] * len(self.slots)


class Vae(Protocol):
    """Pixels to latents and back, one chunk after the other."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, and of the pixels and latents that go in."""
        ...

    def new_encoder_memory(self) -> FrameMemory:
        """The memory of one encoded stream."""
        ...

    def encode(self, pixels: Tensor, memory: FrameMemory | None) -> Tensor:
        """[1,3,T,H,W] in [-1,1] -> [1,F,16,h,w]; without a memory the chunk stands alone."""
        ...

    def decode(self, latent: Tensor) -> Tensor:
        """[1,F,16,h,w] -> [1,T,3,H,W] in [-1,1]; continues the stream since the last clear."""
        ...

    def clear(self) -> None:
        """A hard cut: the next decode begins a stream. Memories given out are not touched."""
        ...

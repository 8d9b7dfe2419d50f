"""The VACE encoding stage: control frames and a mask become the 96-channel context of one chunk.

Baseline behaviour: every conditioned mode encodes two streams, the pixels to keep (inactive) and
the pixels to generate (reactive), even where the mask leaves one of them empty.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.workload.parts import part
from harness.workload.vae import FrameMemory, Vae

MASK_THRESHOLD = 0.5
CELL_PX = 8  # the mask's pixels of one latent cell become 8 * 8 channels


def mask_channels(mask: Tensor) -> Tensor:
    """[1,1,T,H,W] -> [64,(T+3)//4,h,w]: the soft mask by position in its cell, 8 * dy + dx."""
    frames, height, width = mask.shape[2:]
    cells = mask.view(frames, height // CELL_PX, CELL_PX, width // CELL_PX, CELL_PX)
    channels = cells.permute(2, 4, 0, 1, 3).flatten(0, 1)  # [64,T,h,w]
    size = ((frames + 3) // 4, *channels.shape[2:])
    return F.interpolate(channels[None], size=size, mode="nearest-exact")[0]


class ContextEncoder:
    """Owns the two streaming memories. No reset clears them, so they outlive a hard cut."""

    def __init__(self, vae: Vae, *, mask_threshold: float = MASK_THRESHOLD) -> None:
        self._vae = vae
        self.mask_threshold = mask_threshold
        self._inactive_memory: FrameMemory | None = None
        self._reactive_memory: FrameMemory | None = None

    def encode(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """frames [1,3 or 1,T,H,W] in [-1,1], mask [1,1,T,H,W] in [0,1] -> [96,F,h,w].

        1 in the mask means generate, 0 keep. Without a mask all is generated (control maps).
        """
        inactive, reactive, mask, generate_all = self._split(frames, mask)
        streams = [self._encode_inactive(inactive), self._encode_reactive(reactive, generate_all)]
        return self._joined(streams, mask)

    @part("mask_split")
    def _split(self, frames: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor, bool]:
        """Pixels to keep and to generate, the mask, and whether it generates all."""
        frames = frames.to(self._vae.dtype)
        if frames.shape[1] == 1:
            frames = frames.repeat(1, 3, 1, 1, 1)
        mask = torch.ones_like(frames[:, :1]) if mask is None else mask.to(self._vae.dtype)

        hard = torch.where(mask > self.mask_threshold, 1.0, 0.0)  # float32, whatever the mask is
        inactive = (frames * (1 - hard) + 0 * hard).to(self._vae.dtype)
        reactive = (frames * hard + 0 * (1 - hard)).to(self._vae.dtype)
        return inactive, reactive, mask, self._generates_all(hard)

    def _generates_all(self, hard: Tensor) -> bool:
        """Whether no pixel is kept: one wait for the device a chunk."""
        return bool((hard > MASK_THRESHOLD).all())

    @part("mask_channels")
    def _joined(self, streams: list[Tensor], mask: Tensor) -> Tensor:
        latents = torch.cat(streams, dim=2)  # [1,F,32,h,w]
        return torch.cat([latents[0].transpose(0, 1), mask_channels(mask)])

    @part("vae")
    def _encode_inactive(self, pixels: Tensor) -> Tensor:
        if self._inactive_memory is None:
            self._inactive_memory = self._vae.new_encoder_memory()
        return torch.stack([self._vae.encode(pixels, self._inactive_memory)[0]])

    @part("vae")
    def _encode_reactive(self, pixels: Tensor, generate_all: bool) -> Tensor:
        """A mask that keeps any pixel moves the reactive stream to batch mode."""
        if not generate_all:
            return torch.stack([self._vae.encode(pixels, None)[0]])
        if self._reactive_memory is None:
            self._reactive_memory = self._vae.new_encoder_memory()
        return torch.stack([self._vae.encode(pixels, self._reactive_memory)[0]])

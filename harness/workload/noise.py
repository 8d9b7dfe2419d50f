"""Where a chunk's noise comes from. Letters: F latent frames of a chunk, h, w latent sides."""

from typing import Protocol

import torch
from torch import Tensor

from harness.workload.parts import part


class Noise(Protocol):
    """Where a chunk's noise comes from."""

    def initial(self, start_frame: int, shape: tuple[int, ...]) -> Tensor:
        """The chunk's initial latent."""

    def next(self, shape: tuple[int, ...]) -> Tensor:
        """The noise of the next step."""


class SeededNoise:
    """A generator seeded with seed + start frame for each chunk."""

    def __init__(self, seed: int, *, device: torch.device, dtype: torch.dtype) -> None:
        self._seed, self._device, self._dtype = seed, device, dtype
        self._generator = torch.Generator(device)

    def fresh(self) -> "SeededNoise":
        """The same noise once more, from a generator of its own."""
        return SeededNoise(self._seed, device=self._device, dtype=self._dtype)

    def initial(self, start_frame: int, shape: tuple[int, ...]) -> Tensor:
        """The chunk's initial latent."""
        self._generator.manual_seed(self._seed + start_frame)
        return self.next(shape)

    @part("noise")
    def next(self, shape: tuple[int, ...]) -> Tensor:
        """The noise of the next step."""
        return torch.randn(shape, generator=self._generator, device=self._device, dtype=self._dtype)

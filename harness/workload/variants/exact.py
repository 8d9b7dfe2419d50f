"""The yardstick of every output: the same weights and noise in float32 with exact attention."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from harness.workload.noise import Noise
from harness.workload.prompt import blend
from harness.workload.rollout import Pipeline
from harness.workload.variants.backends import use_sdpa
from harness.workload.variants.registry import twin


class WidenedNoise:
    """Another pipeline's noise in float32: drawn in its type, so that the values are the same."""

    def __init__(self, noise: Noise) -> None:
        self._noise = noise

    def initial(self, start_frame: int, shape: tuple[int, ...]) -> Tensor:
        """The chunk's initial latent."""
        return self._noise.initial(start_frame, shape).float()

    def next(self, shape: tuple[int, ...]) -> Tensor:
        """The noise of the next step."""
        return self._noise.next(shape).float()


def exact_twin(pipeline: Pipeline) -> Pipeline:
    """A fresh float32 pipeline with the weights of one that has not run; it needs a prompt."""
    exact = twin(pipeline)
    exact.config = replace(pipeline.config, dtype="float32")
    exact.dtype = torch.float32
    exact.noise = WidenedNoise(exact.noise)
    for module in (exact.transformer, exact.vace, exact.vae):
        assert isinstance(module, nn.Module)
        _widen(module)
    use_sdpa(exact)
    return exact


def _widen(module: nn.Module) -> None:
    """Parameters of its own in float32: those that it shares stay as they are."""
    for owner in module.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            wide = nn.Parameter(parameter.detach().float(), requires_grad=False)
            setattr(owner, name, wide)


def set_exact_prompt(exact: Pipeline, prompt: Tensor) -> None:
    """A prompt [1, T', text_dim] as the pipelines of its type use it, widened after their blend."""
    exact.set_conditioning(blend([prompt], [1.0], prompt.dtype).float())

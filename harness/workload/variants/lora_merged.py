"""LoRA adapters merged into the weights: W + scaling * B A, summed in float32 and rounded once."""

from collections.abc import Callable

import torch
from torch import nn

from harness.workload.lora import ADAPTED, LoraLinear
from harness.workload.rollout import Pipeline


def merge(pipeline: Pipeline) -> None:
    """Replaces every adapted linear of the base blocks by one plain linear of its own."""
    _replace(pipeline, _merged)


def leave_out(pipeline: Pipeline) -> None:
    """A mistake for the proof of the output: the base weights alone."""
    _replace(pipeline, lambda adapted: adapted.base)


def _replace(pipeline: Pipeline, plain: Callable[[LoraLinear], nn.Linear]) -> None:
    for block in pipeline.transformer.blocks:
        for name in ADAPTED:
            adapted = block.get_submodule(name)
            if isinstance(adapted, LoraLinear):
                parent, _, child = name.rpartition(".")
                setattr(block.get_submodule(parent), child, plain(adapted))


@torch.no_grad()
def _merged(adapted: LoraLinear) -> nn.Linear:
    base = adapted.base
    side = adapted.lora_B.weight.float() @ adapted.lora_A.weight.float()
    weight = (base.weight.float() + adapted.scaling * side).to(base.weight.dtype)
    linear = nn.Linear(base.in_features, base.out_features, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    linear.bias = base.bias
    return linear

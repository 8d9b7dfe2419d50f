"""The VACE branch: control context -> one hint for each tapped layer of the base transformer.

Letters: N tokens of a chunk, d width, j index of a VACE block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.presets import ModelConfig
from harness.workload.attention import Attention
from harness.workload.layers import Block, ContextSelfAttention
from harness.workload.parts import part


class VaceBlock(Block):
    """A block without cache and LoRA; block 0 also joins the context with the noisy tokens."""

    child_parts: ClassVar = {**Block.child_parts, "after_proj": "after"}
    self_attn: ContextSelfAttention

    def __init__(self, model: ModelConfig, attention: Attention, *, first: bool) -> None:
        super().__init__(model, attention, ContextSelfAttention(model, attention))
        self.before_proj = nn.Linear(model.dim, model.dim) if first else None
        self.after_proj = nn.Linear(model.dim, model.dim)

    def forward(
        self, stacked: Tensor, x: Tensor, e0: Tensor, text: Tensor, places: tuple[Tensor, ...]
    ) -> Tensor:
        """Hints so far and the context as one tensor [j+1, 1, N, d] -> [j+2, 1, N, d].

        The first block takes the context alone, [1, N, d]. `places` are lengths, grid and RoPE
        table. Unbinding and stacking all hints in every block is the baseline's way.
        """
        if self.before_proj is not None:
            hints, context = [], self._joined(self.before_proj, stacked, x)
        else:
            *hints, context = self._unstacked(stacked)
        e = self.modulations(e0)
        attended = self.self_attn(self.attention_input(context, e), *places)
        context = self.after_attention(context, attended, e, text, None)
        return self._stacked([*hints, self.after_proj(context), context])

    @part("before")
    def _joined(self, before_proj: nn.Module, context: Tensor, x: Tensor) -> Tensor:
        joined: Tensor = before_proj(context) + x
        return joined

    @part("stack")
    def _unstacked(self, stacked: Tensor) -> tuple[Tensor, ...]:
        return torch.unbind(stacked)

    @part("stack")
    def _stacked(self, entries: list[Tensor]) -> Tensor:
        return torch.stack(entries)


@dataclass
class VaceCalls:
    """What is called for the patch embedding and each block: the modules, or compiled forms."""

    embed: Callable[[Tensor], Tensor]
    blocks: list[Callable[..., Tensor]]


class Vace(nn.Module):
    """Patch embedding and blocks of the branch, by the checkpoint's names."""

    def __init__(self, model: ModelConfig, attention: Attention) -> None:
        super().__init__()
        self.padded_tokens = model.vace_padded_tokens
        self.vace_patch_embedding = nn.Conv3d(
            model.vace_channels, model.dim, kernel_size=(1, 2, 2), stride=(1, 2, 2)
        )
        self.vace_blocks = nn.ModuleList(
            VaceBlock(model, attention, first=index == 0) for index in range(len(model.vace_layers))
        )
        self.calls = self.eager_calls()

    def eager_calls(self) -> VaceCalls:
        """The modules themselves."""
        return VaceCalls(self.vace_patch_embedding, list(self.vace_blocks))

    def compiled_calls(self) -> VaceCalls:
        """Patch embedding and each block through torch.compile; the first call compiles."""
        blocks: list[Callable[..., Tensor]] = [torch.compile(block) for block in self.vace_blocks]
        return VaceCalls(torch.compile(self.vace_patch_embedding), blocks)

    @part("vace")
    def forward(
        self, context: Tensor, x: Tensor, e0: Tensor, text: Tensor, places: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """context [96, F, h, w], x [1, N, d] -> one hint [1, N, d] a block."""
        return self.hints(self._embedded(context), x, e0, text, places)

    @part("patch")
    def _embedded(self, context: Tensor) -> Tensor:
        """[96, F, h, w] -> [1, d, F, h/2, w/2]."""
        return self.calls.embed(context.unsqueeze(0))

    def hints(
        self, embedded: Tensor, x: Tensor, e0: Tensor, text: Tensor, places: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The blocks alone, from the embedded context [1, d, F, h/2, w/2]."""
        stacked = self._padded(embedded)[:, : x.shape[1]]
        for block in self.calls.blocks:
            stacked = block(stacked, x, e0, text, places)
        return torch.unbind(stacked)[:-1]

    @part("pad")
    def _padded(self, embedded: Tensor) -> Tensor:
        """Tokens padded to a fixed length, only to be cut back at once: baseline."""
        tokens = embedded.flatten(2).transpose(1, 2)
        missing = max(self.padded_tokens - tokens.shape[1], 0)
        padding = tokens.new_zeros(1, missing, tokens.shape[2])
        return torch.cat([torch.cat([tokens, padding], dim=1)])

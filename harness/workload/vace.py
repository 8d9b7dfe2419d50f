"""The VACE branch: control context -> one hint for each tapped layer of the base transformer.

Letters: N tokens of a chunk, d width, j index of a VACE block.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.presets import ModelConfig
from harness.workload.attention import Attention
from harness.workload.layers import Block, ContextSelfAttention


class VaceBlock(Block):
    """A block without cache and LoRA; block 0 also joins the context with the noisy tokens."""

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
            hints, context = [], self.before_proj(stacked) + x
        else:
            *hints, context = torch.unbind(stacked)
        e = self.modulations(e0)
        attended = self.self_attn(self.attention_input(context, e), *places)
        context = self.after_attention(context, attended, e, text, None)
        return torch.stack([*hints, self.after_proj(context), context])


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

    def forward(
        self, context: Tensor, x: Tensor, e0: Tensor, text: Tensor, places: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """context [96, F, h, w], x [1, N, d] -> one hint [1, N, d] a block."""
        return self.hints(self.calls.embed(context.unsqueeze(0)), x, e0, text, places)

    def hints(
        self, embedded: Tensor, x: Tensor, e0: Tensor, text: Tensor, places: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The blocks alone, from the embedded context [1, d, F, h/2, w/2].

        The context is padded to a fixed length and cut back at once: baseline.
        """
        tokens = embedded.flatten(2).transpose(1, 2)
        missing = max(self.padded_tokens - tokens.shape[1], 0)
        padding = tokens.new_zeros(1, missing, tokens.shape[2])
        padded = torch.cat([torch.cat([tokens, padding], dim=1)])
        stacked = padded[:, : x.shape[1]]
        for block in self.calls.blocks:
            stacked = block(stacked, x, e0, text, places)
        return torch.unbind(stacked)[:-1]

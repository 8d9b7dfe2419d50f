"""The block mask that the baseline builds before a recache and never uses.

It is evaluated densely over all pairs of tokens of the recached frames, so it costs time and memory
in the chunk in which a text-only prompt changes; the attention itself stays unmasked.
"""

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from harness.presets import WorkloadConfig


def unused_block_mask(config: WorkloadConfig, frames: int, device: torch.device) -> BlockMask:
    """Chunk-wise causal mask over `frames` latent frames: a chunk sees itself and the past."""
    chunk_tokens = config.model.frames_per_chunk * config.tokens_per_frame

    def sees(_: Tensor, __: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return key // chunk_tokens <= query // chunk_tokens

    tokens = frames * config.tokens_per_frame
    return create_block_mask(sees, None, None, tokens, tokens, device=str(device))

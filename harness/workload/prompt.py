"""Text conditioning: seeded embeddings in place of a text encoder, and the blend of prompts."""

import torch
from torch import Tensor

from harness.presets import ModelConfig

PROMPT_TOKENS = 32  # rows of a default prompt; the rest of text_len is zero, as after an encoder
EMBEDDING_STD = 0.2


def seeded_prompt(model: ModelConfig, seed: int) -> Tensor:
    """A stand-in for an encoded prompt: [1, text_len, text_dim] float32 on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    rows = min(PROMPT_TOKENS, model.text_len // 2)
    embeds = torch.zeros(1, model.text_len, model.text_dim)
    embeds[:, :rows] = EMBEDDING_STD * torch.randn(1, rows, model.text_dim, generator=generator)
    return embeds


def blend(embeds: list[Tensor], weights: list[float], dtype: torch.dtype) -> Tensor:
    """Weighted mean of prompts [1, T, C] with the weighted mean of their norms.

    With one prompt this is the prompt up to rounding. The two tests read from the device.
    """
    share = torch.tensor(weights, device=embeds[0].device)
    total = share.sum()
    if total <= 0:
        raise ValueError(f"prompt weights {weights} sum to nothing")
    share = share / total
    prompts = torch.stack(embeds)  # [P, 1, T, C]
    norm = (prompts.flatten(1).norm(dim=1) * share).sum()
    mixed = (prompts * share.view(-1, 1, 1, 1)).sum(dim=0)
    own_norm = mixed.norm()
    if own_norm > 0:
        mixed = mixed * (norm / own_norm)
    return mixed.to(dtype)

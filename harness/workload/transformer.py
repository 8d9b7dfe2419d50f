"""The causal video transformer: one forward over a chunk of latent frames. Inference only.

Letters: F latent frames, h, w latent rows and columns, N = F*S tokens, d width, T text tokens.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.presets import ModelConfig
from harness.workload.attention import Attention
from harness.workload.kv_cache import BlockCache, Update
from harness.workload.layers import Block, CachedSelfAttention, modulate
from harness.workload.parts import part
from harness.workload.rope import rope_table


class BaseBlock(Block):
    """A block with KV cache; even ones take a hint."""

    self_attn: CachedSelfAttention

    def __init__(self, model: ModelConfig, attention: Attention) -> None:
        super().__init__(model, attention, CachedSelfAttention(model, attention))

    def forward(
        self, x: Tensor, state: "Embedded", cache: BlockCache, hint: Tensor | None, scale: float
    ) -> tuple[Tensor, Update]:
        """x [1, N, d] -> ([1, N, d], the deferred cache update)."""
        e = self.modulations(state.e0)
        attended, update = self.self_attn(
            self.attention_input(x, e), state.grid, state.table, cache, state.start_token
        )
        x = self.after_attention(x, attended, e, state.text, cache)
        if hint is not None:
            x = self.hinted(x, hint, scale)
        return x, update

    @part("hints")
    def hinted(self, x: Tensor, hint: Tensor, scale: float) -> Tensor:
        """The hint is multiplied by a scale of 1.0 too: baseline."""
        return x + hint * scale


class Head(nn.Module):
    """Modulated norm and the linear to 4 pixels x 16 channels a token."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(model.dim, model.eps, elementwise_affine=False)
        self.head = nn.Linear(model.dim, 4 * model.out_channels)
        self.modulation = nn.Parameter(torch.zeros(1, 2, model.dim))

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """x [1, N, d], e [1, F, 1, d] -> [1, F, S, 64]."""
        shift, scale = (self.modulation.unsqueeze(1) + e).chunk(2, dim=2)
        frames = modulate(self.norm(x), shift=shift, scale=scale).unflatten(1, (e.shape[1], -1))
        out: Tensor = self.head(frames)
        return out


@dataclass(frozen=True)
class Embedded:
    """Inputs of the blocks, computed anew in every forward."""

    x: Tensor  # [1, N, d] tokens of the noisy latent
    e: Tensor  # [1, F, 1, d] time embedding
    e0: Tensor  # [1, F, 6, d] its projection
    text: Tensor  # [1, T, d]
    grid: Tensor  # [1, 3] int64 on the CPU: frames, rows, columns
    lengths: Tensor  # [1] int64 on the CPU: tokens
    table: Tensor  # RoPE factors
    start_token: int


class CausalTransformer(nn.Module):
    """Weights by the checkpoint's names, without its prefix `model.`."""

    child_parts: ClassVar = {"head": "head"}

    def __init__(
        self, model: ModelConfig, attention: Attention, *, vace_loaded: bool = True
    ) -> None:
        super().__init__()
        self.model = model
        # With a VACE branch loaded the time embedding starts in float32, without one in float64.
        self.sinusoid = time_sinusoid if vace_loaded else time_sinusoid_float64
        dim = model.dim
        self.patch_embedding = nn.Conv3d(
            model.in_channels, dim, kernel_size=(1, 2, 2), stride=(1, 2, 2)
        )
        self.text_embedding = nn.Sequential(
            nn.Linear(model.text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim)
        )
        self.time_embedding = nn.Sequential(
            nn.Linear(model.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(BaseBlock(model, attention) for _ in range(model.num_layers))
        self.head = Head(model)
        self.hint_of_layer = {layer: j for j, layer in enumerate(model.vace_layers)}
        self.table: Tensor = torch.empty(0)  # no buffer: a cast of the module must not touch it

    def make_table(self, device: torch.device) -> None:
        """Builds the RoPE table, which no checkpoint holds."""
        self.table = rope_table(self.model.head_dim, self.model.rope_positions, device=device)

    def embed(self, x: Tensor, timestep: Tensor, prompt: Tensor, start_token: int) -> Embedded:
        """x [1, F, 16, h, w], timestep [1, F], prompt [1, T', text_dim] with T' <= T."""
        tokens, grid, lengths = self._patches(x)
        e, e0 = self._times(timestep, x.dtype)
        text = self._text(prompt)
        return Embedded(tokens, e, e0, text, grid, lengths, self.table, start_token)

    @part("embed.patch")
    def _patches(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[1, F, 16, h, w] -> tokens [1, N, d], grid [1, 3] and lengths [1] on the CPU."""
        samples = [
            self.patch_embedding(sample.unsqueeze(0)) for sample in x.permute(0, 2, 1, 3, 4)
        ]  # [1, d, F, h/2, w/2] each
        grid = torch.stack([torch.tensor(sample.shape[2:]) for sample in samples])
        tokens = [sample.flatten(2).transpose(1, 2) for sample in samples]
        lengths = torch.tensor([sample.shape[1] for sample in tokens])
        if lengths.max() > math.prod(samples[0].shape[2:]):
            raise ValueError(f"more tokens than the grid holds: {lengths.tolist()}")
        return torch.cat(tokens), grid, lengths

    @part("embed.time")
    def _times(self, timestep: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """[1, F] -> time embedding [1, F, 1, d] and its projection [1, F, 6, d]."""
        sinusoid = self.sinusoid(self.model.freq_dim, timestep.flatten()).to(dtype)
        e = self.time_embedding(sinusoid)  # [F, d]
        e0 = self.time_projection(e).unflatten(1, (6, self.model.dim)).unsqueeze(0)
        return e.unsqueeze(0).unsqueeze(2), e0

    @part("embed.text")
    def _text(self, prompt: Tensor) -> Tensor:
        """[1, T', text_dim] -> [1, T, d]."""
        padded = [
            torch.cat([rows, rows.new_zeros(self.model.text_len - rows.shape[0], rows.shape[1])])
            for rows in prompt
        ]
        text: Tensor = self.text_embedding(torch.stack(padded))
        return text

    def run_blocks(
        self,
        state: Embedded,
        caches: list[BlockCache],
        hints: tuple[Tensor, ...] | None,
        scale: float,
    ) -> Tensor:
        """All blocks, the deferred cache updates and the head -> flow [1, F, 16, h, w]."""
        x = self._base(state, caches, hints, scale)
        return self._unpatchified(self.head(x, state.e), state.grid)

    @part("base")
    def _base(
        self,
        state: Embedded,
        caches: list[BlockCache],
        hints: tuple[Tensor, ...] | None,
        scale: float,
    ) -> Tensor:
        """All blocks and the deferred cache updates -> [1, N, d]."""
        x, updates = state.x, []
        for layer, (block, cache) in enumerate(zip(self.blocks, caches, strict=True)):
            tapped = hints is not None and layer in self.hint_of_layer
            hint = hints[self.hint_of_layer[layer]] if hints is not None and tapped else None
            x, update = block(x, state, cache, hint, scale)
            updates.append(update)
        self._update(caches, updates)
        return x

    @part("cache.update")
    def _update(self, caches: list[BlockCache], updates: list[Update]) -> None:
        for cache, update in zip(caches, updates, strict=True):
            cache.apply(update)

    @part("unpatchify")
    def _unpatchified(self, patches: Tensor, grid: Tensor) -> Tensor:
        """[1, F, S, 64] -> [1, F, 16, h, w]."""
        return torch.stack([unpatchify(sample, grid[0].tolist()) for sample in patches])


def time_sinusoid(dim: int, timestep: Tensor) -> Tensor:
    """Timesteps [F] -> [F, dim] float32: cosines, then sines, of t * exp(-ln(10000) k/half)."""
    half = dim // 2
    exponent = -math.log(10000) * torch.arange(half, device=timestep.device, dtype=torch.float32)
    angle = timestep[:, None].float() * torch.exp(exponent / half)[None]
    return torch.cat([torch.cos(angle), torch.sin(angle)], dim=-1)


def time_sinusoid_float64(dim: int, timestep: Tensor) -> Tensor:
    """The same quantity as the transformer computes it without a VACE branch, in float64."""
    half = dim // 2
    exponent = torch.arange(half, device=timestep.device, dtype=torch.float64) / half
    angle = torch.outer(timestep.to(torch.float64), torch.pow(10000.0, -exponent))
    return torch.cat([torch.cos(angle), torch.sin(angle)], dim=-1)


def unpatchify(patches: Tensor, grid: list[int]) -> Tensor:
    """[F, S, 64] with channels (row offset, column offset, channel) -> [F, 16, h, w]."""
    frames, rows, columns = grid
    channels = patches.shape[-1] // 4
    cells = patches.reshape(frames, rows, columns, 2, 2, channels)
    return cells.permute(0, 5, 1, 3, 2, 4).reshape(frames, channels, 2 * rows, 2 * columns)

"""A small autoregressive transformer with a KV cache: four frames of sixteen tokens a chunk.

    invoke bench --pipeline examples/tiny_transformer.py --device cpu

Shapes: n tokens of a frame, w tokens in the cache, d channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.workload.parts import part
from harness.workload.streaming import ComponentCall, Mark, StreamingPipeline, Wish, Work

FRAMES, TOKENS, WINDOW, VOCABULARY, PATCH = 4, 16, 12 * 16, 512, 8 * 8 * 3


class Block(nn.Module):
    """Attention over the cached frames, then an MLP."""

    child_parts = {"mlp": "mlp"}

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.register_buffer("cache", torch.zeros(2, WINDOW, dim))

    def forward(self, x: Tensor, filled: int) -> Tensor:  # [n, d] -> [n, d]
        x = x + self.attend(self.norm1(x), filled)
        return x + self.mlp(self.norm2(x))

    @part("attention")
    def attend(self, x: Tensor, filled: int) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        cached = self.remember(torch.stack([k, v]), filled)  # [2, w, d]
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(0, 1) for t in (q, *cached))
        mixed = F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
        return self.out(mixed.transpose(0, 1).flatten(1))

    @part("cache")
    def remember(self, new: Tensor, filled: int) -> Tensor:
        if filled == WINDOW:  # the oldest frame makes room
            self.cache[:, :-TOKENS] = self.cache[:, TOKENS:].clone()
            filled -= TOKENS
        self.cache[:, filled : filled + TOKENS] = new
        return self.cache[:, : filled + TOKENS]


class TinyTransformer(StreamingPipeline):
    """The frame that was generated last is the input of the next one."""

    first_steady_chunk = WINDOW // (FRAMES * TOKENS)  # the cache is full and moves on
    child_parts = {"embed": "embed", "head": "choose", "decoder": "decode"}

    def __init__(self, wish: Wish) -> None:
        super().__init__(wish.device)
        self.dim, layers, heads = (1024, 12, 16) if wish.preset == "full" else (128, 4, 4)
        self.dtype = torch.bfloat16 if wish.device.type == "cuda" else torch.float32
        self.embed, self.head = nn.Embedding(VOCABULARY, self.dim), nn.Linear(self.dim, VOCABULARY)
        self.decoder = nn.Linear(self.dim, PATCH)
        self.blocks = nn.ModuleList(Block(self.dim, heads) for _ in range(layers))
        for module in (self.embed, self.head, self.decoder, self.blocks):
            module.to(self.device, self.dtype).requires_grad_(False)
        self.reset()

    def reset(self) -> None:
        self.tokens, self.filled = torch.arange(TOKENS, device=self.device), 0

    def step(self, given: None, mark: Mark) -> int:
        drawn = []
        for frame in range(FRAMES):
            mark(f"frame.{frame}")
            x = self.embed(self.tokens)
            for block in self.blocks:
                x = block(x, self.filled)
            self.tokens, self.filled = self.head(x).argmax(-1), min(self.filled + TOKENS, WINDOW)
            drawn.append(self.tokens)
        mark("decode")
        self.pixels = self.decoder(self.embed(torch.stack(drawn))).sigmoid()  # [FRAMES, n, PATCH]
        return FRAMES

    def describe_cost(self) -> dict[str, Work]:  # bytes: weights, the cache and its move, the rest
        n, w, d, v, size = TOKENS, WINDOW, self.dim, VOCABULARY, self.dtype.itemsize
        attention = Work(8 * n * d * d + 4 * n * w * d, (4 * d + 10 * w + 12 * n) * d * size)
        mlp = Work(16 * n * d * d, (8 * d + 18 * n) * d * size)
        choose = Work(2 * n * d * v, (d * v + n * (d + 2 * v)) * size)
        decode = Work(2 * n * d * PATCH, (d * PATCH / FRAMES + n * (d + 3 * PATCH)) * size)
        calls = FRAMES * len(self.blocks)
        per_block = {"attention": attention.times(calls), "mlp": mlp.times(calls)}
        return per_block | {"choose": choose.times(FRAMES), "decode": decode.times(FRAMES)}

    def components(self) -> list[ComponentCall]:
        x, calls = self.embed(self.tokens), FRAMES * len(self.blocks)
        return [ComponentCall("block", calls, lambda: self.blocks[0](x, self.filled))]


build = TinyTransformer

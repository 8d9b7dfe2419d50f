"""Work whose result nobody reads, left out: paddings, the stack of hints, clean flow."""

import torch
from torch import Tensor

from harness.workload.kv_cache import BlockCache, Update
from harness.workload.layers import VACE_TOKEN_MULTIPLE, ContextSelfAttention
from harness.workload.parts import part
from harness.workload.rollout import Pipeline
from harness.workload.transformer import BaseBlock, CausalTransformer, Embedded
from harness.workload.vace import Vace, VaceBlock
from harness.workload.variants.overlay import lay_over


class Unpadded(Vace):
    """Laid over the VACE branch: the context's tokens are not padded to a fixed length."""

    @part("pad")
    def _padded(self, embedded: Tensor) -> Tensor:
        """[1, d, F, h/2, w/2] -> [1, N, d]."""
        return embedded.flatten(2).transpose(1, 2)


class PaddedWhereNeeded(ContextSelfAttention):
    """Laid over the self-attention of a VACE block: zero rows only where there are any to add."""

    @part("pad")
    def padded(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[1, L, n, D] each -> [1, L', n, D]."""
        if q.shape[1] % VACE_TOKEN_MULTIPLE == 0:
            return q, k, v
        return super().padded(q, k, v)


def drop_padding(pipeline: Pipeline) -> None:
    """Both paddings of the VACE branch."""
    lay_over(pipeline.vace, Unpadded)
    for block in pipeline.vace.vace_blocks:
        lay_over(block.self_attn, PaddedWhereNeeded)


class ListedVaceBlock(VaceBlock):
    """Laid over a VACE block: it takes the context alone and gives its hint beside it."""

    def forward(  # type: ignore[override]
        self, context: Tensor, x: Tensor, e0: Tensor, text: Tensor, places: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        """Context [1, N, d] -> (hint, context) of the same shape."""
        if self.before_proj is not None:
            context = self._joined(self.before_proj, context, x)
        e = self.modulations(e0)
        attended = self.self_attn(self.attention_input(context, e), *places)
        context = self.after_attention(context, attended, e, text, None)
        return self.after_proj(context), context


class ListedVace(Vace):
    """Laid over the VACE branch."""

    def hints(
        self, embedded: Tensor, x: Tensor, e0: Tensor, text: Tensor, places: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The blocks alone, from the embedded context [1, d, F, h/2, w/2]."""
        context, hints = self._padded(embedded)[:, : x.shape[1]], []
        for block in self.calls.blocks:
            hint, context = block(context, x, e0, text, places)
            hints.append(hint)
        return tuple(hints)


def list_hints(pipeline: Pipeline) -> None:
    """Hints are collected, not stacked."""
    lay_over(pipeline.vace, ListedVace)
    for block in pipeline.vace.vace_blocks:
        lay_over(block, ListedVaceBlock)


class KeyedBlock(BaseBlock):
    """Laid over the last base block: its keys and values can be had alone."""

    def cache_keys(self, x: Tensor, state: Embedded, cache: BlockCache) -> Update:
        """x [1, N, d] -> the deferred cache update."""
        attention = self.self_attn
        _, k, v = attention.projected(self.attention_input(x, self.modulations(state.e0)))
        start_frame = state.start_token // attention.frame_tokens(state.grid)
        k = attention.rotate(k, state.grid, state.table, start_frame)
        return cache.attend(k, v, state.start_token)[2]


class FillingTransformer(CausalTransformer):
    """Laid over the transformer: a forward that stops once the caches have what they need."""

    @part("base")
    def fill(self, state: Embedded, caches: list[BlockCache]) -> None:
        """All blocks but the last, whose keys and values alone are computed."""
        x, updates = state.x, []
        for block, cache in zip(self.blocks[:-1], caches[:-1], strict=True):
            x, update = block(x, state, cache, None, 1.0)
            updates.append(update)
        last = self.blocks[-1]
        assert isinstance(last, KeyedBlock)
        updates.append(last.cache_keys(x, state, caches[-1]))
        self._update(caches, updates)


class LeanCleanPass(Pipeline):
    """Laid over the pipeline: flow and x0 of the clean pass are not computed."""

    def _clean_pass(self, latent: Tensor) -> None:
        assert self.conditioning is not None and isinstance(self.transformer, FillingTransformer)
        ones = torch.ones(1, latent.shape[1], device=self.device, dtype=self.dtype)
        start_token = self.start_frame * self.config.tokens_per_frame
        zero = self.timestep(ones, 0)
        state = self.transformer.embed(latent, zero, self.conditioning, start_token)
        self.transformer.fill(state, self.caches)


def drop_dead_work(pipeline: Pipeline) -> None:
    """The clean pass ends with the last block's keys and values."""
    lay_over(pipeline, LeanCleanPass)
    lay_over(pipeline.transformer, FillingTransformer)
    lay_over(pipeline.transformer.blocks[-1], KeyedBlock)

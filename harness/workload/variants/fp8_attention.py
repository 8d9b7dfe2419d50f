"""The cached self-attention in FP8, over a KV cache in FP8: a token is rounded when it is written.

Letters: N new tokens, K tokens attended to, n heads, D head size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import CaseError
from harness.workload.kv_cache import BlockCache, Update
from harness.workload.layers import CachedSelfAttention
from harness.workload.parts import part
from harness.workload.rollout import Pipeline
from harness.workload.variants.cudnn_fp8 import (
    CudnnProduct,
    Product,
    ProductWithSums,
    Scales,
)
from harness.workload.variants.e4m3 import FP8, restored, rounded
from harness.workload.variants.overlay import lay_over
from harness.workload.variants.ring_cache import RingCache
from harness.workload.variants.whole_waves import NAME as WHOLE_WAVES
from harness.workload.variants.whole_waves import Join, WholeWaves, joined, try_split

KERNEL = "cudnn_fp8"
TRIED_TOKENS = 128


@dataclass(frozen=True)
class Arithmetic:
    """How a pipeline rounds, multiplies and restores."""

    product: Product
    rounded: Callable[[Tensor, Tensor], Tensor] = rounded
    restored: Callable[[Tensor, Tensor, torch.dtype], Tensor] = restored

    @classmethod
    def of_gpu(cls, product: Product) -> "Arithmetic":
        """This product, and one kernel for each rounding."""
        round_once, restore = (
            torch.compile(f, fullgraph=True, dynamic=False) for f in (rounded, restored)
        )
        return cls(product, round_once, restore)


class InWaves:
    """A product in whole waves of thread blocks: see `whole_waves`."""

    def __init__(
        self, processors: int, product: Product, with_sums: ProductWithSums, join: Join
    ) -> None:
        self._processors, self._join = processors, join
        self._product, self._with_sums = product, with_sums

    @classmethod
    def of_gpu(cls, device: torch.device) -> "InWaves":
        """cuDNN's products, and one kernel that joins."""
        count = torch.cuda.get_device_properties(device).multi_processor_count
        product = CudnnProduct()
        join = torch.compile(joined, fullgraph=True, dynamic=False)
        return cls(count, product, product.with_sums, join)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scales: Scales) -> Tensor:
        """See `Product`."""
        return self.over(scales)(q, k, v)

    def over(self, scales: Scales) -> WholeWaves:
        """The attention at these scales."""
        return WholeWaves(
            self._processors,
            lambda q, k, v: self._product(q, k, v, scales),
            lambda q, k, v: self._with_sums(q, k, v, scales),
            self._join,
        )


class Fp8SelfAttention(CachedSelfAttention):
    """Laid over the self-attention of a base block."""

    scales: Scales
    arithmetic: Arithmetic

    @part("attention")
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q [1, N, n, D] over the cached k, v [1, K, n, D] in e4m3 -> [1, N, n, D].

        Of queries in e4m3 the output is in e4m3 too, and the values' scale belongs to it.
        """
        with self.attention.ranges("cached_self", KERNEL):
            if q.dtype == FP8:
                return self.arithmetic.product(q, k, v, self.scales)
            queries = self.arithmetic.rounded(q, self.scales.q)
            out = self.arithmetic.product(queries, k, v, self.scales)
            return self.arithmetic.restored(out, self.scales.v, q.dtype)


class Fp8Ring(RingCache):
    """Laid over a ring: its keys and values lie in e4m3."""

    scales: Scales
    arithmetic: Arithmetic
    shown_as: torch.dtype

    @property
    def has_scales(self) -> bool:
        """Whether the values' scale is measured, which the first tokens of an empty cache do."""
        return self.positions.global_end > 0

    def attend(self, k: Tensor, v: Tensor, start_token: int) -> tuple[Tensor, Tensor, Update]:
        """Writes new k, v [1, N, n, D], rounded here or before, and gives the ring in e4m3."""
        if k.dtype != FP8:
            if not self.has_scales:
                self.scales.measure(v)
            k = self.arithmetic.rounded(k, self.scales.k)
            v = self.arithmetic.rounded(v, self.scales.v)
        return super().attend(k, v, start_token)

    def contents(self) -> tuple[Tensor, Tensor]:
        """What attention reads, in the pipeline's type, oldest first."""
        k, v = (
            restored(ring, scale, self.shown_as)
            for ring, scale in ((self.k, self.scales.k), (self.v, self.scales.v))
        )
        return self._by_age(k), self._by_age(v)


class Fp8Rings(Pipeline):
    """Laid over a pipeline with rings."""

    def new_caches(self) -> list[BlockCache]:
        """Rings in e4m3 that share their scales with the attention of their block."""
        caches = super().new_caches()
        for cache, block in zip(caches, self.transformer.blocks, strict=True):
            attention = block.self_attn
            assert isinstance(attention, Fp8SelfAttention)
            cache.k, cache.v = cache.k.to(FP8), cache.v.to(FP8)
            shared = {"scales": attention.scales, "arithmetic": attention.arithmetic}
            lay_over(cache, Fp8Ring, shown_as=self.dtype, **shared)
        return caches


def use_fp8(pipeline: Pipeline) -> None:
    """In the base blocks. Raises CaseError where cuDNN cannot do it."""
    product: Product = CudnnProduct()
    _try_product(pipeline, product)
    if pipeline.attention.named("cached_self") == WHOLE_WAVES:
        product = _in_waves(pipeline)
    round_attention(pipeline, Arithmetic.of_gpu(product))


def round_attention(pipeline: Pipeline, arithmetic: Arithmetic) -> None:
    """Attention and rings of all base blocks in FP8, by this arithmetic."""
    for block in pipeline.transformer.blocks:
        attention = block.self_attn
        assert isinstance(attention, CachedSelfAttention)
        scales = Scales.of(attention)
        lay_over(attention, Fp8SelfAttention, scales=scales, arithmetic=arithmetic)
    lay_over(pipeline, Fp8Rings)


def _in_waves(pipeline: Pipeline) -> Product:
    product = InWaves.of_gpu(pipeline.device)
    waves = product.over(_ones(pipeline))
    try_split(pipeline, waves, waves.one_call, FP8)
    return product


def _ones(pipeline: Pipeline) -> Scales:
    return Scales(*torch.ones(6, 1, device=pipeline.device).unbind())


def _try_product(pipeline: Pipeline, product: Product) -> None:
    """One small attention: a GPU or a build without it is told before anything is measured."""
    model = pipeline.config.model
    shape = (1, TRIED_TOKENS, model.num_heads, model.head_dim)
    x = torch.ones(shape, device=pipeline.device).to(FP8)
    try:
        product(x, x, x, _ones(pipeline))
    except (RuntimeError, ValueError, ImportError) as error:
        raise CaseError(
            f"fix 'fp8-attention' cannot run here: {str(error).splitlines()[0]}",
            next_step="it needs nvidia-cudnn-frontend, and a GPU from Hopper on with cuDNN 9.1",
        ) from error

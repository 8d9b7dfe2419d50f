"""Attention in e4m3 by cuDNN's fused kernel: its scales, and the graph that cuDNN builds.

Queries, keys and values have one scale each a block. No query or key can exceed its scale: a vector
that RMS norm has given the norm sqrt(d) and that was multiplied by a weight w is at most
sqrt(d) max|w| anywhere, and RoPE turns pairs of channels without making them longer. The scale of
the values is measured on the first tokens of an empty cache, with room above. On Hopper cuDNN gives
e4m3: an output is a mean of values, so their scale holds it.

Letters: N new tokens, K tokens attended to, n heads, D head size, d = n D.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.workload.layers import AttentionLayer
from harness.workload.variants.e4m3 import LARGEST, rounded

ROOM = 8.0  # above the largest of the first values
LEAST_VALUE = 1e-6  # of values that are all zero
PROBABILITY_SCALE = 256.0  # of the softmax's weights, which are at most 1


@dataclass(frozen=True)
class Scales:
    """What an element of a block's e4m3 tensors stands for: [1] float32 each, on the device."""

    q: Tensor
    k: Tensor
    v: Tensor
    v_inverse: Tensor
    weight: Tensor  # of the softmax's weights
    weight_inverse: Tensor

    @classmethod
    def of(cls, attention: AttentionLayer) -> "Scales":
        """Those of queries and keys from the norms' weights; values wait to be measured."""
        q, k = (_bound(norm.weight) for norm in (attention.norm_q, attention.norm_k))
        one = torch.ones_like(q)
        weight = one / PROBABILITY_SCALE
        return cls(q, k, one.clone(), one.clone(), weight, one * PROBABILITY_SCALE)

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Those of queries, keys and values."""
        return self.q, self.k, self.v

    def measure(self, v: Tensor) -> None:
        """The scale of values, in place: captured graphs and plans know where it lies."""
        self.v.copy_(v.float().abs().amax().clamp(min=LEAST_VALUE) * (ROOM / LARGEST))
        self.v_inverse.copy_(1 / self.v)


def _bound(weight: Tensor) -> Tensor:
    """[1] float32: the scale at which the largest possible element is e4m3's largest."""
    largest = weight.detach().float().abs().amax() * weight.shape[0] ** 0.5
    scale: Tensor = (largest / LARGEST).reshape(1)
    return scale


# q [1, N, n, D], k and v [1, K, n, D] in e4m3 -> [1, N, n, D] in e4m3, of the values' scale
Product = Callable[[Tensor, Tensor, Tensor, Scales], Tensor]
# The same of p pieces, [p, N, n, D] and [p, K, n, D], and log-sum-exps [p, n, N] float32
ProductWithSums = Callable[[Tensor, Tensor, Tensor, Scales], tuple[Tensor, Tensor]]


def explicit_product(q: Tensor, k: Tensor, v: Tensor, scales: Scales) -> Tensor:
    """The same in float32, the softmax's weights rounded too: what cuDNN's is held against."""
    return explicit_with_sums(q, k, v, scales)[0]


def explicit_with_sums(q: Tensor, k: Tensor, v: Tensor, scales: Scales) -> tuple[Tensor, Tensor]:
    """The product, and the log-sum-exps of its logits."""
    queries, keys, values = (
        (x.float() * scale).transpose(1, 2)
        for x, scale in ((q, scales.q), (k, scales.k), (v, scales.v))
    )
    logits = queries @ keys.transpose(-1, -2) / q.shape[-1] ** 0.5
    weights = (logits - logits.amax(dim=-1, keepdim=True)).exp()
    coarse = rounded(weights, scales.weight).float() * scales.weight
    out = coarse @ values / weights.sum(dim=-1, keepdim=True)
    return rounded(out.transpose(1, 2), scales.v), logits.logsumexp(dim=-1)


@dataclass(frozen=True)
class Plan:
    """A built graph of cuDNN for one pair of lengths, with its workspace."""

    graph: Any
    workspace: Tensor


class CudnnProduct:
    """cuDNN's kernel through its graph interface; a plan is built when lengths are first met.

    Source: "SDPA FP8 Forward" of cuDNN frontend's documentation, docs/operations/Attention.md.
    """

    def __init__(self) -> None:
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._handle: object = None
        self._largest: tuple[Tensor, Tensor] | None = None  # cuDNN tells them, nobody reads them

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scales: Scales) -> Tensor:
        """See `Product`. Raises what cuDNN raises."""
        return self._run(q, k, v, scales, None)

    def with_sums(self, q: Tensor, k: Tensor, v: Tensor, scales: Scales) -> tuple[Tensor, Tensor]:
        """See `ProductWithSums`. Raises what cuDNN raises."""
        pieces, queries, heads, _ = q.shape
        sums = torch.empty(pieces, heads, queries, dtype=torch.float32, device=q.device)
        return self._run(q, k, v, scales, sums), sums

    def _run(self, q: Tensor, k: Tensor, v: Tensor, scales: Scales, sums: Tensor | None) -> Tensor:
        import cudnn  # only where it is asked for: it needs cuDNN

        if self._handle is None or self._largest is None:
            self._handle = cudnn.create_handle()
            self._largest = (torch.zeros_like(scales.v), torch.zeros_like(scales.v))
        cudnn.set_stream(
            handle=self._handle, stream=torch.cuda.current_stream(q.device).cuda_stream
        )
        key = (q.shape, k.shape, sums is None)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _plan(self._handle, q, k, sums)
        out = torch.empty_like(q)
        scaling = (scales.q, scales.k, scales.v, scales.weight, scales.weight_inverse)
        given = (q, k, v, *scaling, scales.v_inverse)
        told = (out, *self._largest, *(() if sums is None else (sums,)))
        plan.graph.execute(dict(enumerate((*given, *told))), plan.workspace, handle=self._handle)
        return out


def _plan(handle: object, q: Tensor, k: Tensor, sums: Tensor | None) -> Plan:
    """The graph for these shapes; its tensors are numbered in the order of `CudnnProduct`.

    Raises RuntimeError where cuDNN has no kernel for it.
    """
    import cudnn

    graph = cudnn.pygraph(
        handle=handle,
        io_data_type=cudnn.data_type.FP8_E4M3,
        intermediate_data_type=cudnn.data_type.FLOAT,
        compute_data_type=cudnn.data_type.FLOAT,
    )
    queries, keys, values = (
        graph.tensor(uid=uid, dim=dim, stride=stride, data_type=cudnn.data_type.FP8_E4M3)
        for uid, (dim, stride) in enumerate((_layout(q), _layout(k), _layout(k)))
    )
    one = {"dim": [1] * 4, "stride": [1] * 4}
    factors = [graph.tensor(uid=uid, data_type=cudnn.data_type.FLOAT, **one) for uid in range(3, 9)]
    names = ("descale_q", "descale_k", "descale_v", "descale_s", "scale_s", "scale_o")
    out, told_sums, *largest = graph.sdpa_fp8(
        q=queries,
        k=keys,
        v=values,
        **dict(zip(names, factors, strict=True)),
        attn_scale=q.shape[-1] ** -0.5,
        use_causal_mask=False,
        generate_stats=sums is not None,
    )
    dim, stride = _layout(q)
    out.set_uid(9).set_output(True).set_dim(dim).set_stride(stride)
    out.set_data_type(cudnn.data_type.FP8_E4M3)
    for uid, told in enumerate(largest, start=10):
        told.set_uid(uid).set_output(True).set_dim(one["dim"]).set_stride(one["stride"])
        told.set_data_type(cudnn.data_type.FLOAT)
    if sums is not None:
        told_sums.set_uid(12).set_output(True).set_data_type(cudnn.data_type.FLOAT)
        told_sums.set_dim([*sums.shape, 1]).set_stride([*sums.stride(), 1])
    try:
        graph.build([cudnn.heur_mode.A])  # no slower engine takes its place
    except cudnn.cudnnGraphNotSupportedError as error:  # which is no RuntimeError
        raise RuntimeError(str(error)) from error
    size = max(graph.get_workspace_size(), 1)
    return Plan(graph, torch.empty(size, dtype=torch.uint8, device=q.device))


def _layout(x: Tensor) -> tuple[list[int], list[int]]:
    """Sizes and strides of [1, L, n, D] in cuDNN's order [1, n, L, D]."""
    turned = x.transpose(1, 2)
    return list(turned.shape), list(turned.stride())

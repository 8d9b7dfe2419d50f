"""Self-attention by cuDNN in whole waves of thread blocks: the rest of the queries share the GPU.

A fused attention kernel gives a thread block a tile of queries of one head, and every block reads
all keys. Blocks that do not fill the multiprocessors a last time leave most of them idle for as
long as the others took. So the queries that fill whole waves are one call, and those that are left
are another, with the keys in pieces: more blocks, each as much shorter. Their parts are merged by
their log-sum-exps.

Sources: online softmax over pieces, M. Rabe, C. Staats, arXiv:2112.05682; waves of thread blocks,
NVIDIA, "Matrix Multiplication Background User's Guide", section "Wave Quantization". That cuDNN's
kernel has tiles of TILE queries and one block a multiprocessor is an assumption.

Letters: N queries, K keys, n heads, D head size, p pieces, r queries of the rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import CaseError
from harness.workload.attention import Backend, cudnn
from harness.workload.rollout import Pipeline

NAME = "cudnn_whole_waves"
TILE = 128  # queries of a thread block
# In the time that a thread block takes for a key. A wave's start and end: of calls with 3,072 and
# 12,288 keys in a profile of an H100. The second call and the merge: three launches and a copy.
WAVE_KEYS, CALL_KEYS = 400, 900
LEAST_GAIN = 0.03
MOST_PIECES = 16
TRIED = (2 * TILE, 16 * TILE)  # queries and keys
# Between two roundings of values around three, in e4m3 too: their mean, and the largest.
MEAN_OFF, MOST_OFF = 0.02, 0.6

# q [p, r, n, D], k and v [p, K, n, D] -> output [p, r, n, D] and log-sum-exps [p, n, r] float32
WithSums = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
# [1, N - r, n, D] of whole waves, and the others' [p, r, n, D] and [p, n, r] -> [1, N, n, D]
Join = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Split:
    """The first queries in whole waves, the others over keys in pieces."""

    queries: int
    pieces: int


def plan(queries: int, keys: int, *, heads: int, processors: int) -> Split | None:
    """The split that is expected to take the least time; None where one call is about as good."""
    tiles = math.ceil(queries / TILE)
    whole = tiles * heads // processors
    first = whole * processors // heads  # tiles
    if not 0 < first < tiles:
        return None

    def expected(pieces: int) -> float:
        rest = math.ceil((tiles - first) * heads * pieces / processors)
        return whole * (keys + WAVE_KEYS) + rest * (keys / pieces + WAVE_KEYS) + CALL_KEYS

    possible = [pieces for pieces in range(1, MOST_PIECES + 1) if keys % pieces == 0]
    best = min(possible, key=expected)
    unsplit = math.ceil(tiles * heads / processors) * (keys + WAVE_KEYS)
    return Split(first * TILE, best) if expected(best) < (1 - LEAST_GAIN) * unsplit else None


def joined(first: Tensor, parts: Tensor, sums: Tensor) -> Tensor:
    """Merges the pieces in float32, weighted by their shares of the softmax's sum."""
    shares = sums.softmax(dim=0).transpose(1, 2).unsqueeze(-1)  # [p, r, n, 1]
    merged = (parts.float() * shares).sum(dim=0, keepdim=True)
    return torch.cat([first, merged.to(first.dtype)], dim=1)


def cudnn_with_sums(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """cuDNN's kernel with its log-sum-exps; torch raises where there is none."""
    turned = (x.transpose(1, 2) for x in (q, k, v))
    out, sums, *_ = torch.ops.aten._scaled_dot_product_cudnn_attention(*turned, None, True)
    return out.transpose(1, 2), sums.reshape(out.shape[:3])


class WholeWaves:
    """A backend for self-attention, as `harness.workload.attention` has them."""

    def __init__(self, processors: int, kernel: Backend, with_sums: WithSums, join: Join) -> None:
        self._processors = processors
        self.one_call, self._with_sums, self._join = kernel, with_sums, join

    @classmethod
    def of_gpu(cls, device: torch.device) -> "WholeWaves":
        """cuDNN's kernels, and one kernel that joins."""
        count = torch.cuda.get_device_properties(device).multi_processor_count
        return cls(
            count, cudnn, cudnn_with_sums, torch.compile(joined, fullgraph=True, dynamic=False)
        )

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q [1, N, n, D] over k, v [1, K, n, D] -> [1, N, n, D]."""
        split = plan(q.shape[1], k.shape[1], heads=q.shape[2], processors=self._processors)
        return self.one_call(q, k, v) if split is None else self.split(q, k, v, split)

    def split(self, q: Tensor, k: Tensor, v: Tensor, split: Split) -> Tensor:
        """The same by this split."""
        first = self.one_call(q[:, : split.queries], k, v)
        rest = q[:, split.queries :].repeat(split.pieces, 1, 1, 1)
        keys, values = (x[0].unflatten(0, (split.pieces, -1)) for x in (k, v))
        return self._join(first, *self._with_sums(rest, keys, values))


def use_whole_waves(pipeline: Pipeline) -> None:
    """For both self-attentions. Raises CaseError where cuDNN's sums cannot be had or are not so."""
    backend = WholeWaves.of_gpu(pipeline.device)
    try_split(pipeline, backend, cudnn, pipeline.dtype)
    for use in ("cached_self", "vace_self"):
        pipeline.attention.bind(use, NAME, backend)


def try_split(
    pipeline: Pipeline, backend: WholeWaves, one_call: Backend, dtype: torch.dtype
) -> None:
    """One small attention in this type: what the kernel's sums mean is told before measuring.

    Later keys have larger logits and larger values, so that a piece with a wrong share shows.
    """
    model = pipeline.config.model
    generator = torch.Generator().manual_seed(0)
    lengths = (TRIED[0], TRIED[1], TRIED[1])
    q, k, v = (
        torch.randn(1, length, model.num_heads, model.head_dim, generator=generator)
        for length in lengths
    )
    rise = torch.arange(TRIED[1]).view(1, -1, 1, 1) / TRIED[1]
    given = (q, k * (0.5 + rise), v + 4 * rise)
    q, k, v = (x.to(pipeline.device, pipeline.dtype).to(dtype) for x in given)
    try:
        off = backend.split(q, k, v, Split(TILE, 4)).float() - one_call(q, k, v).float()
    except (RuntimeError, ValueError) as error:
        raise CaseError(
            f"fix 'whole-waves' cannot run here: {str(error).splitlines()[0]}",
            next_step="it needs a GPU with cuDNN's attention; use attention-cudnn",
        ) from error
    if not (abs(float(off.mean())) <= MEAN_OFF and float(off.abs().max()) <= MOST_OFF):
        raise CaseError(
            f"fix 'whole-waves' gives another attention than one call (by {float(off.mean()):.3g})",
            next_step="use attention-cudnn, and tell the version of cuDNN",
        )

"""What this GPU can do at best, measured in the case's own process: the ceilings of a roofline.

Random data (zeros run faster), CUDA events, the median of several rounds after a warm-up. Each
round is queued behind a kernel that spins, or a call of several small kernels would be timed with
the gaps in which the device waits for the host.
"""

from collections.abc import Callable
from functools import partial

import torch

from harness.analysis.interval import median
from harness.measure.bench import Bench
from harness.profiled import Ceilings
from harness.variants import resolve
from harness.workload.built_in import BuiltIn
from harness.workload.rollout import Pipeline
from harness.workload.transformer import BaseBlock
from harness.workload.variants.fp8_linears import scaled, tensor_core_product

MATRIX_SIDE = 8192
COPY_BYTES = 2 * 2**30
LEAST_COPY_BYTES = 2**28  # beyond any cache
WARMUP_ROUNDS = 3
ROUNDS = 10
CALLS = 4  # in a round
AHEAD_CYCLES = 40_000_000  # some 20 ms: what the host has to queue a round


def measure_ceilings(bench: Bench) -> Ceilings:
    """Matrix product, copy and attention in the workload's type; nulls on a CPU.

    Of a variant with FP8 linears the matrix product in FP8 too.
    """
    pipeline = bench.pipeline
    device = pipeline.device
    if device.type != "cuda":
        return Ceilings(
            matmul_flops_per_s=None,
            copy_bytes_per_s=None,
            attention_flops_per_s={},
            reason="the case runs on a CPU",
        )
    dtype = pipeline.dtype
    with torch.no_grad():
        return Ceilings(
            matmul_flops_per_s=_matmul(device, dtype),
            copy_bytes_per_s=_copy(device),
            attention_flops_per_s={
                use: flops / _seconds(call)
                for use, (flops, call) in attention_calls(pipeline.workload).items()
            }
            if isinstance(pipeline, BuiltIn)
            else {},
            fp8_matmul_flops_per_s=_fp8_matmul(device) if _has_fp8_linears(bench) else None,
        )


def _matmul(device: torch.device, dtype: torch.dtype) -> float:
    a, b = (torch.randn(MATRIX_SIDE, MATRIX_SIDE, device=device, dtype=dtype) for _ in range(2))
    return 2.0 * MATRIX_SIDE**3 / _seconds(lambda: torch.matmul(a, b))


def _has_fp8_linears(bench: Bench) -> bool:
    return any(fix.name == "fp8-linears" for fix in resolve(bench.case.variant))


def _fp8_matmul(device: torch.device) -> float:
    """The product of the blocks' linears: a scale a row of either factor, [L, o] in bfloat16."""
    a, b = (scaled(torch.randn(MATRIX_SIDE, MATRIX_SIDE, device=device)) for _ in range(2))
    return 2.0 * MATRIX_SIDE**3 / _seconds(lambda: tensor_core_product(*a, *b, None))


def copied_bytes(free_bytes: int) -> int:
    """Bytes to copy: so few that this measurement never decides whether a case fits a GPU."""
    return max(min(COPY_BYTES, free_bytes // 4), LEAST_COPY_BYTES)


def _copy(device: torch.device) -> float:
    count = copied_bytes(torch.cuda.mem_get_info(device)[0])
    source = torch.randint(0, 255, (count,), device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2.0 * count / _seconds(lambda: target.copy_(source))


def attention_calls(workload: Pipeline) -> dict[str, tuple[float, Callable[[], torch.Tensor]]]:
    """FLOPs and a call of each use of attention at the case's shape, on random data.

    Both products of a full softmax are 4 N K n D FLOPs. The cached one is a block's own call, with
    keys and values in its cache's type: a variant may have another kernel or narrower caches.
    """
    attention, config = workload.attention, workload.config
    model, frame_tokens = config.model, config.tokens_per_frame
    block, cached = workload.transformer.blocks[0], workload.caches[0].k.dtype
    assert isinstance(block, BaseBlock)
    queries = model.frames_per_chunk * frame_tokens
    window = model.local_attn_frames * frame_tokens
    uses: dict[str, tuple[int, torch.dtype, Callable[..., torch.Tensor]]] = {
        "cached_self": (window, cached, block.self_attn.attend),
        "cross": (model.text_len, workload.dtype, attention.cross),
        "vace_self": (queries, workload.dtype, attention.vace_self),
    }

    def random(tokens: int) -> torch.Tensor:
        shape = (1, tokens, model.num_heads, model.head_dim)
        return torch.randn(shape, device=workload.device, dtype=workload.dtype)

    calls: dict[str, tuple[float, Callable[[], torch.Tensor]]] = {}
    for use, (keys, dtype, call) in uses.items():
        q, k, v = random(queries), random(keys).to(dtype), random(keys).to(dtype)
        flops = 4.0 * queries * keys * model.num_heads * model.head_dim
        calls[use] = (flops, partial(call, q, k, v))
    return calls


def _seconds(call: Callable[[], object]) -> float:
    """Median device time of one call, without waits for the host."""
    for _ in range(WARMUP_ROUNDS):
        call()
    times_s = []
    for _ in range(ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(AHEAD_CYCLES)
        begin.record()
        for _ in range(CALLS):
            call()
        end.record()
        end.synchronize()
        times_s.append(begin.elapsed_time(end) / 1e3 / CALLS)
    return median(times_s)

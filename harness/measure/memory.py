"""Peak memory, in a pass of its own: PyTorch's counters, and what the whole device had in use."""

import time
from collections.abc import Callable

import torch

from harness.measure.bench import Bench
from harness.measure.nvml import SLOW_INTERVAL_S
from harness.record_parts import Memory

SETTLE_S = SLOW_INTERVAL_S + 0.2  # so that the sampler has seen the peak as well


def measure_memory(bench: Bench, work: Callable[[], object]) -> Memory:
    """Runs `work` with fresh counters. On a CPU there is nothing to read."""
    device = bench.pipeline.device
    if device.type != "cuda":
        work()
        return Memory(
            allocated_peak_bytes=None,
            reserved_peak_bytes=None,
            device_peak_bytes=None,
            reason="no CUDA device",
        )
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()  # else "reserved" would be what earlier phases left behind
    torch.cuda.reset_peak_memory_stats(device)
    start_s = time.monotonic()
    work()
    torch.cuda.synchronize(device)
    free, total = torch.cuda.mem_get_info(device)
    time.sleep(SETTLE_S)
    seen = bench.telemetry.samples_between(start_s, time.monotonic())
    sampled = [used for sample in seen if (used := sample.get("memory_used_bytes")) is not None]
    return Memory(
        allocated_peak_bytes=torch.cuda.max_memory_allocated(device),
        reserved_peak_bytes=torch.cuda.max_memory_reserved(device),
        device_peak_bytes=int(max([total - free, *sampled])),
    )

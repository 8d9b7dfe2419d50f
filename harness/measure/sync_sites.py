"""Which source lines make the host wait for the device, in a pass of its own.

torch warns at every synchronising call when asked to, and Python says where that call stands.
"""

import warnings
from collections import Counter
from pathlib import Path

import torch

from harness.measure.bench import Bench
from harness.profiled import SyncSite

SYNC_WARNING = "synchronizing CUDA operation"
NO_DEVICE = "a CPU waits for no device"


def sync_sites(bench: Bench) -> tuple[list[SyncSite], str | None]:
    """Sites of one steady chunk, most frequent first, and why there are none on a CPU."""
    if bench.pipeline.device.type != "cuda":
        return [], NO_DEVICE
    given = bench.pipeline.prepare(bench.pipeline.chunk_index)
    before = torch.cuda.get_sync_debug_mode()
    bench.clock.synchronise()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            bench.pipeline.run(given)
            torch.cuda.set_sync_debug_mode(before)
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return count_sites(caught), None


def count_sites(caught: list[warnings.WarningMessage]) -> list[SyncSite]:
    """Warnings of synchronisation by file name and line."""
    places = Counter(
        f"{Path(item.filename).name}:{item.lineno}"
        for item in caught
        if SYNC_WARNING in str(item.message)
    )
    return [SyncSite(location=place, calls=calls) for place, calls in places.most_common()]

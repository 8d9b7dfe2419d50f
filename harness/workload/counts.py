"""How many operators does a chunk run? Counted on a CPU, beside the specification's sums.

    python -m harness.workload.counts --mode inpainting --chunk 5 [--blocks 30] [--vace-blocks 15]

Counts do not depend on width, so the model is narrow; the attention kernels are replaced by single
opaque operators. Most operators are counted by the profiler; `_to_copy` and `copy_` at the
dispatcher, because CPU kernels for bfloat16 copy internally. Exit code 1 if a count differs.
"""

import argparse
import json
import sys
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from harness.presets import PRESETS, ModelConfig, WorkloadConfig, default_attention
from harness.workload.attention import USES, Attention, Backend
from harness.workload.build import seeded_pipeline
from harness.workload.count_sums import PUBLISHED, spec_counts
from harness.workload.inputs import Clip, generated_clip

Row = dict[str, int | None]
CPU = torch.device("cpu")
SIZE_PX = 32
MOST_CHUNKS = 50
# What the specification sums up as copy_: casts, writes, clones and pads.
COPYING = ("aten::_to_copy", "aten::copy_", "aten::clone", "aten::constant_pad_nd")


def stand_in_attention() -> Attention:
    """Opaque kernels: only the result's layout is kept, so that the copies after it are too."""

    def sage_like(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = torch.zeros_like(q.transpose(1, 2), memory_format=torch.contiguous_format)
        return out.transpose(1, 2).contiguous()

    def strided_like_query(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.zeros_like(q)

    backends: dict[str, tuple[str, Backend]] = {
        "cached_self": ("sageattn", sage_like),
        "cross": ("flash_attention", strided_like_query),
        "vace_self": ("flex_attention", strided_like_query),
    }
    attention = Attention(backends)
    attention.trace(*USES)
    return attention


def narrow_config(blocks: int, vace_blocks: int) -> WorkloadConfig:
    """A narrow model of the given depth at 32x32 pixels, in bfloat16."""
    tiny = PRESETS["tiny"].model
    model = ModelConfig(
        dim=tiny.dim,
        ffn_dim=tiny.ffn_dim,
        num_heads=tiny.num_heads,
        num_layers=blocks,
        freq_dim=tiny.freq_dim,
        text_dim=tiny.text_dim,
        text_len=tiny.text_len,
        vace_layers=tuple(range(0, 2 * vace_blocks, 2)),
        lora_rank=tiny.lora_rank,
        lora_alpha=tiny.lora_alpha,
    )
    return WorkloadConfig(
        model=model,
        height_px=SIZE_PX,
        width_px=SIZE_PX,
        dtype="bfloat16",
        attention=default_attention(None),
    )


class _DispatchCounter(TorchDispatchMode):
    """Counts operators as they reach the dispatcher below autograd."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.calls[f"aten::{func.overloadpacket.__name__}"] += 1
        return func(*args, **(kwargs or {}))


def count_chunk(mode: str, chunk: int, *, blocks: int, vace_blocks: int) -> dict[str, int]:
    """Operator name -> calls in chunk `chunk` of a fresh rollout."""
    rollout = _Rollout(mode, narrow_config(blocks, vace_blocks), chunks=chunk + 1)
    rollout.advance(chunk)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        rollout.advance(1)
    calls = {str(event.key): int(event.count) for event in profiler.key_averages()}

    rollout.restart()
    rollout.advance(chunk)
    with _DispatchCounter() as counter:
        rollout.advance(1)
    dispatched = {
        "aten::_to_copy": counter.calls["aten::_to_copy"],
        "aten::copy_": sum(counter.calls[name] for name in COPYING),
    }
    return calls | dispatched


class _Rollout:
    """A seeded rollout that can be restarted from scratch."""

    def __init__(self, mode: str, config: WorkloadConfig, *, chunks: int) -> None:
        self._config = config
        self._clip: Clip | None = None
        if mode != "text":
            self._clip = generated_clip(config, mode, device=CPU, chunks=chunks)
        self.restart()

    def restart(self) -> None:
        """The next chunk is chunk 0 of a new pipeline."""
        self._pipeline = seeded_pipeline(self._config, stand_in_attention(), device=CPU)
        self._next = 0

    def advance(self, chunks: int) -> None:
        """Runs the next chunks."""
        for _ in range(chunks):
            frames, mask = (None, None) if self._clip is None else self._clip.chunk(self._next)
            self._pipeline.run_chunk(frames, mask)
            self._next += 1


def compare(mode: str, chunk: int, *, blocks: int, vace_blocks: int) -> dict[str, Row]:
    """Counted, by the specification's sum and published, for every operator that it states."""
    calls = count_chunk(mode, chunk, blocks=blocks, vace_blocks=vace_blocks)
    spec = spec_counts(mode, chunk, blocks=blocks, vace_blocks=vace_blocks)
    return {
        name: {"count": calls.get(name, 0), "spec": spec[name], "published": PUBLISHED.get(name)}
        for name in spec
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.workload.counts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mode", choices=("depth", "inpainting", "text"), required=True)
    parser.add_argument("--chunk", type=int, required=True, help="index of the chunk, from 0")
    parser.add_argument("--blocks", type=int, default=30, help="base blocks (default 30)")
    parser.add_argument("--vace-blocks", type=int, default=15, help="VACE blocks (default 15)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    if not 0 <= options.chunk < MOST_CHUNKS:
        parser.error(f"--chunk must be from 0 to {MOST_CHUNKS - 1}")
    if options.vace_blocks < 1 or options.blocks < 2 * options.vace_blocks - 1:
        parser.error("hints go to every second block: --blocks must be at least 2*vace_blocks - 1")
    rows = compare(
        options.mode, options.chunk, blocks=options.blocks, vace_blocks=options.vace_blocks
    )
    if options.json:
        print(json.dumps({"operators": rows}, indent=1))
    else:
        _print_table(rows)
    same = all(row["count"] == row["spec"] for row in rows.values() if row["spec"] is not None)
    return 0 if same else 1


def _print_table(rows: dict[str, Row]) -> None:
    print(f"{'operator':<20}{'counted':>10}{'spec':>10}{'published':>11}")
    for name, row in rows.items():
        differs = row["spec"] is not None and row["count"] != row["spec"]
        cells = ["-" if row[key] is None else str(row[key]) for key in ("spec", "published")]
        mark = "  differs" if differs else ""
        print(f"{name:<20}{row['count']:>10}{cells[0]:>10}{cells[1]:>11}{mark}")
    print("published: one inpainting chunk before the first eviction, 30 and 15 blocks")


if __name__ == "__main__":
    sys.exit(main())

"""Kernels that reduce a row read it once, where that is faster.

Inductor writes a reduction over more than a thousand elements as a loop, which reads the row anew
for every sum and once more for the result: three times where a norm is followed by a token's
largest value. It can keep the row in registers instead. Told to, it writes both kernels, times them
on the GPU when they first run, and keeps the faster one.

Source: PyTorch, `torch._inductor.config.triton.multi_kernel`. On a CPU it changes nothing.
"""

from dataclasses import replace

from harness.workload.rollout import Pipeline
from harness.workload.transformer import BaseBlock
from harness.workload.variants.compiled_blocks import (
    TUNED,
    CompiledBaseBlock,
    CompiledVaceBlock,
    Halves,
)
from harness.workload.variants.fused_keys import KeysInPlace, Writing

BOTH_KERNELS = {**TUNED, "triton.multi_kernel": 1}


def read_rows_once(pipeline: Pipeline) -> None:
    """In the compiled halves of both branches, compiled anew when they first run."""
    halves, writing = Halves.compiled(BOTH_KERNELS), Writing.compiled(BOTH_KERNELS)
    base, vace = pipeline.transformer.blocks, pipeline.vace.vace_blocks
    in_place = isinstance(base[0], KeysInPlace)
    for block in (*base, *vace):
        assert isinstance(block, (CompiledBaseBlock, CompiledVaceBlock))
        block.halves = halves
        if isinstance(block, KeysInPlace):
            block.writing = writing
        elif in_place and not isinstance(block, BaseBlock):
            block.halves = replace(halves, first=writing.without_ring)

"""A test kit for causes: plants one known cost into the workload, without touching any rule.

A case with `plant` set runs beside its unplanted twin; the analysis must then name the plant as the
largest change. Each is sized to cost a tenth of a chunk's wall time or more on a data-center GPU,
where a chunk takes some 550 ms and has 150 calls of base blocks and 60 of VACE blocks.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import CaseError
from harness.measure.delay import spin
from harness.workload.kv_cache import BlockCache
from harness.workload.rollout import Pipeline

ITEMS = 40  # reads of a device tensor, in each base block
LAUNCHES = 120  # kernels of one element
CASTS = 30  # round trips through float64
CLONES = 20  # of the whole cache of a block
PAUSE_MS = 1.5  # about half of it is hidden behind kernels that are still queued
CONTENDERS = 1  # busy processes on the measured thread's core
BREAKS = 16  # in each VACE block

Hook = Callable[[nn.Module, tuple[Any, ...]], None]


@contextmanager
def planted(pipeline: Pipeline, plant: str) -> Iterator[None]:
    """The plant works inside the block. Raises CaseError for one that the case cannot have."""
    if plant == "contention":
        with _contention():
            yield
        return
    handles = _hooks(pipeline, plant) if plant else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hooks(pipeline: Pipeline, plant: str) -> list["torch.utils.hooks.RemovableHandle"]:
    blocks = list(pipeline.transformer.blocks)
    if plant in IN_BLOCKS:
        hook = IN_BLOCKS[plant](pipeline)
        return [block.register_forward_pre_hook(hook) for block in blocks]
    if plant in IN_COMPILED:
        vace_blocks = list(pipeline.vace.vace_blocks)
        if not vace_blocks:
            raise CaseError(f"plant '{plant}' needs a VACE branch")
        hook = IN_COMPILED[plant](pipeline)  # one for all, so that it is compiled once
        return [block.register_forward_pre_hook(hook) for block in vace_blocks]
    raise CaseError(
        f"unknown plant '{plant}'",
        next_step=f"choose one of {', '.join((*IN_BLOCKS, *IN_COMPILED, 'contention'))}",
    )


def _items(pipeline: Pipeline) -> Hook:
    cell = torch.zeros(1, device=pipeline.device)

    def read(*_: object) -> None:
        for _turn in range(ITEMS):
            cell.item()

    return read


def _launches(pipeline: Pipeline) -> Hook:
    cell = torch.zeros(1, device=pipeline.device)

    def launch(*_: object) -> None:
        for _turn in range(LAUNCHES):
            cell.add_(1.0)

    return launch


def _casts(_: Pipeline) -> Hook:
    def cast(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        for _turn in range(CASTS):
            inputs[0].to(torch.float64).to(inputs[0].dtype)

    return cast


def _clones(_: Pipeline) -> Hook:
    def clone(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        cache: BlockCache = inputs[2]
        for _turn in range(CLONES):
            for cached in (cache.k, cache.v):
                cached.clone()

    return clone


def _pause(_: Pipeline) -> Hook:
    return lambda *_: spin(PAUSE_MS)


def _graph_break(pipeline: Pipeline) -> Hook:
    """Breaks with one small operation between each two, or there would be no graphs to enter.

    Written out: a break inside a loop makes torch.compile leave the whole function alone.
    """
    names = {
        "cell": torch.zeros(1, device=pipeline.device),
        "graph_break": torch._dynamo.graph_break,
    }
    lines = ["def broken(*_):", "    x = cell"]
    lines += ["    x = x + 1", "    graph_break()"] * BREAKS
    exec("\n".join(lines), names)
    broken: Hook = names["broken"]
    return broken


def _recompile(pipeline: Pipeline) -> Hook:
    """Each chunk compiles a function of its own: new code, so that no cache and no limit helps."""
    cell = torch.zeros(64, device=pipeline.device)
    spent = [-1]  # start frames of the chunks that have compiled

    def compile_anew(*_: object) -> None:
        if pipeline.start_frame != spent[-1]:
            spent.append(pipeline.start_frame)
            function: Callable[[Tensor], Tensor] = eval(f"lambda x: (x + {len(spent)}).sin()")
            torch.compile(function)(cell)

    return compile_anew


IN_BLOCKS: dict[str, Callable[[Pipeline], Hook]] = {
    "items": _items,
    "launches": _launches,
    "casts": _casts,
    "clones": _clones,
    "pause": _pause,
    "recompile": _recompile,
}
IN_COMPILED: dict[str, Callable[[Pipeline], Hook]] = {
    "graph-break": _graph_break,
}


@contextmanager
def _contention() -> Iterator[None]:
    """Busy processes on the core that this thread is then kept on too."""
    allowed = os.sched_getaffinity(0)
    core = {min(allowed)}
    context = multiprocessing.get_context("spawn")
    crowd = [
        context.Process(target=_burn, args=(min(core),), daemon=True) for _ in range(CONTENDERS)
    ]
    for process in crowd:
        process.start()
    os.sched_setaffinity(0, core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
        for process in crowd:
            process.kill()
            process.join()


def _burn(core: int) -> None:
    os.sched_setaffinity(0, {core})
    while True:
        time.sleep(0)

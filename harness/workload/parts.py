"""Profiler ranges by part of the model: marks in the code, ranges only while somebody traces.

A mark is a name on a method, or on a child module in its parent's `child_parts`, and costs nothing.
Ranges written as `with` statements would: some 0.2 us each even around nothing, 7,000 times a
chunk. Switched on, each marked method is hidden, on the object alone, behind one that opens the
range `part.<name>`. Classes and all other objects stay as they are, so what torch.compile made of
objects that are not traced stays valid.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from torch import nn
from torch.profiler import record_function

if TYPE_CHECKING:
    from harness.workload.layers import Block
    from harness.workload.rollout import Pipeline

PREFIX = "part."
MARK = "__part__"
Method = TypeVar("Method", bound=Callable[..., object])


def part(name: str) -> Callable[[Method], Method]:
    """Marks a method as one part of the work; what it does stays the same."""

    def mark(method: Method) -> Method:
        setattr(method, MARK, name)
        return method

    return mark


def trace_parts(pipeline: "Pipeline", *, base: bool, vace: bool) -> None:
    """Profiler ranges around the parts of a pipeline's work, or none; nothing else changes.

    `vace` is for the parts inside VACE blocks: compiled ones would be compiled anew. `base` is for
    all the rest, the frame of the VACE branch included. Run a chunk first: it makes the caches.
    """
    assert pipeline.caches, "run a chunk first"
    loop = (pipeline, pipeline.noise, pipeline.scheduler)
    coders = (pipeline.context_encoder, pipeline.vae)
    base_modules = (*_open(pipeline.transformer), pipeline.vace)
    trace_marked([*loop, *coders, *pipeline.caches, *base_modules], on=base)
    trace_marked(_open(pipeline.vace.vace_blocks), on=vace)
    for block in blocks_in_regions(pipeline):
        _set_range(block.self_attn, "attend", "attention", on=base)


def blocks_in_regions(pipeline: "Pipeline") -> list["Block"]:
    """Blocks that a variant has compiled but for their self-attention, which lies between."""
    blocks = (*pipeline.transformer.blocks, *pipeline.vace.vace_blocks)
    return [block for block in blocks if _compiled_in_regions(block)]


def _open(module: nn.Module) -> Iterator[nn.Module]:
    """A module and those inside it, without what a variant has compiled in regions.

    There a range would only make the compiler start anew.
    """
    if _compiled_in_regions(module):
        return
    yield module
    for child in module.children():
        yield from _open(child)


def _compiled_in_regions(module: nn.Module) -> bool:
    return bool(getattr(module, "compiled_in_regions", False))


def trace_marked(owners: Iterable[object], *, on: bool) -> None:
    """Profiler ranges around the marked methods and children of these objects, or none."""
    for owner in owners:
        kind: type = type(owner)
        for method, name in _marked_methods(kind).items():
            _set_range(owner, method, name, on=on)
        for child, name in getattr(owner, "child_parts", {}).items():
            _set_range(getattr(owner, child), "forward", name, on=on)


def _set_range(owner: object, method: str, name: str, *, on: bool) -> None:
    vars(owner).pop(method, None)  # what is left is the class's own: never wrapped twice
    if on:
        vars(owner)[method] = _ranged(getattr(owner, method), PREFIX + name)


def _ranged(method: Callable[..., object], name: str) -> Callable[..., object]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> object:
        with record_function(name):
            return method(*args, **kwargs)

    return call


@cache
def _marked_methods(owner: type) -> dict[str, str]:
    """Method -> part, inherited ones included."""
    marks = {method: getattr(getattr(owner, method, None), MARK, None) for method in dir(owner)}
    return {method: name for method, name in marks.items() if name is not None}

"""The specification's operator counts part by part, and where a profile differs from them.

Section 17 of the workload specification, a steady inpainting chunk of the full preset, for the
operators whose counts depend on the device. It took an attention kernel as one opaque operator.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.profiled import ProfiledChunk

CASTS: dict[str, int] = {
    "base/norm": 600,
    "base/cross_attention/norm": 300,
    "base/rope": 600,
    "vace/norm": 240,
    "vace/cross_attention/norm": 240,
    "vace/rope": 240,
    "embed.time": 10,
    "x0": 25,
    "add_noise": 3,
    "mask_split": 2,
    "output": 1,
}
# All casts, and what copies without a cast.
COPIES: dict[str, int] = {
    **CASTS,
    "base/cache.clone": 300,
    "base/cache.write": 300,
    "base/cache.update/cache.write": 300,
    "base/cache.roll": 120,
    "base/cache.update/cache.roll": 120,
    "base/attention": 150,
    "vae": 27 + 9 + 2,  # last frames, zero shift, inputs of convolutions
    "embed.patch": 5,  # inputs of convolutions
    "unpatchify": 5,
    "mask_channels": 1,
    "": 1,  # the list of steps
}
PARTS: dict[str, Mapping[str, int]] = {"aten::_to_copy": CASTS, "aten::copy_": COPIES}
# Why a part differs, where it is known: (operator, part) -> name in `published.DIFFERENCES`.
KNOWN: dict[tuple[str, str], str] = {
    ("aten::_to_copy", "base/attention"): "sage_casts",
    ("aten::copy_", "base/attention"): "sage_casts",
}


@dataclass(frozen=True)
class PartDifference:
    """Calls of an operator in one part that the specification counts otherwise."""

    operator: str
    part: str
    specified: int
    ours: int
    reason: str | None  # a name in `published.DIFFERENCES`
    indices: tuple[int, ...]  # of the chunk's operators


def part_differences(chunk: ProfiledChunk, *, backend: str) -> list[PartDifference]:
    """Every part whose calls of a specified operator differ.

    `backend` is that of the cached self-attention.
    """
    found = []
    for operator, specified in PARTS.items():
        rows: dict[str, list[int]] = {}
        for index, item in enumerate(chunk.operators):
            if item.operator == operator:
                rows.setdefault(item.part, []).append(index)
        for part in dict.fromkeys((*specified, *rows)):
            ours = sum(chunk.operators[index].calls for index in rows.get(part, ()))
            expected = specified.get(part, 0)
            if ours != expected:
                reason = KNOWN.get((operator, part)) if backend == "sage" else None
                indices = tuple(rows.get(part, ()))
                found.append(PartDifference(operator, part, expected, ours, reason, indices))
    return found

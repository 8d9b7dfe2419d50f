"""Which parts of a profiled chunk belong together: part paths as groups, named as the cost model.

A group's patterns are matched against "stage:part", the first group that fits takes the part. The
names of groups that the cost model knows are its own, so that floor and measurement meet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.matrix import Case

REST = "rest"
NO_PART = "in no part"


@dataclass(frozen=True)
class PartGroup:
    """Parts that do one kind of work; `family` is its colour in the figure."""

    name: str
    family: str  # "base" | "LoRA" | "copies" | "RoPE" | "norms" | "VACE" | "VAE" | "own" | "other"
    patterns: tuple[str, ...]

    def holds(self, stage: str, part: str) -> bool:
        """Whether the part of this stage belongs here."""
        return any(fnmatchcase(f"{stage}:{part}", pattern) for pattern in self.patterns)


Grouping = Callable[[str, str], PartGroup]

# LoRA stands first: its range is innermost in linears.
GROUPS: tuple[PartGroup, ...] = (
    PartGroup("LoRA", "LoRA", ("*/lora", "*/lora/*")),
    PartGroup("RoPE", "RoPE", ("*/rope", "*/rope/*")),
    PartGroup("cache clone and window", "copies", ("*/cache.clone", "*/cache.window")),
    PartGroup("cache roll", "copies", ("*/cache.roll",)),
    PartGroup("cache writes", "copies", ("*/cache.write", "*:base/cache.update")),
    PartGroup("cache indices", "copies", ("*/cache.index",)),
    PartGroup("self-attention", "base", ("*:base/attention", "*:base/attention/*")),
    PartGroup("VACE self-attention", "VACE", ("*:vace/attention", "*:vace/attention/*")),
    PartGroup("cross-attention", "base", ("*/cross_attention/attention*",)),
    PartGroup("modulation and norms", "norms", ("*/modulation", "*/norm", "*/cross_attention")),
    PartGroup(
        "base linears",
        "base",
        (
            "*:base/qkv",
            "*:base/out",
            "*:base/ffn",
            "*:base/cross_attention/qkv",
            "*:base/cross_attention/out",
        ),
    ),
    PartGroup("hint injection", "VACE", ("*:base/hints",)),
    PartGroup("padding", "VACE", ("*:vace/pad", "*:vace/pad/*")),
    PartGroup("hint stacking", "VACE", ("*:vace/stack",)),
    PartGroup(
        "VACE linears",
        "VACE",
        (
            "*:vace/qkv",
            "*:vace/out",
            "*:vace/ffn",
            "*:vace/cross_attention/qkv",
            "*:vace/cross_attention/out",
            "*:vace/before",
            "*:vace/after",
        ),
    ),
    PartGroup(
        "embeddings and head",
        "other",
        ("*:embed.*", "*:head", "*:unpatchify", "*:vace/patch"),
    ),
    PartGroup("other work of the VACE branch", "VACE", ("*:vace", "*:vace/*")),
    PartGroup("VAE encode", "VAE", ("encode:vae", "encode:vae/*")),
    PartGroup("VAE decode", "VAE", ("*:vae", "*:vae/*")),
    PartGroup(REST, "other", ("*",)),
)


def group_of(stage: str, part: str) -> PartGroup:
    """The group of a part."""
    return next(group for group in GROUPS if group.holds(stage, part))


def own_group_of(stage: str, part: str) -> PartGroup:
    """The group of a part of the user's own pipeline: its outermost range."""
    return PartGroup(part.partition("/")[0] or NO_PART, "own", ())


def grouping(case: Case) -> Grouping:
    """What tells the group of a part of this case."""
    return own_group_of if case.pipeline else group_of


def within(part: str, *roots: str) -> bool:
    """Whether a part path is one of these, or lies below one."""
    return any(part == root or part.startswith(f"{root}/") for root in roots)

"""What the published report says, as far as the project's documents state it, and nothing more.

Each figure has a name, by which the report cites it, and the place that states it: a section of the
workload specification or the published report itself.
"""

from dataclasses import dataclass
from decimal import Decimal

from harness.matrix import Mode


@dataclass(frozen=True)
class Figure:
    """One published number in its unit, with the document that states it."""

    name: str
    value: Decimal  # with the digits that are stated
    unit: str  # "ms" | "%"
    source: str
    qualifier: str = ""  # "about", "under": as stated

    @property
    def stated(self) -> str:
        """The figure as its source states it."""
        return f"{self.qualifier} {self.value:,} {self.unit}".strip()


@dataclass(frozen=True)
class OperatorCount:
    """Calls of an operator in one chunk: as published, and as the specification derives them.

    The published profile is of a chunk before the first eviction; the specification's column here
    is an inpainting chunk in steady state.
    """

    name: str
    published: int | None
    steady_inpainting: int | None
    steady_depth: int | None
    steady_text: int | None
    recorded: str = ""  # the name in a count pass, where it is another

    def steady(self, mode: Mode) -> int | None:
        """The specification's count of a steady chunk of this mode."""
        return {
            "inpainting": self.steady_inpainting,
            "depth": self.steady_depth,
            "text": self.steady_text,
        }[mode]


CHUNK = Figure("chunk", Decimal("735"), "ms", "specification 17.1")
VACE_FORWARD = Figure("vace_forward", Decimal("38.9"), "ms", "specification 17.1")
VACE_FORWARD_SHARE = Figure("vace_forward_share", Decimal("5.3"), "%", "specification 17.1")
VACE_OVERHEAD = Figure("vace_overhead", Decimal("52"), "ms", "specification 17.1", "about")
VACE_OVERHEAD_SHARE = Figure(
    "vace_overhead_share", Decimal("7"), "%", "specification 17.1", "about"
)
VACE_CORRECTED = Figure("vace_corrected", Decimal("173"), "ms", "specification 17.1")
VACE_CORRECTED_SHARE = Figure("vace_corrected_share", Decimal("23.5"), "%", "specification 17.1")
PATCH_EMBEDDING = Figure("patch_embedding", Decimal("0.09"), "ms", "specification 17.1")
ENCODE_SINGLE = Figure("encode_single", Decimal("12.6"), "ms", "specification 17.1")
ENCODE_DUAL = Figure("encode_dual", Decimal("17.2"), "ms", "specification 17.1")
ENCODE_END_TO_END_LOW = Figure("encode_end_to_end_low", Decimal("8.7"), "ms", "specification 17.1")
ENCODE_END_TO_END_HIGH = Figure(
    "encode_end_to_end_high", Decimal("9.0"), "ms", "specification 17.1"
)
LORA = Figure("lora", Decimal("81"), "ms", "published report")
LORA_SHARE = Figure("lora_share", Decimal("12.8"), "%", "published report")
COMPILE_GAIN = Figure("compile_gain", Decimal("2"), "%", "published report", "under")

FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (
        CHUNK,
        VACE_FORWARD,
        VACE_FORWARD_SHARE,
        VACE_OVERHEAD,
        VACE_OVERHEAD_SHARE,
        VACE_CORRECTED,
        VACE_CORRECTED_SHARE,
        PATCH_EMBEDDING,
        ENCODE_SINGLE,
        ENCODE_DUAL,
        ENCODE_END_TO_END_LOW,
        ENCODE_END_TO_END_HIGH,
        LORA,
        LORA_SHARE,
        COMPILE_GAIN,
    )
}

# Specification section 17; copy_ of the specification's own columns includes the 7 copies that it
# attributes to convolutions. None: the table holds no number.
OPERATORS: tuple[OperatorCount, ...] = (
    OperatorCount("aten::addmm", 1894, 1894, 1894, 1230),
    OperatorCount("aten::mm", 2400, 2400, 2400, 2400),
    OperatorCount("sageattn", 150, 150, 150, 150),
    OperatorCount("cross-attention", None, 210, 210, 150, "attention.cross"),
    OperatorCount("flex_attention", 60, 60, 60, 0),
    OperatorCount("aten::convolution", 114, 114, 114, 40),
    OperatorCount("aten::cat", 1888, 1888, 1897, 1249),
    OperatorCount("aten::mul", 4240, 4240, 4240, 3336),
    OperatorCount("aten::item", 846, 906, 906, 845),
    OperatorCount("aten::_to_copy", 2261, 2261, 2261, 1539),
    OperatorCount("aten::copy_", 3361, 3601, 3592, None),
    OperatorCount("cudaStreamSynchronize", 631, 691, None, None),
    OperatorCount("Memcpy DtoD", 1830, 2070, None, None),
    OperatorCount("cudaLaunchKernel", 17_020, None, None, None),
)

# Why a figure of ours may differ from a published one, and what the project's documents correct.
DIFFERENCES: dict[str, str] = {
    "gpu": "The GPU is another, unless yours is the one that the published figures were measured "
    "on. Compare shares and counts, not milliseconds.",
    "weights": "Ours runs with seeded random weights. Values do not change which operators run.",
    "cross_attention": "Cross-attention: scaled dot-product attention (SDPA) stands in for "
    "flash-attn 2.",
    "not_steady": "The published profile is of a chunk before the first eviction (846 item calls; "
    "a chunk with a full cache has 906), so it is not the steady state. Ours starts at chunk 4.",
    "vace_share": "The published VACE share counts one VACE forward; a chunk runs four. With its "
    "own figures: 4 x 38.9 + 17.2 + 4 x 0.09 = 173 ms, which is 23.5 % of 735 ms.",
    "encode": "The published encode times contradict each other: 12.6 and 17.2 ms isolated, 8.7 "
    "and 9.0 ms end to end. Depth and inpainting are compared although both encode two streams.",
    "lora": 'The 2,400 mm calls (81 ms, 12.8 %), published as "RoPE, modulation", are the '
    "products of the unmerged LoRA adapters. RoPE and modulation call no matrix product.",
    "sage": "The 150 sageattn calls, published as cross-attention, are the cached self-attention. "
    "Cross-attention makes 210 calls of its own.",
    "sage_casts": "On CUDA, SageAttention casts V to fp16: one cast and its copy in each call. The "
    "specification took its kernel as one operator.",
    "flex": "The 60 flex_attention calls are the uncached VACE self-attention, not the base "
    "self-attention.",
}

"""Made-up profiles of the stacks without their CUDA graph: blocks compiled in halves, no parts."""

import msgspec

from harness.expansion import Settings, expand
from harness.matrices import MATRICES
from harness.matrix import Case
from harness.profiled import OperatorPart, ProfiledChunk
from harness.result import Result
from tests.records import build, profiles
from tests.records.parts import STAGES_MS

# Operator, part, calls, GPU ms.
BETWEEN = (
    ("aten::_cudnn_attention_forward", "base/attention", 149, 60.0),
    ("aten::_cudnn_attention_forward", "vace/attention", 60, 6.5),
    ("aten::_scaled_dot_product_cudnn_attention", "base", 149, 3.4),
    ("aten::_scaled_dot_product_cudnn_attention", "vace", 60, 1.3),
    ("triton_red_fused_native_layer_norm_0", "base", 298, 16.0),
    ("triton_poi_fused_view_1", "vace", 120, 4.0),
    ("aten::copy_", "base/cache.write", 600, 5.0),
    ("(no operator)", "base", 4, 0.1),
    ("aten::cudnn_convolution", "vae", 96, 5.5),
    ("triton_poi_fused_cat_relu_2", "vae", 60, 4.5),
    ("aten::cudnn_convolution", "embed.patch", 5, 0.06),
    ("aten::addmm", "head", 4, 0.03),
    ("aten::mul", "x0", 12, 0.05),
    ("aten::normal_", "noise", 1, 0.01),
)
LINEARS = {
    "lossless-without-graph-chunk": (
        ("aten::addmm", "base", 600, 46.0),
        ("aten::_addmm_activation", "base", 149, 20.0),
        ("aten::addmm", "vace", 304, 17.0),
        ("aten::_addmm_activation", "vace", 60, 8.0),
    ),
    "fastest-without-graph-chunk": (
        ("aten::_scaled_mm", "base", 749, 50.0),
        ("aten::_scaled_mm", "vace", 364, 20.0),
    ),
}
ATTENTION_RATES = {"cached_self": 6e14, "cross": 4.5e14, "vace_self": 5.5e14}
FP8_RATE = 1.3e15


def cases() -> list[Case]:
    """Of the matrix `floors`."""
    return expand(MATRICES["floors"], Settings(preset="full", device="cuda"))


def result(case: Case, extra: tuple[tuple[str, str, int, float], ...] = ()) -> Result:
    """A profiled case; `extra` operators beside those of its stack."""
    made = build.result(case)
    assert made.profile is not None and made.ceilings is not None
    table = (*LINEARS[case.variant], *BETWEEN, *extra)
    rows = [OperatorPart(name, part, calls, ms, 0.005 * calls) for name, part, calls, ms in table]
    chunks = [_with(chunk, rows) for chunk in made.profile.chunks]
    fp8 = FP8_RATE if case.variant.startswith("fastest") else None
    ceilings = msgspec.structs.replace(
        made.ceilings, attention_flops_per_s=ATTENTION_RATES, fp8_matmul_flops_per_s=fp8
    )
    profile = msgspec.structs.replace(made.profile, chunks=chunks)
    return msgspec.structs.replace(made, profile=profile, ceilings=ceilings)


def _with(chunk: ProfiledChunk, rows: list[OperatorPart]) -> ProfiledChunk:
    busy_ms = sum(row.device_ms for row in rows)
    parts = profiles.parts_of(rows, list(STAGES_MS), chunk.wall_ms, gpu=True)
    idle_ms = sum(gap.idle_ms for gap in chunk.gaps)
    return msgspec.structs.replace(
        chunk,
        operators=rows,
        parts=parts,
        busy_ms=busy_ms,
        gaps=[msgspec.structs.replace(gap, part="base", stage=None) for gap in chunk.gaps],
        span_ms=busy_ms + idle_ms,
        kernels=sum(part.kernels for part in parts),
    )

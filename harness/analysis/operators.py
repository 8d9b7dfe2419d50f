"""The count pass by operator family: calls and GPU time, each kernel counted once.

An operator's device time is that of the kernels it launched itself, so the families add up. Calls
are counted at one operator of the family, since a convolution is three nested operators.
"""

from dataclasses import dataclass

from harness.record_parts import CountPass

UNATTRIBUTED_LIMIT = 0.01  # of the kernels' time; above it the difference is shown


@dataclass(frozen=True)
class Family:
    """Operators that do one kind of work. A name ending in `*` is a prefix."""

    name: str
    members: tuple[str, ...]
    counted: tuple[str, ...]

    def holds(self, operator: str) -> bool:
        """Whether the operator belongs to this family."""
        return _matches(operator, self.members)


@dataclass(frozen=True)
class FamilyTime:
    """Calls and GPU time of a family in one chunk."""

    name: str
    calls: int | None  # None for the rest, which has no operator to count at
    device_ms: float | None
    share: float | None  # of the GPU time of all operators
    indices: tuple[int, ...]  # of the operators in the record


FAMILIES: tuple[Family, ...] = (
    Family(
        "addmm (linears with bias)",
        ("aten::addmm", "aten::addmm_", "aten::_addmm_activation"),
        ("aten::addmm", "aten::_addmm_activation"),
    ),
    Family("FP8 products", ("aten::_scaled_mm",), ("aten::_scaled_mm",)),
    Family("mm (LoRA adapters)", ("aten::mm",), ("aten::mm",)),
    Family("SageAttention", ("sageattn", "sageattn*"), ("sageattn",)),
    Family(
        "SDPA attention",
        (
            "sdpa",
            "aten::scaled_dot_product_attention",
            "aten::_scaled_dot_product_*",
            "aten::_flash_attention_forward",
            "aten::_efficient_attention_forward",
            "aten::_cudnn_attention_forward",
        ),
        ("aten::scaled_dot_product_attention",),
    ),
    Family("FP8 attention", ("cudnn_fp8",), ("cudnn_fp8",)),
    Family(
        "flex_attention",
        ("flex_attention", "triton_tem*", "triton_flex*"),
        ("flex_attention",),
    ),
    Family(
        "compiled by inductor",
        ("triton_*", "## Call CompiledFxGraph*", "Torch-Compiled Region*", "CompiledFunction*"),
        (),
    ),
    Family(
        "convolution",
        (
            "aten::convolution",
            "aten::_convolution",
            "aten::cudnn_convolution*",
            "aten::mkldnn_convolution",
            "aten::slow_conv*",
            "aten::_slow_conv*",
            "aten::thnn_conv2d",
            "aten::_conv_depthwise2d",
            "aten::conv_depthwise3d",
        ),
        ("aten::convolution",),
    ),
    Family(
        "copy",
        ("aten::copy_", "aten::_to_copy", "aten::to", "aten::clone", "aten::contiguous"),
        ("aten::copy_",),
    ),
    Family("mul", ("aten::mul", "aten::mul_"), ("aten::mul", "aten::mul_")),
    Family(
        "add and sub",
        ("aten::add", "aten::add_", "aten::sub", "aten::sub_", "aten::rsub"),
        ("aten::add", "aten::add_", "aten::sub", "aten::sub_", "aten::rsub"),
    ),
    Family("cat and stack", ("aten::cat", "aten::stack"), ("aten::cat",)),
    Family(
        "norm",
        (
            "aten::native_layer_norm",
            "aten::layer_norm",
            "aten::rms_norm",
            "aten::mean",
            "aten::pow",
            "aten::rsqrt",
        ),
        ("aten::native_layer_norm", "aten::rsqrt"),
    ),
    Family(
        "activation",
        (
            "aten::gelu",
            "aten::silu",
            "aten::relu",
            "aten::relu_",
            "aten::clamp_min",
            "aten::clamp_min_",
            "aten::clamp",
            "aten::clamp_",
            "aten::tanh",
        ),
        (
            "aten::gelu",
            "aten::silu",
            "aten::relu",
            "aten::relu_",
            "aten::clamp_min",
            "aten::clamp",
            "aten::clamp_",
            "aten::tanh",
        ),
    ),
    Family(
        "item (reads by the host)", ("aten::item", "aten::_local_scalar_dense"), ("aten::item",)
    ),
)
REST = "other"


def family_times(count_pass: CountPass) -> list[FamilyTime]:
    """Families that occur in the count pass; by GPU time if there is one, the rest last."""
    members: dict[str, list[int]] = {}
    for index, operator in enumerate(count_pass.operators):
        members.setdefault(family_of(operator.name), []).append(index)
    times = [operator.device_ms for operator in count_pass.operators]
    on_device = any(time is not None for time in times)
    total_ms = sum(time or 0.0 for time in times)
    rows = []
    for family in (*FAMILIES, Family(REST, (), ())):
        indices = members.get(family.name)
        if indices is None:
            continue
        calls = sum(
            count_pass.operators[i].calls
            for i in indices
            if _matches(count_pass.operators[i].name, family.counted)
        )
        device_ms = sum(times[i] or 0.0 for i in indices) if on_device else None
        rows.append(
            FamilyTime(
                name=family.name,
                calls=calls if family.counted else None,
                device_ms=device_ms,
                share=device_ms / total_ms if device_ms is not None and total_ms else None,
                indices=tuple(indices),
            )
        )
    return sorted(rows, key=lambda row: (row.name == REST, -(row.device_ms or 0.0)))


def _matches(operator: str, names: tuple[str, ...]) -> bool:
    return any(
        operator.startswith(name[:-1]) if name.endswith("*") else operator == name for name in names
    )


def family_of(operator: str) -> str:
    """Name of the first family that holds an operator."""
    return next((family.name for family in FAMILIES if family.holds(operator)), REST)


def calls_of(count_pass: CountPass, name: str) -> tuple[int, int] | None:
    """(calls, index in the record) of an operator, or None if it does not occur."""
    for index, operator in enumerate(count_pass.operators):
        if operator.name == name:
            return operator.calls, index
    return None


def copies_of(count_pass: CountPass, kind: str) -> tuple[int, tuple[int, ...]] | None:
    """(calls, indices) of memory copies by the start of their kernels' name, e.g. Memcpy DtoD."""
    found = [i for i, kernel in enumerate(count_pass.kernels) if kernel.name.startswith(kind)]
    if not found:
        return None
    return sum(count_pass.kernels[i].calls for i in found), tuple(found)


def unattributed_ms(count_pass: CountPass) -> float | None:
    """Kernels' GPU time minus the operators'; None where nothing ran on a GPU."""
    if not count_pass.kernels:
        return None
    kernels_ms = sum(kernel.device_ms for kernel in count_pass.kernels)
    return kernels_ms - sum(operator.device_ms or 0.0 for operator in count_pass.operators)


def attribution_is_off(count_pass: CountPass) -> bool:
    """Whether operators and kernels disagree by more than the limit."""
    gap_ms = unattributed_ms(count_pass)
    kernels_ms = sum(kernel.device_ms for kernel in count_pass.kernels)
    return gap_ms is not None and abs(gap_ms) > UNATTRIBUTED_LIMIT * kernels_ms

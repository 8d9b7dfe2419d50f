"""Why a kind of work takes longer than its floor, as far as the record shows it: none is guessed.

Each rule is asked of a kind that lies above the limit and answers with evidence, or with nothing.
What launched most of a kind's time is always told; alone it is no reason.
"""

from collections.abc import Callable
from dataclasses import dataclass

from harness.analysis.arm_power import capped_words, case_power
from harness.analysis.chunks import base_arm
from harness.analysis.claims import Measured, Unit, Words
from harness.analysis.roofline_stack import KindFloor, StackRoofline
from harness.analysis.work_kinds import multiplies

LIMITS: dict[str, float] = {
    "FLOOR_RATIO_LIMIT": 1.5,  # measured over floor, above which a reason is asked for
    "SHORT_KERNEL_US": 10.0,  # mean time of a kernel whose start and end are a good part of it
    "SMALL_PRODUCT_TFLOP": 0.1,  # of a matrix product; that of the measured rate has 1.1
    "LEAST_UNFUSED": 0.1,  # of a kind's time, in kernels that torch.compile did not make
}
FUSED = "triton_"  # how inductor names the kernels that it makes


@dataclass(frozen=True)
class _Evidence:
    """A kind with the paths of what is read from its record."""

    roofline: StackRoofline
    kind: KindFloor

    def read(self, value: float, unit: Unit, *more: str) -> Measured:
        """A number from the kind's device time, and from what else it was computed from."""
        at = self.roofline.at(*self.kind.time.paths)
        return Measured(value, unit, (self.roofline.result,), (*at, *more))


def above_limit(kind: KindFloor) -> bool:
    """Whether a reason is due."""
    return kind.ratio is not None and kind.ratio > LIMITS["FLOOR_RATIO_LIMIT"]


def reasons(roofline: StackRoofline, kind: KindFloor) -> tuple[Words, ...]:
    """What every rule says of a kind; none where the record does not show why."""
    evidence = _Evidence(roofline, kind)
    return tuple(words for rule in RULES if (words := rule(evidence)) is not None)


def power_cap(roofline: StackRoofline) -> Words | None:
    """What the power cap did to the timed chunks of the profiled case; None where it did nothing.

    It holds all kinds of work alike, so it is told of the whole and of no kind.
    """
    result = roofline.result
    power = case_power((result,), base_arm(result.case))
    return capped_words(power) if power is not None and power.capped else None


def longest(roofline: StackRoofline, kind: KindFloor) -> tuple[str, Words] | None:
    """The operator that launched most of a kind's time, and its share, calls and mean time.

    None where the record names no operator.
    """
    first = next((item for item in kind.time.operators if item.calls), None)
    if first is None:
        return None
    evidence = _Evidence(roofline, kind)
    total_ms = sum(item.device_ms for item in kind.time.operators)
    at = roofline.at("/operators/*/device_ms", "/operators/*/calls")
    return first.operator, (
        evidence.read(first.device_ms / total_ms, "share", *at),
        " in ",
        evidence.read(first.calls, "count", *at),
        " calls of ",
        evidence.read(1e3 * first.device_ms / first.calls, "us", *at),
    )


def _short_kernels(evidence: _Evidence) -> Words | None:
    """Kernels that end about as soon as all of the GPU works on them."""
    time = evidence.kind.time
    limit = LIMITS["SHORT_KERNEL_US"]
    if not time.launches or time.mean_us >= limit:
        return None
    at = evidence.roofline.at("/parts/*/kernels", "/operators/*/calls")
    return (
        "its ",
        evidence.read(time.launches, "count", *at),
        " kernels take ",
        evidence.read(time.mean_us, "us", *at),
        " each, less than ",
        Measured(limit, "us", (), ("rule#SHORT_KERNEL_US",)),
        ": too short to fill the GPU, so starting and ending weighs",
    )


def _unfused(evidence: _Evidence) -> Words | None:
    """Elementwise work and copies outside of the kernels that torch.compile made."""
    kind = evidence.kind
    if kind.name != "elementwise and copies":
        return None
    others_ms = sum(
        item.device_ms for item in kind.time.operators if not item.operator.startswith(FUSED)
    )
    share = others_ms / kind.device_ms
    if share < LIMITS["LEAST_UNFUSED"]:
        return None
    return (
        evidence.read(share, "share"),
        " of it, ",
        evidence.read(others_ms, "ms"),
        ", is in operators that are not fused, where every one reads and writes for itself",
    )


def _memory_bound(evidence: _Evidence) -> Words | None:
    """Traffic that is counted at its least, at the rate that it comes out at."""
    kind, copy = evidence.kind, evidence.roofline.ceilings.copy_bytes_per_s
    if kind.bound != "memory" or not copy:
        return None
    reached = 1e3 * kind.moved_bytes / kind.device_ms / copy
    return (
        "it is bound by memory and reaches ",
        evidence.read(reached, "share", "/case", "/ceilings/copy_bytes_per_s"),
        " of the measured copy rate on the traffic that is counted, each tensor once; the profile "
        "counts no bytes, so it does not tell more traffic from a lower rate",
    )


def _small_products(evidence: _Evidence) -> Words | None:
    """Products far from the size at which the rate was measured."""
    kind = evidence.kind
    if kind.name != "linears" or not kind.time.launches:
        return None
    mean_tflop = kind.flops / 1e12 / kind.time.launches
    limit = LIMITS["SMALL_PRODUCT_TFLOP"]
    if mean_tflop >= limit:
        return None
    calls = evidence.roofline.at("/operators/*/calls")
    return (
        "its products have ",
        evidence.read(mean_tflop, "ratio", "/case", *calls),
        " TFLOP each, less than ",
        Measured(limit, "ratio", (), ("rule#SMALL_PRODUCT_TFLOP",)),
        ", and the rate was measured on one much larger",
    )


def _convolutions(evidence: _Evidence) -> Words | None:
    """The autoencoder's convolutions against the rate of plain products, and what is none."""
    kind, matmul = evidence.kind, evidence.roofline.ceilings.matmul_flops_per_s
    total_ms = sum(item.device_ms for item in kind.time.operators)
    if not kind.name.startswith("VAE") or not total_ms or not matmul:
        return None
    # Those of one pixel are products.
    own_ms = sum(item.device_ms for item in kind.time.operators if multiplies(item.operator))
    share = own_ms / total_ms
    operators = evidence.roofline.at("/operators/*/device_ms")
    words: tuple[str | Measured, ...] = (
        "convolutions take ",
        evidence.read(share, "share", *operators),
        " of the autoencoder's time",
    )
    if own_ms:
        reached = 1e3 * kind.flops / (share * kind.device_ms) / matmul
        words += (
            " and reach ",
            evidence.read(reached, "share", *operators, "/case", "/ceilings/matmul_flops_per_s"),
            " of the rate of plain products; the rest lies between them, and the floor does not "
            "count it",
        )
    return words


RULES: tuple[Callable[[_Evidence], Words | None], ...] = (
    _short_kernels,
    _unfused,
    _small_products,
    _convolutions,
    _memory_bound,
)

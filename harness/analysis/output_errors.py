"""Is an arm's output no worse? Its errors against float32, held against the yardstick's own.

The yardstick is the baseline with PyTorch's attention: its distance from a float32 run with exact
attention is what bf16 costs. An arm passes if in every chunk its errors of flow, x0, keys and
values stay within `OUTPUT_LIMIT` times that. The baseline with its own kernel stands beside it: how
far two kernels of the same model lie apart is the noise floor of the proof.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.interval import median
from harness.arms import BASE_ARM
from harness.matrix import Mode
from harness.record_parts import Event
from harness.result import Result
from harness.variants import is_variant, resolve

OUTPUT_LIMIT = 1.25  # times the yardstick's error
LEAST_CHUNKS = 8  # of a proof, before it says anything
YARDSTICK = "attention-sdpa"
LIMITS: dict[str, float] = {"OUTPUT_LIMIT": OUTPUT_LIMIT, "LEAST_CHUNKS": LEAST_CHUNKS}

Quantity = Literal["flow", "x0", "keys", "values"]
QUANTITIES: tuple[Quantity, ...] = ("flow", "x0", "keys", "values")
# "as the base": over the limit, but within it of the baseline with its own kernel, which is over
# the limit itself.
OutputCall = Literal[
    "noise floor", "passes", "as the base", "fails", "caught", "NOT caught", "not judged"
]


@dataclass(frozen=True)
class Place:
    """The largest ratio of an error to the reference's, and where it was met."""

    ratio: float
    quantity: Quantity
    chunk: int
    event: Event
    indices: tuple[int, int]  # of both errors in the record


@dataclass(frozen=True)
class ArmOutput:
    """What the proof says of one arm."""

    result: Result
    arm: str
    call: OutputCall
    worst: dict[Quantity, Place]  # against the yardstick; empty where that is missing
    against_base: Place | None
    cosine: float  # least over the chunks
    psnr_db: float | None  # median over the chunks; None where all frames are equal
    chunks: int
    run: str = ""  # folder of the run beside that it lies in; empty for the run's own

    @property
    def place(self) -> Place | None:
        """The worst of all quantities."""
        return max(self.worst.values(), key=lambda place: place.ratio, default=None)

    @property
    def fails(self) -> bool:
        """Whether its speed means nothing."""
        return self.call in ("fails", "caught", "NOT caught")


def output_errors(result: Result) -> list[ArmOutput]:
    """Every arm of a proof in the order of the case, the yardstick left out."""
    arms: dict[str, dict[int, int]] = {}
    for index, error in enumerate(result.output_errors):
        arms.setdefault(error.arm, {})[error.chunk] = index
    return [
        _judged(result, arm, own, arms.get(YARDSTICK, {}), arms.get(BASE_ARM, {}))
        for arm, own in arms.items()
        if arm != YARDSTICK
    ]


def output_of(outputs: Sequence[ArmOutput], variant: str, mode: Mode) -> ArmOutput | None:
    """The proof of a variant: of this mode, else of any other; the worst where there are several.

    Names that stand for the same fixes are the same variant.
    """
    same = [found for found in outputs if fixes_of(found.arm) == fixes_of(variant)]
    of_mode = [found for found in same if found.result.case.mode == mode]
    return max(of_mode or same, key=_gravity, default=None)


def fixes_of(variant: str) -> tuple[str, ...]:
    """Names of a variant's fixes; the name itself where this version does not know it."""
    return tuple(fix.name for fix in resolve(variant)) if is_variant(variant) else (variant,)


def is_wrong(variant: str) -> bool:
    """Whether it is wrong on purpose."""
    return is_variant(variant) and any(fix.claim == "wrong" for fix in resolve(variant))


def _gravity(found: ArmOutput) -> tuple[bool, bool, float]:
    return found.fails, found.call == "not judged", found.place.ratio if found.place else 0.0


def _judged(
    result: Result, arm: str, own: dict[int, int], yard: dict[int, int], base: dict[int, int]
) -> ArmOutput:
    errors = [result.output_errors[index] for index in own.values()]
    complete = own.keys() <= yard.keys() and len(own) >= LEAST_CHUNKS
    worst = {q: _worst(result, q, own, yard) for q in QUANTITIES} if complete else {}
    against_base = None
    if own.keys() <= base.keys() and arm != BASE_ARM:
        places = [_worst(result, quantity, own, base) for quantity in QUANTITIES]
        against_base = max(places, key=lambda place: place.ratio)
    psnr = [error.frame_psnr_db for error in errors if error.frame_psnr_db is not None]
    return ArmOutput(
        result=result,
        arm=arm,
        call=_call(arm, worst, against_base),
        worst=worst,
        against_base=against_base,
        cosine=min(error.latent_cosine for error in errors),
        psnr_db=median(psnr) if psnr else None,
        chunks=len(errors),
    )


def _call(arm: str, worst: dict[Quantity, Place], against_base: Place | None) -> OutputCall:
    if not worst:
        return "not judged"
    if arm == BASE_ARM:
        return "noise floor"
    within = all(place.ratio <= OUTPUT_LIMIT for place in worst.values())
    as_base = against_base is not None and against_base.ratio <= OUTPUT_LIMIT
    if is_wrong(arm):
        return "NOT caught" if within or as_base else "caught"
    return "passes" if within else "as the base" if as_base else "fails"


def _worst(
    result: Result, quantity: Quantity, own: dict[int, int], reference: dict[int, int]
) -> Place:
    places = []
    for chunk, index in own.items():
        both = (index, reference[chunk])
        error, known = (result.output_errors[one] for one in both)
        found = ratio_of(getattr(error, quantity), getattr(known, quantity))
        places.append(Place(found, quantity, chunk, error.event, both))
    return max(places, key=lambda place: place.ratio)


def ratio_of(error: float, known: float) -> float:
    """Error over the reference's; where that has none, any error is infinitely larger."""
    if known:
        return error / known
    return float("inf") if error else 1.0

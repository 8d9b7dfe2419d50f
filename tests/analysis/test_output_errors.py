from typing import Any

import msgspec
import pytest

from harness.analysis.output_errors import (
    LEAST_CHUNKS,
    OUTPUT_LIMIT,
    YARDSTICK,
    ArmOutput,
    fixes_of,
    output_errors,
    output_of,
)
from harness.measure import quality
from harness.record_parts import OutputError
from harness.result import Result
from tests.samples import case, result

ARMS = ("base", "lora-merged", "wrong-no-lora")


def proof(
    factors: dict[str, float], *, chunks: int = 9, mode: str = "inpainting", **changes: Any
) -> Result:
    """Every arm at a multiple of the yardstick's error; `changes` are errors of chunk 5."""
    errors = []
    for chunk in range(chunks):
        for arm, factor in {**factors, YARDSTICK: 1.0}.items():
            fields = {"flow": 0.01, "x0": 0.02, "keys": 0.03, "values": 0.04}
            fields = {name: value * factor for name, value in fields.items()}
            if chunk == 5 and arm in changes:
                fields |= changes[arm]
            errors.append(OutputError(arm, chunk, "steady", *fields.values(), 0.9999, 48.0))
    made = case(kind="quality", mode=mode, arms=tuple(factors))
    return result(made, chunks=[], output_errors=errors)


def judged(arm: str, factors: dict[str, float], **changes: Any) -> ArmOutput:
    found = output_errors(proof(factors, **changes))
    return next(one for one in found if one.arm == arm)


def test_the_yardstick_is_the_one_that_the_proof_measures() -> None:
    assert YARDSTICK == quality.YARDSTICK


def test_an_arm_within_the_limit_passes_and_the_base_is_the_noise_floor() -> None:
    found = output_errors(proof({"base": 1.1, "lora-merged": OUTPUT_LIMIT}))
    assert [(one.arm, one.call) for one in found] == [
        ("base", "noise floor"),
        ("lora-merged", "passes"),
    ]
    assert found[1].place is not None
    assert found[1].place.ratio == pytest.approx(OUTPUT_LIMIT)


def test_one_quantity_in_one_chunk_is_enough_to_fail() -> None:
    found = judged(
        "lora-merged", {"base": 1.0, "lora-merged": 1.0}, **{"lora-merged": {"x0": 0.03}}
    )
    assert found.call == "fails"
    assert found.fails
    place = found.place
    assert place is not None
    assert (place.quantity, place.chunk) == ("x0", 5)
    assert place.ratio == pytest.approx(1.5)


def test_an_arm_with_the_kernel_of_the_base_is_as_the_base() -> None:
    found = judged("lora-merged", {"base": 2.0, "lora-merged": 2.1})
    assert found.call == "as the base"
    assert not found.fails
    assert found.against_base is not None
    assert found.against_base.ratio == pytest.approx(1.05)


@pytest.mark.parametrize(
    ("factor", "call"), [(30.0, "caught"), (1.1, "NOT caught"), (2.1, "NOT caught")]
)
def test_what_is_wrong_on_purpose_must_be_far_off_both(factor: float, call: str) -> None:
    found = judged("wrong-no-lora", {"base": 2.0, "wrong-no-lora": factor})
    assert found.call == call
    assert found.fails


def test_too_few_chunks_or_no_yardstick_judge_nothing() -> None:
    few = output_errors(proof({"base": 1.0, "lora-merged": 9.0}, chunks=LEAST_CHUNKS - 1))
    assert {one.call for one in few} == {"not judged"}
    full = proof({"base": 1.0, "lora-merged": 9.0})
    errors = [error for error in full.output_errors if error.arm != YARDSTICK]
    bare = output_errors(msgspec.structs.replace(full, output_errors=errors))
    assert {one.call for one in bare} == {"not judged"}


def test_an_error_where_the_yardstick_has_none_is_infinitely_worse() -> None:
    exact = {YARDSTICK: {"flow": 0.0}}
    found = judged("lora-merged", {"base": 1.0, "lora-merged": 1.0}, **exact)
    assert found.place is not None
    assert found.place.ratio == float("inf")
    both = {**exact, "lora-merged": {"flow": 0.0}}
    assert judged("lora-merged", {"base": 1.0, "lora-merged": 1.0}, **both).call == "passes"


def test_a_variant_is_known_by_its_fixes_and_a_proof_of_its_mode_comes_first() -> None:
    inpainting = output_errors(proof({"base": 1.0, "fused-qkv": 1.2}))
    text = output_errors(proof({"base": 1.0, "lora-merged+fused-qkv": 1.1}, mode="text"))
    both = [*inpainting, *text]
    assert fixes_of("fused-qkv") == ("lora-merged", "fused-qkv")
    assert fixes_of("of-a-later-version") == ("of-a-later-version",)
    found = output_of(both, "fused-qkv", "text")
    assert found is text[1]
    elsewhere = output_of(both, "fused-qkv", "depth")
    assert elsewhere is inpainting[1]  # the worst of other modes
    assert output_of(both, "ring-cache", "text") is None

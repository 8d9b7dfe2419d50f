"""The least work by kind: with no fix it is the cost model's, and each fix takes its own off."""

import msgspec
import pytest

from harness.analysis.least_work import Work, least_work
from harness.cost import chunk_flops
from harness.cost_bytes import least_rope_bytes
from tests.records import stacks
from tests.test_cost import config

CHUNK = 31
TOKENS, WIDTH, FFN = 3072, 1536, 8960
STACK = "lossless-without-graph-chunk"


def works(variant: str, mode: str = "inpainting") -> dict[str, Work]:
    case = msgspec.structs.replace(stacks.cases()[0], variant=variant, mode=mode)
    return {work.name: work for work in least_work(case, CHUNK)}


def flops(variant: str, mode: str = "inpainting") -> float:
    return sum(work.flops for work in works(variant, mode).values())


@pytest.mark.parametrize("mode", ["inpainting", "depth", "text"])
def test_without_a_fix_the_arithmetic_is_the_cost_models(mode: str) -> None:
    known = chunk_flops(config(), mode, chunk=CHUNK)
    assert flops("baseline", mode) == pytest.approx(sum(known.values()), rel=1e-12)


def test_each_fix_takes_off_what_it_leaves_out() -> None:
    whole = flops("baseline")
    known = chunk_flops(config(), "inpainting", chunk=CHUNK)
    assert whole - flops("lora-merged") == pytest.approx(known["LoRA"])
    block = 2 * TOKENS * (4 * WIDTH**2 + 2 * WIDTH * FFN)
    head = 2 * TOKENS * 4 * WIDTH * 16
    attention = (known["self-attention"] / 150) + known["cross-attention"] / 210
    saved = flops("lora-merged") - flops("lora-merged+lean-clean")
    assert saved == pytest.approx(block + head + attention)
    text_keys = 60 * 4 * 512 * WIDTH**2
    assert whole - flops("once") > text_keys
    assert "VACE text keys" not in works("once") and "LoRA" not in works(STACK)


def test_fp8_is_for_the_blocks_linears_alone() -> None:
    found = works("fastest-without-graph-chunk")
    assert {name for name, work in found.items() if work.rate == "fp8"} == {
        "base linears",
        "VACE linears",
    }
    plain = works(STACK)
    assert found["base linears"].flops == plain["base linears"].flops
    assert found["base linears"].moved_bytes < plain["base linears"].moved_bytes


def test_what_lies_between_products_is_counted_tensor_by_tensor() -> None:
    one = TOKENS * WIDTH * 2
    block = 2 + 4 + 2 + 2 * 4 + 3  # norm, rotation, text query, both residuals, the gated sum
    values, hint, joined, keys_alone = 2, 1, 3, 2 + 2 + 2
    tensors = 149 * (block + values) + keys_alone + 60 * (block + hint) + 4 * joined
    assert works(STACK)["elementwise"].moved_bytes == pytest.approx(tensors * one)
    assert works(STACK)["elementwise"].moved_bytes > least_rope_bytes(config(), "inpainting")


def test_without_the_epilogue_gelu_moves_the_wide_tensor() -> None:
    bare = works(f"{STACK}-without-gelu-epilogue")["elementwise"].moved_bytes
    wide = TOKENS * FFN * 2
    assert bare - works(STACK)["elementwise"].moved_bytes == pytest.approx(209 * 2 * wide)


def test_an_attention_in_fp8_spares_a_byte_of_each_tensor_around_it() -> None:
    def moved(variant: str) -> float:
        return works(variant)["elementwise"].moved_bytes

    one = TOKENS * WIDTH  # elements, and so bytes saved
    base, keys_alone = 149, 1
    saved = base * (2 + 1 + 1) + keys_alone * 2  # q and k, the values' copy, the output; k and v
    fastest = "fastest-without-graph-chunk"
    wide = moved(f"{STACK}+fp8-linears")
    assert wide - moved(fastest) == pytest.approx(saved * one)


def test_text_only_has_no_branch_and_no_encode() -> None:
    names = set(works(STACK, "text"))
    assert not names & {"VACE linears", "VACE self-attention", "VAE encode", "VACE text keys"}

"""The cost model equals the specification's section 16, and the real modules' parameters."""

import pytest
import torch

from harness.cost import (
    attended_frames,
    chunk_flops,
    kv_cache_bytes,
    parameters,
)
from harness.cost_bytes import chunk_bytes, least_rope_bytes
from harness.presets import CPU_ATTENTION, DEFAULT_DTYPE, PRESETS, WorkloadConfig
from harness.workload.attention import Attention
from harness.workload.lora import add_lora
from harness.workload.transformer import CausalTransformer
from harness.workload.vace import Vace


def config(preset: str = "full", **changes: object) -> WorkloadConfig:
    chosen = PRESETS[preset]
    sizes = {"height_px": chosen.height_px, "width_px": chosen.width_px, "dtype": DEFAULT_DTYPE}
    return WorkloadConfig(
        **{"model": chosen.model, "attention": CPU_ATTENTION, **sizes, **changes}  # type: ignore[arg-type]
    )


def test_flops_of_a_steady_chunk() -> None:
    tera = {
        name: value / 1e12 for name, value in chunk_flops(config(), "inpainting", chunk=4).items()
    }
    expected = {
        "base linears": 38.41, "LoRA": 9.30, "VACE linears": 16.58, "self-attention": 34.79,
        "VACE self-attention": 3.48, "cross-attention": 2.03, "embeddings and head": 0.07,
        "VAE encode": 0.95, "VAE decode": 1.07,
    }  # fmt: skip
    assert tera == pytest.approx(expected, abs=0.006)
    assert sum(tera.values()) == pytest.approx(106.7, abs=0.05)


def test_self_attention_grows_until_the_cache_is_full() -> None:
    tera = [chunk_flops(config(), "depth", chunk=c)["self-attention"] / 1e12 for c in range(5)]
    assert tera == pytest.approx([8.70, 17.39, 26.09, 34.79, 34.79], abs=0.006)
    assert attended_frames(config().model, 40) == 12


def test_text_only_has_no_branch() -> None:
    flops = chunk_flops(config(), "text", chunk=4)
    assert flops["VACE linears"] == flops["VACE self-attention"] == flops["VAE encode"] == 0


def test_parameters_equal_the_published_and_the_built_ones() -> None:
    assert parameters(config()) == {
        "transformer": 1_418_996_800,
        "vace": 734_975_232,
        "lora": 349_962_240,
        "vae": 11_315_539,
    }
    tiny = config("tiny")
    with torch.device("meta"):
        base, vace = (kind(tiny.model, Attention({})) for kind in (CausalTransformer, Vace))
        own = sum(p.numel() for p in base.parameters())
        add_lora(base.blocks, tiny.model.lora_rank, tiny.model.lora_alpha)
    counted = parameters(tiny)
    assert counted["transformer"] == own
    assert counted["lora"] == sum(p.numel() for p in base.parameters()) - own
    assert counted["vace"] == sum(p.numel() for p in vace.parameters())


def test_the_cache_has_keys_and_values_of_all_blocks() -> None:
    assert kv_cache_bytes(config()) == 30 * 2 * 12_288 * 1536 * 2


def test_bytes_of_a_steady_chunk_are_those_of_the_specification() -> None:
    giga = {name: value / 1e9 for name, value in chunk_bytes(config(), "inpainting", 4).items()}
    expected = {
        "RoPE": 136, "cache clone and window": 45, "cache writes": 11, "cache roll": 9,
        "hint stacking": 10, "padding": 2,
    }  # fmt: skip
    assert {name: giga[name] for name in expected} == pytest.approx(expected, abs=0.5)
    one = 3072 * 1536 * 2 / 1e9
    assert giga["self-attention"] == pytest.approx(150 * (2 * one + 2 * 4 * one))
    assert chunk_flops(config(), "inpainting", chunk=4).keys() <= giga.keys()


def test_lora_moves_its_elementwise_work_and_its_products() -> None:
    elementwise = 150 * 5 * 3072 * (7 * 1536 + 8960) * 2
    assert elementwise / 1e9 == pytest.approx(91, abs=0.5)  # scale and add of the specification
    assert chunk_bytes(config(), "text", 4)["LoRA"] > elementwise


def test_the_cache_rolls_from_chunk_4_on_and_a_window_grows() -> None:
    before, after = (chunk_bytes(config(), "depth", chunk) for chunk in (3, 4))
    assert before["cache roll"] == 0 < after["cache roll"]
    assert before["cache clone and window"] == after["cache clone and window"]
    assert (
        chunk_bytes(config(), "depth", 0)["cache clone and window"]
        < before["cache roll"] + (before["cache clone and window"])
    )


def test_text_only_moves_nothing_of_the_branch() -> None:
    moved = chunk_bytes(config(), "text", 4)
    assert moved["padding"] == moved["hint stacking"] == moved["VACE linears"] == 0
    assert 0 < least_rope_bytes(config(), "text") < moved["RoPE"] / 10

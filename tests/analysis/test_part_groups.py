"""Every part path of the workload has its group, named as in the cost model."""

import pytest

from harness.analysis.part_groups import REST, group_of, within
from harness.cost import chunk_flops
from harness.cost_bytes import chunk_bytes
from tests.records.profiles import SPREAD
from tests.test_cost import config


@pytest.mark.parametrize(
    ("stage", "part", "group"),
    [
        ("clean", "base/qkv/lora", "LoRA"),
        ("denoise.0", "base/cross_attention/out/lora", "LoRA"),
        ("denoise.0", "base/cross_attention/qkv", "base linears"),
        ("hints.1", "vace/cross_attention/norm", "modulation and norms"),
        ("hints.1", "vace/cross_attention/attention", "cross-attention"),
        ("hints.1", "vace/attention", "VACE self-attention"),
        ("clean", "base/cache.update/cache.roll", "cache roll"),
        ("clean", "base/cache.update/cache.write", "cache writes"),
        ("hints.0", "vace/rope", "RoPE"),
        ("hints.0", "vace", "other work of the VACE branch"),
        ("hints.0", "vace/patch", "embeddings and head"),
        ("encode", "vae", "VAE encode"),
        ("decode", "vae", "VAE decode"),
        ("denoise.0", "base", REST),
        ("prepare", "", REST),
    ],
)
def test_group_of_a_part(stage: str, part: str, group: str) -> None:
    assert group_of(stage, part).name == group


def test_every_part_of_the_cost_model_is_a_group() -> None:
    known = {group_of("decode", part).name for spread in SPREAD.values() for part in spread}
    known |= {"VAE encode"}
    parts = {**chunk_flops(config(), "depth", chunk=4), **chunk_bytes(config(), "depth", 4)}
    assert parts.keys() <= known


def test_within_takes_whole_names() -> None:
    assert within("base/qkv/lora", "base/qkv")
    assert not within("base/qkv2", "base/qkv")

"""harness.workload.conformance_vae: the golden files pass, and a wrong or missing output shows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.workload import conformance_vae as checks
from harness.workload.autoencoder import Tae
from harness.workload.golden import Comparison, GoldenFile
from harness.workload.recipe import load_recipe

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Kind:
    check: Callable[[GoldenFile], Iterator[Comparison]]
    inputs: Callable[[GoldenFile], set[str]]
    outputs: int


KINDS = {
    "tae": Kind(checks.check_tae, checks.inputs_tae, 32),
    "wanvae": Kind(checks.check_wanvae, checks.inputs_wanvae, 17),
    "vace_context": Kind(checks.check_vace_context, checks.inputs_vace_context, 11),
}


def load(name: str) -> GoldenFile:
    return GoldenFile.load(GOLDEN / f"{name}.safetensors")


def outputs(kind: Kind, file: GoldenFile) -> set[str]:
    return set(file.tensors) - kind.inputs(file)


@pytest.mark.parametrize("name", KINDS)
def test_the_golden_file_is_reproduced_wholly(name: str) -> None:
    kind, file = KINDS[name], load(name)
    comparisons = list(kind.check(file))
    assert {comparison.tensor for comparison in comparisons} == outputs(kind, file)
    assert len(outputs(kind, file)) == kind.outputs
    off = {c.tensor: c.ratio for c in comparisons if not c.ratio <= 1}
    assert off == {}


@pytest.mark.parametrize("name", KINDS)
def test_any_changed_output_is_found(name: str) -> None:
    kind, file = KINDS[name], load(name)
    for key in outputs(kind, file):
        flat = file.tensors[key].clone().flatten()
        flat[-1] += 1e-3
        file.tensors[key] = flat.view(file.tensors[key].shape)
    wrong = {c.tensor for c in kind.check(file) if c.ratio > 1}
    assert wrong == outputs(kind, file)


def test_mask_channels_of_a_context_must_be_exact() -> None:
    file = load("vace_context")
    key = "inpaint/chunk1/vace_context"
    file.tensors[key][40, 0, 0, 0] += 1e-6
    wrong = {c.tensor for c in KINDS["vace_context"].check(file) if c.ratio > 1}
    assert wrong == {key}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_may_lack_outputs(name: str) -> None:
    kind, file = KINDS[name], load(name)
    kept = sorted(outputs(kind, file))[::3]
    for key in outputs(kind, file) - set(kept):
        del file.tensors[key]
    comparisons = list(kind.check(file))
    assert {c.tensor for c in comparisons} == set(kept)
    assert all(c.ratio <= 1 for c in comparisons)


def test_another_size_and_number_of_chunks() -> None:
    vae = Tae()
    load_recipe(vae, "tae")
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}
    memory = vae.new_encoder_memory()
    for chunk in range(5):
        shape = (3, 8, 48, 16)
        u8 = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        pixels = (u8.float() / 255 * 2 - 1)[None]
        tensors[f"encode/left/chunk{chunk}/pixels_u8"] = u8
        tensors[f"encode/left/chunk{chunk}/latent_stream"] = vae.encode(pixels, memory)
        latent = torch.randn(1, 2, 16, 6, 2, generator=generator)
        tensors[f"decode/chunk{chunk}/latent"] = latent
        tensors[f"decode/chunk{chunk}/video"] = vae.decode(latent)
    tensors["encode/left/memory_after_chunk4/8"] = memory.slots[8]
    metadata = {"dtype": "torch.float32", "weight_files": '["recipe:tae"]'}
    file = GoldenFile(Path("tae_other.safetensors"), metadata, tensors)
    comparisons = list(checks.check_tae(file))
    assert {c.tensor for c in comparisons} == outputs(KINDS["tae"], file)
    assert len(comparisons) == 11
    assert all(c.ratio == 0 for c in comparisons)

"""harness.workload.recipe: integer arithmetic, so the same bits everywhere."""

import numpy as np
import pytest
import torch

from harness.workload.autoencoder import Tae
from harness.workload.recipe import load_recipe, recipe_state, recipe_tensor, uniform


def test_the_published_check_values() -> None:
    np.testing.assert_allclose(uniform("abc", 3), [0.56733435, 0.87453967, -0.72220045], atol=5e-9)


def test_values_are_odd_multiples_of_two_to_the_minus_24() -> None:
    values = uniform("wanvae.conv1.weight", 10_000) * 2**24
    assert np.all(values == np.round(values)) and np.all(values % 2 == 1)
    assert abs(values.mean()) < 2**24 * 0.02 and np.abs(values).max() < 2**24


def test_the_kind_of_a_weight_decides_its_range() -> None:
    gamma = recipe_tensor("p.", "norm.gamma", torch.Size([1000]))
    bias = recipe_tensor("p.", "conv.bias", torch.Size([1000]))
    weight = recipe_tensor("p.", "conv.weight", torch.Size([100, 3, 2, 2]))
    assert 0.8 < gamma.min() < gamma.max() < 1.2
    assert 0.09 < bias.abs().max() < 0.1
    assert 0.49 < weight.abs().max() < 0.5  # sqrt(3 / 12)


def test_tae_sums_after_the_adjustments() -> None:
    state = load_recipe(Tae(), "tae")
    encoder = sum(value.double().sum() for key, value in state.items() if key.startswith("encoder"))
    decoder = sum(
        value.double().abs().sum() for key, value in state.items() if key.startswith("decoder")
    )
    assert float(encoder) == pytest.approx(104.787401, abs=1e-6)
    assert float(decoder) == pytest.approx(179551.800488, abs=1e-6)


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(ValueError, match="light_tae"):
        recipe_state("light_tae", {})

"""The golden weight recipe: synthetic weights from integer arithmetic, the same bits everywhere.

Element i of a tensor comes from splitmix64 of CRC-32(prefix + key) * 2^32 + i. The golden files
name these weights `recipe:tae` and `recipe:wanvae` instead of storing them.
"""

import math
import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

# The TAE's last layer is damped and centred so that a decoded frame stays inside (0, 1).
_TAE_LAST_WEIGHT, _TAE_LAST_WEIGHT_FACTOR = "decoder.22.weight", 0.1
_TAE_LAST_BIAS, _TAE_LAST_BIAS_SHIFT = "decoder.22.bias", 0.5


def uniform(name: str, count: int) -> npt.NDArray[np.float64]:
    """`count` values in (-1, 1), odd multiples of 2^-24, determined by `name` alone."""
    start = np.uint64(zlib.crc32(name.encode()) << 32)
    z = start + np.arange(count, dtype=np.uint64)
    z += np.uint64(0x9E3779B97F4A7C15)  # unsigned array arithmetic wraps, as splitmix64 wants
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    top_24_bits = (z >> np.uint64(40)).astype(np.float64)
    values: npt.NDArray[np.float64] = (2.0 * top_24_bits + 1.0) / 2**24 - 1.0
    return values


def recipe_tensor(prefix: str, key: str, shape: torch.Size) -> Tensor:
    """One float32 weight: gamma around 1, a small bias, anything else scaled by its fan-in."""
    values = uniform(prefix + key, shape.numel())
    kind = key.rpartition(".")[2]
    if kind == "gamma":
        values = 1.0 + 0.2 * values
    elif kind == "bias":
        values = 0.1 * values
    else:
        values = values * math.sqrt(3.0 / math.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def recipe_state(name: str, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The whole state dict of `tae` or `wanvae` for the given shapes, in float32."""
    if name not in ("tae", "wanvae"):
        raise ValueError(f"no weight recipe is named '{name}'; there are 'tae' and 'wanvae'")
    state = {key: recipe_tensor(f"{name}.", key, shape) for key, shape in shapes.items()}
    if name == "tae":
        state[_TAE_LAST_WEIGHT] *= _TAE_LAST_WEIGHT_FACTOR
        state[_TAE_LAST_BIAS] += _TAE_LAST_BIAS_SHIFT
    return state


def load_recipe(module: nn.Module, name: str) -> dict[str, Tensor]:
    """Fills a module with the weights of recipe `name` and returns them in float32."""
    state = recipe_state(name, {key: value.shape for key, value in module.state_dict().items()})
    module.load_state_dict(state)
    return state

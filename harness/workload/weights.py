"""Weights: real checkpoints by their published names, or seeded random values of natural size.

Random weights keep activations finite and of order 1 over any number of chunks, because zeros and
NaNs run faster than data does.
"""

import math
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from harness.errors import WeightsError
from harness.workload.lora import LoraLinear

GENERATOR_FILE = "longlive_base.pt"
LORA_FILE = "lora.pt"
VACE_FILE = "Wan2_1-VACE_module_1_3B_bf16.safetensors"
TAE_FILE = "taew2_1.pth"
WAN_VAE_FILE = "Wan2.1_VAE.pth"
LORA_PREFIX = "base_model.model."
VACE_PREFIXES = ("vace_patch_embedding.", "vace_blocks.")

# Factors on 1/sqrt(fan_in), and plain deviations: gates and adapters stay well below 1, so that
# thirty residual blocks neither explode nor fade.
WEIGHT_GAIN = {"time_projection": 0.2, "lora_B": 0.3}
BIAS_STD = 0.02
NORM_STD = 0.1
MODULATION_STD = 0.2


def read_pickle(path: Path, entry: str | None, *, entry_required: bool = True) -> dict[str, Tensor]:
    """The tensors of a torch checkpoint, memory-mapped; `entry` names a dict inside it.

    Nothing in it is executed. Raises WeightsError where the file is missing, truncated, compressed,
    or holds something else.
    """
    _require(path)
    _check_stored(path)
    try:
        # Only torch's zip form can be mapped; an older file is read whole.
        mapped = zipfile.is_zipfile(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:
        # Broad on purpose: for damaged files torch raises ten kinds, AssertionError among them.
        raise WeightsError(
            f"checkpoint {path.name} is truncated or no torch checkpoint ({error})",
            next_step="download it again",
        ) from error
    if entry is not None and isinstance(content, dict):
        if entry in content:
            content = content[entry]
        elif entry_required:
            raise WeightsError(f"checkpoint {path.name} has no entry '{entry}'")
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise WeightsError(f"checkpoint {path.name} is not a dictionary of tensors")
    return content


def read_generator(folder: Path) -> dict[str, Tensor]:
    """The transformer's tensors without the prefix `model.`."""
    state = read_pickle(folder / GENERATOR_FILE, "generator")
    return {key.removeprefix("model."): value for key, value in state.items()}


def read_lora(folder: Path) -> dict[str, Tensor]:
    """The adapters' tensors by the names of `LoraLinear` modules inside the transformer."""
    state = read_pickle(folder / LORA_FILE, "generator_lora", entry_required=False)
    return lora_names(state)


def lora_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Adapter keys without the adapter library's prefix."""
    return {key.removeprefix(LORA_PREFIX): value for key, value in state.items()}


def read_vace(folder: Path) -> dict[str, Tensor]:
    """The VACE branch's tensors; a full checkpoint's other tensors are left alone."""
    path = folder / VACE_FILE
    _require(path)
    try:
        with safe_open(path, "pt") as file:
            keys = [key for key in file.keys() if key.startswith(VACE_PREFIXES)]  # noqa: SIM118
            return {key: file.get_tensor(key) for key in keys}
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"checkpoint {path.name} is truncated or no safetensors file ({error})",
            next_step="download it again",
        ) from error


def check_shapes(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str) -> None:
    """Raises WeightsError naming the first key that is missing, unknown or of another shape."""
    for key, want in expected.items():
        if key not in state:
            raise WeightsError(f"checkpoint {name} lacks '{key}'", next_step="download it again")
        if state[key].shape != want.shape:
            raise WeightsError(
                f"checkpoint {name}: '{key}' has shape {list(state[key].shape)}, "
                f"expected {list(want.shape)}",
                next_step="use the checkpoint of the preset's model",
            )
    for key in state:
        if key not in expected:
            raise WeightsError(
                f"checkpoint {name} has the unknown tensor '{key}'",
                next_step="use the checkpoint of the preset's model",
            )


def lora_state(module: nn.Module) -> dict[str, Tensor]:
    """The adapters' parameters of a module by their published names."""
    return {
        f"{path}.{side}.weight": getattr(layer, side).weight
        for path, layer in module.named_modules()
        if isinstance(layer, LoraLinear)
        for side in ("lora_A", "lora_B")
    }


def assign(parameters: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Copies values into parameters of the same names, casting to their dtype and device."""
    with torch.no_grad():
        for key, parameter in parameters.items():
            parameter.copy_(state[key])


def seed_parameters(parameters: Iterable[tuple[str, Tensor]], seed: int) -> None:
    """Fills parameters in place; each depends on its name and the seed alone, not on the order."""
    with torch.no_grad():
        for name, parameter in parameters:
            generator = torch.Generator(parameter.device)
            # 32 bits: the CPU's generator ignores the rest of a seed.
            generator.manual_seed(zlib.crc32(f"{seed}.{name}".encode()))
            noise = torch.randn(parameter.shape, generator=generator, device=parameter.device)
            mean, std = _distribution(name, parameter.shape)
            parameter.copy_(noise * std + mean)


def _distribution(name: str, shape: torch.Size) -> tuple[float, float]:
    """Mean and standard deviation of a parameter's seeded values."""
    if name.endswith("modulation"):
        return 0.0, MODULATION_STD
    if name.endswith("bias"):
        return 0.0, BIAS_STD
    if len(shape) == 1:
        return 1.0, NORM_STD
    gain = next((value for part, value in WEIGHT_GAIN.items() if part in name), 1.0)
    return 0.0, gain / math.sqrt(math.prod(shape[1:]))


def _check_stored(path: Path) -> None:
    """Refuses a packed archive: torch writes none, and a small one may unpack to any size."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            packed = any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist())
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"checkpoint {path.name} is truncated or no torch checkpoint ({error})",
            next_step="download it again",
        ) from error
    if packed:
        raise WeightsError(
            f"checkpoint {path.name} is a packed archive", next_step="use the published file"
        )


def _require(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(
            f"checkpoint {path.name} is missing in the weights folder",
            next_step="see README, 'Real checkpoints', for the five files",
        )

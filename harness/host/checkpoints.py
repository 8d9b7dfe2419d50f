"""A first look at a folder of checkpoints, before an image is built: is it there, is it whole?

Names, keys and shapes are checked by the measured process in the preflight, which knows them.
"""

import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

from harness.errors import WeightsError


def check_folder(folder: Path) -> None:
    """Raises WeightsError for a missing folder, one without checkpoints, or a truncated file."""
    if not folder.is_dir():
        raise WeightsError(f"weights folder '{folder}' not found", next_step="check --weights")
    files = sorted(path for path in folder.iterdir() if path.suffix in (".pth", ".pt"))
    tensors = sorted(folder.glob("*.safetensors"))
    if not files and not tensors:
        raise WeightsError(
            f"weights folder '{folder}' holds no checkpoint",
            next_step="give the folder with the published .pth, .pt and .safetensors files",
        )
    for path in [*files, *tensors]:
        _check_file(path)


def _check_file(path: Path) -> None:
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "numpy"):  # compares the header's sizes with the file's
                return
        with path.open("rb") as file:
            is_archive = file.read(2) == b"PK"
        # The directory of a zip archive is at its end: a truncated one has none.
        if is_archive and not zipfile.is_zipfile(path):
            raise OSError("no end of the archive")
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"checkpoint {path.name} is truncated or cannot be read ({error})",
            next_step="download it again",
        ) from error

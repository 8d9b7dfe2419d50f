import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.errors import WeightsError
from harness.host.checkpoints import check_folder


def checkpoints(folder: Path) -> Path:
    save_file({"weight": np.zeros(1000, np.float32)}, folder / "a.safetensors")
    with zipfile.ZipFile(folder / "b.pth", "w") as archive:
        archive.writestr("data.pkl", "x" * 1000)
    return folder


def test_whole_files_pass(tmp_path: Path) -> None:
    check_folder(checkpoints(tmp_path))


@pytest.mark.parametrize("name", ["a.safetensors", "b.pth"])
def test_a_truncated_file_is_named(tmp_path: Path, name: str) -> None:
    path = checkpoints(tmp_path) / name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=f"{name} is truncated"):
        check_folder(tmp_path)


def test_a_missing_or_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not found"):
        check_folder(tmp_path / "no")
    with pytest.raises(WeightsError, match="holds no checkpoint"):
        check_folder(tmp_path)

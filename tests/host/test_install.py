import hashlib
import os
import sys
from pathlib import Path

import pytest

from harness.host import install
from harness.host.image import DEFAULT_TORCH

LOCK = Path(__file__).parents[2] / "locks/container.txt"


def test_the_lock_s_requirements_keep_their_hashes() -> None:
    lines = install.requirements(LOCK.read_text())
    assert {install.distribution(line) for line in lines} == {
        "msgspec",
        "numpy",
        "nvidia-cudnn-frontend",
        "nvidia-ml-py",
        "safetensors",
    }
    assert all("--hash=sha256:" in line and "\n" not in line for line in lines)
    assert sum(install.distribution(line) == "numpy" for line in lines) == 3  # one a Python range


@pytest.mark.parametrize(
    ("requirement", "name"),
    [("Foo_Bar==1", "foo-bar"), ("a.b >= 2", "a-b"), ("c[d]==1", "c"), ("e ; x < '3'", "e")],
)
def test_names_are_normalised(requirement: str, name: str) -> None:
    assert install.distribution(requirement) == name


def test_what_is_new_enough_is_kept() -> None:
    kept = install.versions_to_keep("# floors\nmsgspec>=0.19\nnumpy>=999\nnot-there-at-all>=1\n")
    assert set(kept) == {"msgspec"}


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("2.13.0+cpu", (2, 13, 0)), ("12.560", (12, 560)), ("1.0rc1", (1, 0)), ("x", ())],
)
def test_release_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert install.release(version) == numbers


def test_a_local_wheel_is_hashed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch-2+cpu.whl").write_bytes(b"wheel")
    monkeypatch.setattr(install, "WHEELHOUSE", tmp_path)
    download = {"url": "file:///x/torch-2%2Bcpu.whl", "archive_info": {}}
    assert install.wheel_sha256(download) == hashlib.sha256(b"wheel").hexdigest()
    assert install.wheel_sha256({"url": "x", "archive_info": {"hashes": {"sha256": "ab"}}}) == "ab"


def test_the_lock_of_torchs_dependencies_is_for_the_torch_of_the_image() -> None:
    lines = install.requirements((LOCK.parent / "torch.txt").read_text())
    assert {"sympy", "networkx", "jinja2"} <= {install.distribution(line) for line in lines}
    assert install.LOCKED_TORCH == DEFAULT_TORCH


def test_ballast_is_removed_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "venv/lib/python3.11/site-packages"
    for name in ("torch/test/a", "torch/bin/test_api", "torch/bin/torch_shm_manager", "pip/main"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).touch()
    monkeypatch.setattr(install, "HOME", tmp_path)
    assert install.remove_ballast() == ["pip", "torch/bin/test_*", "torch/test"]
    left = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    assert left == {"torch/bin/torch_shm_manager"}


def test_files_bear_one_time_and_compiled_ones_depend_on_their_source_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []
    for name, time_s in (("a", 1_000_000_000), ("b", 1_500_000_000)):
        home = tmp_path / name
        (home / "site").mkdir(parents=True)
        (home / "site/module.py").write_text("x = 1\n")
        os.utime(home / "site/module.py", (time_s, time_s))
        monkeypatch.setattr(install, "HOME", home)
        monkeypatch.setattr(install, "SITE", home / "site")
        install.settle(sys.executable, 1767225600)
        assert {int(path.stat().st_mtime) for path in home.rglob("*")} == {1767225600}
        (file,) = (home / "site/__pycache__").iterdir()
        compiled.append(file.read_bytes()[:16])  # what it says of its source
    assert compiled[0] == compiled[1]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"license_expression": "BSD-3-Clause", "license": "x"}, "BSD-3-Clause"),
        ({"license": "MIT"}, "MIT"),
        ({"license": "Permission is hereby granted " * 9}, None),
        ({}, None),
    ],
)
def test_a_licence_is_a_name_and_no_text(metadata: dict[str, str], expected: str | None) -> None:
    assert install.licence(metadata) == expected

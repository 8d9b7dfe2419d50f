import hashlib
from pathlib import Path

import pytest

from harness.host import install

LOCK = Path(__file__).parents[2] / "locks/container.txt"


def test_the_lock_s_requirements_keep_their_hashes() -> None:
    lines = install.requirements(LOCK.read_text())
    assert {install.distribution(line) for line in lines} == {
        "msgspec",
        "numpy",
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

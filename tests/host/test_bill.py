"""harness.host.bill: the bill of materials follows the image's own record of its packages."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ImageBuildError, StorageError
from harness.host.bill import bill, packages_of, write_bill
from harness.host.engine import Engine
from harness.host.image import INSTALL_REPORT, Image
from harness.result import Fact
from tests.host.fake_api import FakeApi

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "docs/sbom-cpu.cdx.json"
IMAGE = Image(tag="vace-bench:1", facts={"image.base": Fact(value="base:1")}, environment={})
WHEEL = {"version": "1.2", "file": "a.whl", "sha256": "ab" * 32, "license": "MIT"}
REPORT: dict[str, Any] = {
    "torch": {
        "source": "wheel",
        "version": "2.13.0+cpu",
        "file": "torch.whl",
        "sha256": "cd" * 32,
        "license": None,
        "dependencies": {"sympy": WHEEL},
        "dependencies_locked": True,
    },
    "kept": {},
    "installed": {"numpy": WHEEL},
    "base_python": {},
    "python": "3.11.2",
    "release": {"ID": "debian", "VERSION_ID": "12"},
    "system": {"gcc": "4:12.2.0-3"},
    "removed": [],
}


def components(text: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(text)["components"]}


def test_every_package_is_named_with_its_hash_and_licence() -> None:
    found = components(bill(REPORT, "base:1"))
    assert set(found) == {"torch", "sympy", "numpy", "gcc"}
    assert found["torch"]["version"] == "2.13.0+cpu"
    assert found["torch"]["hashes"] == [{"alg": "SHA-256", "content": "cd" * 32}]
    assert found["numpy"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert found["gcc"]["purl"] == "pkg:deb/debian/gcc@4:12.2.0-3"


def test_a_kept_torch_is_among_the_base_s_packages() -> None:
    kept = copy.deepcopy(REPORT)
    kept["torch"] = {"source": "base image", "version": "2.11.0"}
    kept["base_python"] = {"torch": "2.11.0", "numpy": "2.0"}
    kept["installed"] = {}
    found = components(bill(kept, "base:1"))
    assert found["torch"]["version"] == "2.11.0"
    assert "hashes" not in found["torch"]


def test_the_same_packages_give_the_same_bytes_and_others_another_number() -> None:
    other = copy.deepcopy(REPORT)
    other["system"]["gcc"] = "4:13"
    first, again, changed = (bill(one, "base:1") for one in (REPORT, REPORT, other))
    assert first == again
    assert json.loads(first)["serialNumber"] != json.loads(changed)["serialNumber"]


def test_the_bill_is_written_from_an_image_that_does_not_run(tmp_path: Path) -> None:
    api = FakeApi(files={INSTALL_REPORT: json.dumps(REPORT).encode()})
    path = write_bill(Engine(api, is_local=True), IMAGE, tmp_path / "a" / "sbom.json")
    assert set(components(path.read_text())) == {"torch", "sympy", "numpy", "gcc"}
    assert "start" not in api.calls and api.calls[-1] == "remove c1"
    with pytest.raises(StorageError):
        write_bill(Engine(api, is_local=True), IMAGE, tmp_path)


def test_an_image_of_an_older_tree_has_none() -> None:
    with pytest.raises(ImageBuildError, match="no install report"):
        packages_of(Engine(FakeApi(), is_local=True), IMAGE)


def test_the_committed_bill_is_that_of_the_image(engine: Engine, image: Image) -> None:
    """Python's packages; those of the base image follow its distribution's updates."""
    now = components(bill(packages_of(engine, image), "base"))
    stored = components(COMMITTED.read_text())

    def python(found: dict[str, dict[str, Any]]) -> dict[str, str]:
        return {
            name: one["version"].partition("+")[0]
            for name, one in found.items()
            if one["purl"].startswith("pkg:pypi/")
        }

    assert python(now) == python(stored)
    assert any(one["purl"].startswith("pkg:deb/debian/gcc") for one in stored.values())

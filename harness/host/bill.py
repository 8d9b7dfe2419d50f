"""`invoke sbom`: the bill of materials of an image, in CycloneDX, from what its build wrote down.

The same image gives the same bytes: the serial number follows its packages, and the time is the one
that its files bear. It needs the development packages.
"""

import datetime
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ImageBuildError, StorageError, UsageError
from harness.host.archives import only_file
from harness.host.engine import Engine
from harness.host.image import INSTALL_REPORT, Image
from harness.host.leftovers import labels

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

EPOCH_S = 1767225600  # the Dockerfile's SOURCE_DATE_EPOCH


def write_bill(engine: Engine, image: Image, target: Path) -> Path:
    """Writes the bill of an image and returns its path. Raises HarnessError."""
    text = bill(packages_of(engine, image), str(image.facts["image.base"].value))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    except OSError as error:
        raise StorageError(f"{target} cannot be written ({error.strerror})") from error
    return target


def packages_of(engine: Engine, image: Image) -> dict[str, Any]:
    """The install report of an image; nothing in it is run."""
    container = engine.create({"image": image.tag, "labels": labels("sbom")}, {})
    try:
        stream = engine.get(container, INSTALL_REPORT)
        blob = None if stream is None else only_file(stream)
    finally:
        engine.remove(container)
    if blob is None:
        raise ImageBuildError(
            f"image {image.tag} has no install report", next_step="run `invoke build`"
        )
    return dict(json.loads(blob))


def bill(report: dict[str, Any], base: str) -> str:
    """CycloneDX JSON of an install report. Raises UsageError without the library."""
    try:
        from cyclonedx.model.bom import Bom, BomMetaData
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output import make_outputter
        from cyclonedx.schema import OutputFormat, SchemaVersion
    except ImportError as error:
        raise UsageError(
            "a bill of materials needs cyclonedx-python-lib",
            next_step="pip install --require-hashes -r locks/dev.txt",
        ) from error
    made = datetime.datetime.fromtimestamp(EPOCH_S, datetime.timezone.utc)
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(report, sort_keys=True))
    image = Component(
        name="vace-bench",
        type=ComponentType.CONTAINER,
        bom_ref="vace-bench",
        description=f"on {base}",
    )
    parts = [*_python(report), *_base_python(report), *_system(report)]
    content = Bom(
        components=parts,
        serial_number=serial,
        metadata=BomMetaData(component=image, timestamp=made),
    )
    content.register_dependency(image, parts)
    text = make_outputter(content, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    return f"{text}\n"


def _python(report: dict[str, Any]) -> Iterator["Component"]:
    """What was installed, each wheel with its hash."""
    torch = report["torch"]
    installed = {**torch.get("dependencies", {}), **report["installed"]}
    if torch["source"] == "wheel":
        installed["torch"] = torch
    for name, package in sorted(installed.items()):
        yield _component("pypi", name, package["version"], package["sha256"], package["license"])


def _base_python(report: dict[str, Any]) -> Iterator["Component"]:
    """What the base image's interpreter has, where it was kept; nobody knows its wheels."""
    for name, version in sorted(report["base_python"].items()):
        yield _component("pypi", name.lower(), version)


def _system(report: dict[str, Any]) -> Iterator["Component"]:
    """Packages of the base's distribution."""
    release = report["release"]
    for name, version in sorted(report["system"].items()):
        yield _component("deb", name, version, namespace=release.get("ID", "linux"))


def _component(
    kind: str,
    name: str,
    version: str,
    sha256: str | None = None,
    licence: str | None = None,
    *,
    namespace: str | None = None,
) -> "Component":
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    purl = PackageURL(kind, namespace, name, version)
    return Component(
        name=name,
        version=version,
        bom_ref=purl.to_string(),
        purl=purl,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else [],
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
    )

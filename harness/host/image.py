"""The image: its context put together in memory, built with streamed progress, found again.

The tag is a hash of everything that goes in (Dockerfile, sources, lock, wheels, base image id), so
an unchanged tree is never built twice. A digest is only ever what the engine reports.
"""

import hashlib
import io
import re
import tarfile
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.errors import HarnessError, ImageBuildError, UsageError
from harness.host.digest import file_sha256
from harness.host.engine import Engine
from harness.result import Fact

REPOSITORY = "vace-bench"
BUILD_LABEL = "vace-bench.build"  # of every layer, so that builds that broke off are found
LOCK = "locks/container.txt"
LOCK_INPUT = "locks/container.in"
TORCH_LOCK = "locks/torch.txt"
DEFAULT_BASE = "nvidia/cuda:13.0.2-base-ubuntu24.04"  # the Dockerfile's own default
DEFAULT_TORCH = "torch==2.13.0"
INSTALL_REPORT = "/opt/vace-bench/install.json"  # what the build found and installed
LAST_LINES = 15

ANSI = re.compile(r"\x1b\[[0-9;]*m")
NOISE = re.compile(r"\s*$| ---> |Removing intermediate container ")

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """What the image is made of."""

    base_image: str = DEFAULT_BASE
    torch: str = DEFAULT_TORCH  # a requirement, or "keep" what the base image has
    wheelhouse: Path | None = None
    ca_bundle: Path | None = None
    offline: bool = False  # the build reaches no network: all wheels come from the wheelhouse

    def validate(self) -> None:
        """Raises UsageError for a folder or file that is not there."""
        if self.wheelhouse is not None and not self.wheelhouse.is_dir():
            raise UsageError(
                f"wheelhouse {self.wheelhouse} is no folder", next_step="make it with pip download"
            )
        if self.ca_bundle is not None and not self.ca_bundle.is_file():
            raise UsageError(f"CA bundle {self.ca_bundle} is no file", next_step="check the path")
        if self.torch != "keep" and not self.torch.startswith("torch"):
            raise UsageError(
                f"torch '{self.torch}' is no requirement of torch",
                next_step=f"write {DEFAULT_TORCH} or keep",
            )

    def wheels(self) -> list[Path]:
        """The wheelhouse's wheels in order of name."""
        return sorted(self.wheelhouse.glob("*.whl")) if self.wheelhouse else []


@dataclass(frozen=True, kw_only=True)
class Image:
    """A built image with what a record says about it."""

    tag: str
    facts: dict[str, Fact]
    environment: dict[str, str]


def ensure_image(engine: Engine, project: Path, options: ImageOptions, say: Say) -> Image:
    """The image of this tree and these options, built only if the engine has none.

    Raises ImageBuildError with the build's last lines.
    """
    if engine.image(options.base_image) is None:
        _pull(engine, options.base_image, say)
    built = find_image(engine, project, options)
    if built is not None:
        say(f"image {built.tag} is up to date")
        return built
    _build(engine, project, options, say)
    built = find_image(engine, project, options)
    if built is None:
        raise ImageBuildError("the build ended without an image", next_step="run `invoke doctor`")
    return built


def find_image(engine: Engine, project: Path, options: ImageOptions) -> Image | None:
    """The image of this tree and these options, if it and its base image are there."""
    base = engine.image(options.base_image)
    if base is None:
        return None
    tag = image_tag(project, options, str(base["Id"]))
    built = engine.image(tag)
    if built is None:
        return None
    return Image(
        tag=tag,
        facts={
            "image.id": Fact(value=str(built["Id"])),
            "image.base": Fact(value=public_name(options.base_image)),
            "image.base_digest": base_digest(base),
            "image.base_id": Fact(value=str(base["Id"])),
            "image.lock_sha256": Fact(value=file_sha256(project / LOCK)),
            "image.torch_requirement": Fact(value=options.torch),
        },
        environment=_environment(built),
    )


def context_files(project: Path) -> list[Path]:
    """The tree's files that go into the context, relative and in order."""
    patterns = ["harness/*.py"]
    patterns += [f"harness/{package}/**/*.py" for package in ("analysis", "workload", "measure")]
    found = {path for pattern in patterns for path in project.glob(pattern)}
    others = ("Dockerfile", LOCK, LOCK_INPUT, TORCH_LOCK, "harness/host/install.py")
    found |= {project / name for name in others}
    missing = [path.name for path in found if not path.is_file()]
    if missing:
        raise ImageBuildError(
            f"{', '.join(sorted(missing))} not found beside harness/",
            next_step="run from a checkout of the project",
        )
    return sorted(path.relative_to(project) for path in found)


def image_tag(project: Path, options: ImageOptions, base_id: str) -> str:
    """A tag that changes with anything that could change what runs."""
    files = context_files(project)
    digest = hashlib.sha256()
    settings = (base_id, options.torch, str(options.offline))
    for text in (*settings, *(f"{name}:{file_sha256(project / name)}" for name in files)):
        digest.update(text.encode() + b"\0")
    for wheel in options.wheels():
        digest.update(f"{wheel.name}:{file_sha256(wheel)}".encode() + b"\0")
    return f"{REPOSITORY}:{digest.hexdigest()[:12]}"


def write_context(project: Path, options: ImageOptions, target: IO[bytes]) -> None:
    """The build context as a tar; owners and times are left out so that layers can be reused."""

    def plain(item: tarfile.TarInfo) -> tarfile.TarInfo:
        item.uid = item.gid = 0
        item.uname = item.gname = ""
        item.mtime = 0
        item.mode = 0o755 if item.isdir() else 0o644
        return item

    with tarfile.open(fileobj=target, mode="w") as archive:
        for name in context_files(project):
            archive.add(project / name, str(name), filter=plain)
        folder = tarfile.TarInfo("wheelhouse")
        folder.type = tarfile.DIRTYPE
        archive.addfile(plain(folder))
        for wheel in options.wheels():
            archive.add(wheel.resolve(), f"wheelhouse/{wheel.name}", filter=plain)
        bundle = options.ca_bundle.read_bytes() if options.ca_bundle else b""
        item = tarfile.TarInfo("ca-bundle.pem")
        item.size = len(bundle)
        archive.addfile(plain(item), io.BytesIO(bundle))


def base_digest(base: dict[str, Any]) -> Fact:
    """The base image's digest as the engine reports it, or why it reports none."""
    digests = sorted(str(name).rpartition("@")[2] for name in base.get("RepoDigests") or [])
    if digests:
        return Fact(value=digests[0])
    return Fact(
        value=None,
        reason="the engine reports no digest: the image was imported or built here, not pulled",
    )


def public_name(image: str) -> str:
    """An image's name without the host name of its registry, which may be private."""
    first, slash, rest = image.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return f"<registry>/{rest}" if is_host else image


def remove_images(engine: Engine) -> list[str]:
    """Removes every image of the project, and what builds left without a tag; says which."""
    tags = [str(tag) for item in engine.images(REPOSITORY) for tag in item["RepoTags"] or []]
    for tag in tags:
        engine.remove_image(tag)
    freed_bytes = engine.prune_images(BUILD_LABEL)
    return [*tags, f"{freed_bytes >> 20} MiB of images without a tag"]


def _pull(engine: Engine, name: str, say: Say) -> dict[str, Any]:
    say(f"pulling base image {name}")
    seen: set[str] = set()
    try:
        for message in engine.pull(name):
            if "error" in message:
                raise ImageBuildError(str(message["error"]))
            status = str(message.get("status", ""))
            if status not in seen and "progressDetail" not in message:
                seen.add(status)
                say(f"  {status}")
    except HarnessError as error:
        raise ImageBuildError(
            f"base image {name} cannot be pulled ({error.what})",
            next_step="check the name and the network, or give one the engine has with "
            "--base-image",
        ) from error
    image = engine.image(name)
    if image is None:
        raise ImageBuildError(f"base image {name} is not there after its pull")
    return image


def _build(engine: Engine, project: Path, options: ImageOptions, say: Say) -> None:
    base = engine.image(options.base_image) or {}
    tag = image_tag(project, options, str(base.get("Id")))
    say(f"building image {tag} on {options.base_image}")
    arguments = {
        "BASE_IMAGE": options.base_image,
        "TORCH": options.torch,
        "OFFLINE": "1" if options.offline else "0",
    }
    # The host's network also serves engines that run without a bridge.
    network = "none" if options.offline else "host"
    last: deque[str] = deque(maxlen=LAST_LINES)
    with tempfile.TemporaryFile() as context:
        write_context(project, options, context)
        context.seek(0)
        for line, is_error in _lines(engine.build(context, tag, arguments, network)):
            if is_error:
                raise ImageBuildError(
                    f"the image could not be built: {line}. Last lines: {' | '.join(last)}",
                    next_step="fix the step that failed and run `invoke build`",
                )
            last.append(line)
            say(f"  {line}")


def _lines(messages: Iterator[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    """The build's messages as (line, is it the final error)."""
    rest = ""
    for message in messages:
        if "error" in message:
            yield " ".join(str(message["error"]).split()), True
            return
        rest += ANSI.sub("", str(message.get("stream", "")))
        *whole, rest = rest.split("\n")
        yield from ((line.rstrip()[:160], False) for line in whole if not NOISE.match(line))


def _environment(image: dict[str, Any]) -> dict[str, str]:
    pairs = (image.get("Config") or {}).get("Env") or []
    return {name: value for name, _, value in (str(pair).partition("=") for pair in pairs)}

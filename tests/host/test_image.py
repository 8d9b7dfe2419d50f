import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ImageBuildError, UsageError
from harness.host.containers import DockerRunner
from harness.host.engine import Engine
from harness.host.image import (
    Image,
    ImageOptions,
    base_digest,
    ensure_image,
    find_image,
    image_tag,
    public_name,
    write_context,
)
from harness.job import PreflightRequest
from tests.host.fake_api import FakeApi

OPTIONS = ImageOptions(base_image="base:1")
LOCAL = {"Id": "sha256:b1", "RepoDigests": []}


def quiet(line: str) -> None:
    pass


def test_the_image_is_built_once(project: Path) -> None:
    api = FakeApi(images_by_name={"base:1": LOCAL})
    engine = Engine(api, is_local=True)
    lines: list[str] = []
    first = ensure_image(engine, project, OPTIONS, lines.append)
    assert ensure_image(engine, project, OPTIONS, lines.append) == first
    assert [call for call in api.calls if call.startswith("build")] == [f"build {first.tag}"]
    assert api.built_arguments == {
        "BASE_IMAGE": "base:1",
        "TORCH": "torch==2.13.0",
        "OFFLINE": "0",
    }
    assert first.facts["image.id"].value == "sha256:built"
    assert first.environment == {"A": "b=c"}
    assert "up to date" in lines[-1]


def test_progress_is_readable(project: Path) -> None:
    messages = [
        {"stream": "Step 1/2 : FROM base:1\n"},
        {"stream": " ---> 1234\n"},
        {"stream": "\x1b[91mCollecting "},
        {"stream": "torch\n\x1b[0m"},
    ]
    api = FakeApi(images_by_name={"base:1": LOCAL}, build_messages=messages)
    lines: list[str] = []
    ensure_image(Engine(api, is_local=True), project, OPTIONS, lines.append)
    assert lines[1:] == ["  Step 1/2 : FROM base:1", "  Collecting torch"]


def test_a_failing_build_shows_its_last_lines(project: Path) -> None:
    messages = [{"stream": f"line {number}\n"} for number in range(40)]
    messages.append({"error": "The command 'pip install' returned a non-zero code: 1"})
    api = FakeApi(images_by_name={"base:1": LOCAL}, build_messages=messages)
    with pytest.raises(ImageBuildError) as caught:
        ensure_image(Engine(api, is_local=True), project, OPTIONS, quiet)
    assert "non-zero code: 1" in caught.value.line
    assert "line 39" in caught.value.line
    assert "line 3 " not in caught.value.line


def test_the_base_is_pulled_only_if_absent(project: Path) -> None:
    api = FakeApi()
    image = ensure_image(Engine(api, is_local=True), project, OPTIONS, quiet)
    assert api.calls[0] == "pull base:1"
    assert image.facts["image.base_digest"].value == "sha256:d1"


def test_a_base_that_cannot_be_pulled_is_named(project: Path) -> None:
    api = FakeApi(pull_messages=[{"error": "manifest unknown"}])
    with pytest.raises(ImageBuildError, match=r"base:1 cannot be pulled \(manifest unknown"):
        ensure_image(Engine(api, is_local=True), project, OPTIONS, quiet)


def test_a_digest_is_the_engine_s_or_null_with_a_reason() -> None:
    assert base_digest({"RepoDigests": ["r:5/x@sha256:aa"]}).value == "sha256:aa"
    unknown = base_digest({"RepoDigests": None})
    assert unknown.value is None
    assert "reports no digest" in str(unknown.reason)


def test_the_tag_follows_what_goes_in(project: Path, tmp_path: Path) -> None:
    tags = [image_tag(project, OPTIONS, "sha256:b1"), image_tag(project, OPTIONS, "sha256:b2")]
    tags.append(image_tag(project, replace(OPTIONS, torch="keep"), "sha256:b1"))
    (tmp_path / "a-1.whl").write_bytes(b"a")
    with_wheel = replace(OPTIONS, wheelhouse=tmp_path)
    tags.append(image_tag(project, with_wheel, "sha256:b1"))
    (tmp_path / "a-1.whl").write_bytes(b"b")
    tags.append(image_tag(project, with_wheel, "sha256:b1"))
    assert len(set(tags)) == 5
    assert tags[0] == image_tag(project, OPTIONS, "sha256:b1")


def test_the_context_holds_what_measuring_needs(project: Path, tmp_path: Path) -> None:
    (tmp_path / "a-1.whl").write_bytes(b"wheel")
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificate")
    target = io.BytesIO()
    write_context(project, replace(OPTIONS, wheelhouse=tmp_path, ca_bundle=bundle), target)
    target.seek(0)
    with tarfile.open(fileobj=target) as archive:
        names = set(archive.getnames())
        content = archive.extractfile("ca-bundle.pem")
        assert content is not None and content.read() == b"certificate"
    assert {
        "Dockerfile",
        "wheelhouse/a-1.whl",
        "harness/job.py",
        "harness/measure/session.py",
    } <= names
    assert {name for name in names if name.startswith("harness/host")} == {
        "harness/host/install.py"
    }
    assert not any(name.startswith(("harness/report", "tests", "reports")) for name in names)


def test_options_are_checked_before_anything_is_built(tmp_path: Path) -> None:
    for bad in (
        ImageOptions(wheelhouse=tmp_path / "no"),
        ImageOptions(ca_bundle=tmp_path),
        ImageOptions(torch="numpy"),
    ):
        with pytest.raises(UsageError):
            bad.validate()


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("nvidia/cuda:13.0.2-base-ubuntu24.04", "nvidia/cuda:13.0.2-base-ubuntu24.04"),
        ("registry.example/nvidia/cuda:13", "<registry>/nvidia/cuda:13"),
        ("registry.example:5000/team/base:1", "<registry>/team/base:1"),
        ("local/base:bookworm", "local/base:bookworm"),
    ],
)
def test_private_registries_are_not_named(name: str, public: str) -> None:
    assert public_name(name) == public


def test_the_real_image_is_found_again(
    engine: Engine, project: Path, image: Image, image_options: ImageOptions
) -> None:
    assert find_image(engine, project, image_options) == image
    assert str(image.facts["image.id"].value).startswith("sha256:")


def test_a_real_build_that_fails_shows_why(
    engine: Engine, project: Path, image_options: ImageOptions, tmp_path: Path
) -> None:
    """No network and no wheels: pip has nowhere to take anything from."""
    options = replace(image_options, wheelhouse=tmp_path, offline=True)
    with pytest.raises(ImageBuildError, match="No matching distribution found for"):
        ensure_image(engine, project, options, quiet)


def test_keep_needs_a_torch_to_keep(
    engine: Engine, project: Path, image_options: ImageOptions
) -> None:
    options = replace(image_options, torch="keep", wheelhouse=None, offline=True)
    with pytest.raises(ImageBuildError, match=r"of the base image has no torch"):
        ensure_image(engine, project, options, quiet)


def test_keep_takes_what_the_base_image_has(engine: Engine, project: Path, image: Image) -> None:
    """A base whose PATH begins with its own environment; nothing is installed, no network."""
    base, context = "vace-bench:test-keep-base", io.BytesIO()
    dockerfile = f"FROM {image.tag}\nUSER root\nENV PATH=/opt/vace-bench/venv/bin:$PATH\n"
    with tarfile.open(fileobj=context, mode="w") as archive:
        item = tarfile.TarInfo("Dockerfile")
        item.size = len(dockerfile)
        archive.addfile(item, io.BytesIO(dockerfile.encode()))
    context.seek(0)
    list(engine.build(context, base, {}, "none"))
    options = ImageOptions(base_image=base, torch="keep", offline=True)
    kept = ensure_image(engine, project, options, quiet)
    try:
        runner = DockerRunner(engine=engine, image=kept, run_id="test-keep")
        assert runner.preflight(PreflightRequest(cases=[])).problems == []
        facts = runner.facts()
        assert facts["torch.source"].value == "base image"
        assert "sageattention 1.0.6" in str(facts["image.kept_packages"].value)
    finally:
        engine.remove_image(kept.tag)
        engine.remove_image(base)

"""Fixtures of the host side: a copy of the project, and the container engine where there is one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EngineError
from harness.host.engine import Engine, connect
from harness.host.image import Image, ImageOptions, ensure_image

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = os.environ.get("VACE_BENCH_REQUIRE_DOCKER") == "1"

Invoke = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses the engine is marked `docker`."""
    for item in items:
        if "engine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.docker)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine, or a skip; a failure where the engine is required."""
    try:
        return connect()
    except EngineError as error:
        if REQUIRED:
            pytest.fail(f"VACE_BENCH_REQUIRE_DOCKER=1, but {error.line}")
        pytest.skip(error.line)


@pytest.fixture(scope="session")
def image_options(engine: Engine) -> ImageOptions:
    """What the test image is made of: a local base, and torch from a wheelhouse."""
    base = os.environ.get("VACE_BENCH_TEST_BASE", "local/base:bookworm")
    wheelhouse = os.environ.get("VACE_BENCH_TEST_WHEELHOUSE")
    bundle = os.environ.get("VACE_BENCH_TEST_CA_BUNDLE")
    if engine.image(base) is None or wheelhouse is None:
        reason = "needs VACE_BENCH_TEST_WHEELHOUSE and the base image VACE_BENCH_TEST_BASE"
        if REQUIRED:
            pytest.fail(reason)
        pytest.skip(reason)
    return ImageOptions(
        base_image=base,
        wheelhouse=Path(wheelhouse),
        ca_bundle=Path(bundle) if bundle else None,
    )


@pytest.fixture(scope="session")
def image_arguments(image_options: ImageOptions) -> list[str]:
    """The same as options of `invoke bench`."""
    arguments = ["--base-image", image_options.base_image]
    arguments += ["--wheelhouse", str(image_options.wheelhouse)]
    if image_options.ca_bundle:
        arguments += ["--ca-bundle", str(image_options.ca_bundle)]
    return arguments


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the program needs, so that no test writes into the checkout."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("tasks.py", "Dockerfile", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    for name in ("harness", "locks", "templates"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / ".vace-bench-commit").write_text("0123456789abcdef" * 2 + "01234567 clean\n")
    return copy


@pytest.fixture(scope="session")
def image(engine: Engine, project: Path, image_options: ImageOptions) -> Image:
    """The project's image, built if this tree has none yet."""
    return ensure_image(engine, project, image_options, print)


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """An environment whose configuration and state lie in the test's folder."""
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
    return environment | {
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def invoke(project: Path, surroundings: dict[str, str]) -> Iterator[Invoke]:
    """`invoke ...` in the copy of the project, as a user runs it."""

    def run(*arguments: str, **changes: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "invoke", *arguments],
            cwd=changes.pop("cwd", project),
            env=surroundings | changes.pop("env", {}),
            capture_output=True,
            text=True,
            timeout=600,
        )

    yield run
    shutil.rmtree(project / "reports", ignore_errors=True)

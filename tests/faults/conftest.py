"""Fixtures of the fault suite: the engine and its image as the host's tests have them."""

import os
from collections.abc import Iterator

import pytest

from harness.host.engine import Engine
from harness.host.image import Image
from tests.faults.__main__ import undisturbed_s
from tests.faults.private_engine import PrivateEngine, why_not
from tests.faults.stage import Stage
from tests.host.conftest import (  # noqa: F401 fixtures are found by their names
    engine,
    image,
    image_arguments,
    image_options,
    project,
    pytest_collection_modifyitems,
)

VARIABLE = "VACE_BENCH_FAULT_MOMENTS"
MOMENTS = int(os.environ.get(VARIABLE, "0"))  # of each kill: whole benches, so only when asked for
CASES = 2


@pytest.fixture(scope="session")
def asked_for() -> None:
    """Skips what takes minutes unless it is asked for, as CI does."""
    if not MOMENTS:
        pytest.skip(f"starts whole benches; set {VARIABLE}=2 to inject faults into them")


@pytest.fixture(scope="session")
def local_stage(asked_for: None, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Faults of local runs."""
    return Stage(tmp_path_factory.mktemp("local"), played=True)


@pytest.fixture(scope="session")
def docker_stage(
    asked_for: None,
    tmp_path_factory: pytest.TempPathFactory,
    engine: Engine,  # noqa: F811
    image: Image,  # noqa: F811 built once for all
    image_arguments: list[str],  # noqa: F811
) -> Stage:
    """Faults of runs in containers, on whatever engine there is: only their own are touched."""
    folder = tmp_path_factory.mktemp("docker")
    return Stage(folder, played=True, engine=engine, image_arguments=image_arguments)


@pytest.fixture(scope="session")
def private_stage(docker_stage: Stage, image: Image) -> Iterator[Stage]:  # noqa: F811
    """Faults of an engine of our own; only behind the switch."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    assert docker_stage.engine is not None
    private = PrivateEngine(docker_stage.folder / "engine")
    try:
        private.start()
        private.load(docker_stage.engine, str(image.facts["image.base"].value))
        private.load(docker_stage.engine, image.tag)
        docker_stage.private = private
        yield docker_stage
    finally:
        private.close()


@pytest.fixture(scope="session")
def local_run_s(local_stage: Stage) -> float:
    """How long a local run takes that nothing happens to; it leaves nothing either."""
    return undisturbed_s(local_stage, "local", real=False, cases=CASES)


@pytest.fixture(scope="session")
def docker_run_s(docker_stage: Stage) -> float:
    """The same in containers."""
    return undisturbed_s(docker_stage, "docker", real=False, cases=CASES)

from dataclasses import replace
from typing import Any

import pytest

from harness.errors import DeviceError, EngineError
from harness.host.choice import Surroundings, choose, look
from harness.host.engine import Engine
from harness.host.gpu import NoWay, Way
from harness.host.options import BenchOptions
from harness.host.plan import gpu_name
from tests.host.fake_api import FakeApi
from tests.host.trees import FIRST_INSTANCE, SECOND_INSTANCE, SECOND_UUID, UUID, smi

ENGINE = Engine(FakeApi(), is_local=True)
WAY = Way(name="cdi", reason="the engine says so", host_settings={})
NO_ENGINE = EngineError("the container engine cannot be reached")


def around(**changes: Any) -> Surroundings:
    """A host with an engine, a GPU and its driver."""
    fields = {"engine": ENGINE, "engine_error": None, "way": WAY, "driver": "580.65.06"}
    return Surroundings(**(fields | changes))


BARE = around(engine=None, engine_error=NO_ENGINE, way=NoWay("no engine"), driver=None)
NO_GPU = around(way=NoWay("no NVIDIA driver is loaded"), driver=None)
NO_TOOLKIT = around(way=NoWay("no CDI devices"))


@pytest.mark.parametrize(
    ("runtime", "device", "here", "chosen", "reason"),
    [
        ("auto", "auto", around(), ("docker", "cuda", "full"), "an engine and a GPU answer"),
        ("auto", "cuda", around(), ("docker", "cuda", "full"), "cdi"),
        ("auto", "cpu", around(), ("local", "cpu", "tiny"), "--device cpu"),
        ("auto", "auto", NO_GPU, ("local", "cpu", "tiny"), "no NVIDIA driver is loaded"),
        ("auto", "auto", NO_TOOLKIT, ("local", "cuda", "full"), "no CDI devices"),
        ("auto", "auto", BARE, ("local", "cpu", "tiny"), "no container engine answers"),
        ("docker", "cpu", NO_GPU, ("docker", "cpu", "tiny"), "--runtime docker"),
        ("docker", "auto", NO_GPU, ("docker", "cpu", "tiny"), "no GPU can be reached"),
        ("docker", "auto", around(), ("docker", "cuda", "full"), "--runtime docker"),
        ("local", "auto", around(), ("local", "cuda", "full"), "--runtime local"),
        ("local", "cpu", around(), ("local", "cpu", "tiny"), "--runtime local"),
    ],
)
def test_choice(
    runtime: Any, device: Any, here: Surroundings, chosen: tuple[str, ...], reason: str
) -> None:
    choice = choose(runtime, device, here)
    assert (choice.runtime, choice.device, choice.preset) == chosen
    assert reason.replace("an engine", "a container engine") in choice.reason
    assert (choice.engine is not None) == (choice.runtime == "docker")
    assert (choice.way is not None) == (chosen[:2] == ("docker", "cuda"))


@pytest.mark.parametrize(
    ("runtime", "device", "here", "error"),
    [
        ("docker", "auto", BARE, EngineError),
        ("docker", "cuda", NO_GPU, DeviceError),
        ("auto", "cuda", NO_GPU, DeviceError),
        ("local", "cuda", BARE, DeviceError),
    ],
)
def test_what_cannot_be_had_is_an_error(
    runtime: Any, device: Any, here: Surroundings, error: type[Exception]
) -> None:
    with pytest.raises(error):
        choose(runtime, device, here)


SPLIT = around(way=NoWay("has no instance"), unusable="GPU 0 is in MIG mode and has no instance")


@pytest.mark.parametrize("runtime", ["auto", "local"])
def test_a_gpu_that_cannot_compute_is_not_taken_for_one(runtime: Any) -> None:
    choice = choose(runtime, "auto", SPLIT)
    assert (choice.runtime, choice.device) == ("local", "cpu")
    assert "has no instance" in choice.reason
    with pytest.raises(DeviceError, match="no GPU: GPU 0 is in MIG mode and has no instance"):
        choose("local", "cuda", SPLIT)


@pytest.mark.parametrize("runtime", ["auto", "local", "docker"])
@pytest.mark.parametrize("here", [NO_GPU, SPLIT])
def test_a_gpu_that_is_named_is_not_replaced_by_the_cpu(runtime: Any, here: Surroundings) -> None:
    named = replace(here, gpu="1")
    with pytest.raises(DeviceError, match=r"--gpu 1 cannot be had \(.+\)"):
        choose(runtime, "auto", named)
    assert choose(runtime, "cpu", named).device == "cpu"


@pytest.mark.parametrize("gpu", [None, "0", UUID, FIRST_INSTANCE])
def test_the_only_instance_has_one_name_however_it_is_asked_for(gpu: str | None) -> None:
    two = smi("mig-two")
    one = replace(two, instances=two.instances[:1])
    choice = choose("auto", "auto", around(gpu=gpu, smi=one))
    assert gpu_name(choice, BenchOptions(gpu=gpu)) == FIRST_INSTANCE


def test_instances_of_one_gpu_and_the_gpu_beside_them_have_names_of_their_own() -> None:
    asked = (FIRST_INSTANCE, SECOND_INSTANCE, SECOND_UUID)
    choices = [choose("auto", "auto", around(gpu=gpu, smi=smi("mig-two"))) for gpu in asked]
    names = [
        gpu_name(choice, BenchOptions(gpu=gpu)) for choice, gpu in zip(choices, asked, strict=True)
    ]
    assert names == list(asked)


def test_looking_around_without_an_engine_keeps_the_reason(tmp_path: Any) -> None:
    found = look("1", {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}, tmp_path)
    assert found.engine is None
    assert found.driver is None
    assert found.gpu == "1"
    assert found.engine_error is not None and "cannot be reached" in found.engine_error.line

"""Where a run happens: container or local process, GPU or CPU. The reason is printed and recorded.

`auto` takes a container if an engine and a usable GPU answer, else a local process on the best
device.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness.errors import DeviceError, EngineError
from harness.host.engine import Engine, connect
from harness.host.gpu import NoWay, Way, driver_version
from harness.host.nvidia_smi import NO_SMI, Smi, ask
from harness.host.ways import Wanted, find_wanted, find_way, why_unusable
from harness.matrix import Device, PresetName

RuntimeName = Literal["docker", "local"]
Auto = Literal["auto"]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What this host offers."""

    engine: Engine | None
    engine_error: EngineError | None  # why there is no engine
    way: Way | NoWay
    driver: str | None
    unusable: str | None = None  # why no program of this host can use the GPU, driver or not
    gpu: str | None = None  # as asked for
    smi: Smi = NO_SMI  # what nvidia-smi says here
    root: Path = Path("/")

    @property
    def instance(self) -> str | None:
        """UUID of the MIG instance that is meant: the one named, or the only one of its GPU."""
        wanted = find_wanted(self.gpu, self.smi)
        instance = wanted.instance if isinstance(wanted, Wanted) else None
        return instance.uuid if instance else None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Where the cases run. `engine` is set for docker, `way` for docker with a GPU."""

    runtime: RuntimeName
    device: Device
    reason: str
    engine: Engine | None = None
    way: Way | None = None
    driver: str | None = None  # of the GPU's host, where that is this one
    instance: str | None = None  # UUID of the MIG instance, where nvidia-smi here lists it

    @property
    def preset(self) -> PresetName:
        """The preset that `auto` stands for."""
        return "full" if self.device == "cuda" else "tiny"


def look(
    gpu: str | None, environment: Mapping[str, str] = os.environ, root: Path = Path("/")
) -> Surroundings:
    """Asks the engine, nvidia-smi, the kernel module and the device nodes; starts nothing."""
    smi = ask(root)
    engine, engine_error = None, None
    way: Way | NoWay = NoWay("no container engine answers")
    try:
        engine = connect(environment)
        way = find_way(engine.information(), is_local=engine.is_local, gpu=gpu, root=root, smi=smi)
    except EngineError as error:
        engine, engine_error = None, error
    return Surroundings(
        engine=engine,
        engine_error=engine_error,
        way=way,
        driver=driver_version(root) or smi.driver,
        unusable=why_unusable(gpu, smi),
        gpu=gpu,
        smi=smi,
        root=root,
    )


def choose(
    runtime: RuntimeName | Auto,
    device: Device | Auto,
    around: Surroundings,
    *,
    asked: str = "--runtime docker",
) -> Choice:
    """Settles runtime and device. Raises EngineError or DeviceError if they cannot be had.

    A GPU that was asked for is one of them: the CPU takes its place only where the device says so.
    `asked` is the option by which a container was asked for, if it was.
    """
    if runtime == "docker" or (runtime == "auto" and device != "cpu" and _usable(around)):
        choice = _in_container(runtime, device, around, f"asked for with {asked}")
    else:
        choice = _local(runtime, device, around)
    return replace(choice, instance=around.instance)


def no_such_gpu(named: str, why: str) -> DeviceError:
    """What is raised where --gpu names a GPU that is not there or cannot compute."""
    return DeviceError(
        f"--gpu {named} cannot be had ({why})",
        next_step="run `invoke doctor`, or leave out --gpu to run on what there is",
    )


def _usable(around: Surroundings) -> bool:
    return around.engine is not None and isinstance(around.way, Way)


def _in_container(
    runtime: RuntimeName | Auto, device: Device | Auto, around: Surroundings, asked: str
) -> Choice:
    if around.engine is None:
        raise around.engine_error or EngineError("no container engine answers")
    if device == "cpu":
        return Choice(
            runtime="docker",
            device="cpu",
            reason=f"{asked} and --device cpu",
            engine=around.engine,
        )
    if isinstance(around.way, Way):
        found = f"a container engine and a GPU answer ({around.way.name})"
        return Choice(
            runtime="docker",
            device="cuda",
            reason=found if runtime == "auto" else f"{asked}; {found}",
            engine=around.engine,
            way=around.way,
            driver=around.driver if around.engine.is_local else None,
        )
    if device == "cuda":
        raise DeviceError(
            f"no container can reach a GPU ({around.way.reason})",
            next_step="run `invoke doctor`, or use --device cpu",
        )
    if around.gpu is not None:
        raise no_such_gpu(around.gpu, around.way.reason)
    return Choice(
        runtime="docker",
        device="cpu",
        reason=f"{asked}; on the CPU, because no GPU can be reached ({around.way.reason})",
        engine=around.engine,
    )


def _local(runtime: RuntimeName | Auto, device: Device | Auto, around: Surroundings) -> Choice:
    if runtime == "local":
        why = "asked for with --runtime local"
    elif device == "cpu":
        why = "asked for with --device cpu"
    elif around.engine is None:
        why = "no container engine answers"
    else:
        reason = around.way.reason
        why = f"a container engine answers, but no container can reach a GPU ({reason})"
    if device == "cpu":
        return Choice(runtime="local", device="cpu", reason=why)
    if around.unusable is not None and device == "cuda":
        raise DeviceError(f"no GPU: {around.unusable}", next_step="run `invoke doctor`")
    if around.driver is not None and around.unusable is None:
        return Choice(
            runtime="local",
            device="cuda",
            reason=f"{why}; NVIDIA driver {around.driver} is loaded",
            driver=around.driver,
        )
    if device == "cuda":
        raise DeviceError(
            "no GPU: no NVIDIA driver is loaded on this host",
            next_step="install the driver, or use --device cpu",
        )
    none = around.unusable or "no NVIDIA driver is loaded"
    if around.gpu is not None:
        raise no_such_gpu(around.gpu, none)
    no_gpu = "" if around.engine and runtime == "auto" else f"; {none}"
    return Choice(runtime="local", device="cpu", reason=f"{why}{no_gpu}")

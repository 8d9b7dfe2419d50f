"""Kills at random moments: of a container, a case, a sampler, the harness, the engine."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from docker.errors import DockerException

from harness.host.engine import Engine
from tests.faults.outcome import Outcome, Setting, Strike, conclude, strike
from tests.faults.private_engine import PrivateEngine
from tests.faults.world import Bench, World

Place = Literal["local", "docker", "private"]
Find = Callable[[World, Bench], Any]  # waits for what is to be killed; None: the bench was over
Act = Callable[[World, Bench, Any], None]
SECOND_SIGNAL_S = 0.05
SAMPLER = "harness.measure.nvml"


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One kind of kill. `at_once`: the harness lives on and cleans up."""

    name: str
    place: Place
    find: Find
    act: Act
    at_once: bool = True
    real: bool = False  # needs the real measured process, not one that is played


def inject(kill: Kill, world: World, setting: Setting, moment_s: float) -> Outcome | None:
    """One bench, killed `moment_s` after its start; None if it was over by then."""
    bench = world.start(setting.arguments, setting.child)
    hit = _hit(kill, world, bench, moment_s)
    ended = bench.end()
    if hit is None:
        return None
    return conclude(kill.name, world, setting, hit, ended, at_once=kill.at_once)


def _hit(kill: Kill, world: World, bench: Bench, moment_s: float) -> Strike | None:
    while time.monotonic() - bench.started_s < moment_s and bench.alive:
        time.sleep(0.002)
    target = kill.find(world, bench) if bench.alive else None
    if target is None:
        return None
    hit = strike(world, bench.output, moment_s)
    kill.act(world, bench, target)
    return hit


def the_harness(world: World, bench: Bench) -> Bench | None:
    """The bench itself."""
    return bench if bench.alive else None


def process_with(words: str) -> Find:
    """A process of this corner, as soon as there is one."""
    return lambda world, bench: bench.wait_for(lambda: world.process(words))


def running_container(world: World, bench: Bench) -> str | None:
    """The container under way, as soon as there is one."""
    found: list[str] | None = bench.wait_for(lambda: world.containers("running"))
    return found[0] if found else None


def signals(*numbers: signal.Signals) -> Act:
    """Signals for the harness, one shortly after the other."""

    def act(world: World, bench: Bench, target: Bench) -> None:
        for index, number in enumerate(numbers):
            if index:
                time.sleep(SECOND_SIGNAL_S)
            if target.alive:
                target.signal(number)

    return act


def kill_process(world: World, bench: Bench, pid: int) -> None:
    """SIGKILL; it may have ended a moment before."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_container(world: World, bench: Bench, container: str) -> None:
    """Kills a container, which may have ended a moment before."""
    assert world.engine is not None
    world.engine.kill(container)


def remove_container(world: World, bench: Bench, container: str) -> None:
    """Removes it by force."""
    assert world.engine is not None
    world.engine.remove(container)


def kill_sampler_inside(world: World, bench: Bench, container: str) -> None:
    """Kills the sampler of the container under way, as soon as there is one."""
    assert world.engine is not None
    engine = world.engine
    bench.wait_for(
        lambda: any(kill_inside(engine, one, SAMPLER) for one in world.containers("running"))
    )


def kill_inside(engine: Engine, container: str, words: str) -> bool:
    """SIGKILL for a process of a container, sent by another one in it."""
    script = (
        "import glob, os\n"
        "for path in glob.glob('/proc/[0-9]*/cmdline'):\n"
        f"    if {words!r}.encode() in open(path, 'rb').read().split(b'\\0'):\n"
        "        os.kill(int(path.split('/')[2]), 9)\n"
        "        print('killed')\n"
    )
    api = engine._api
    try:
        made = api.exec_create(container, ["python", "-c", script])
        return b"killed" in api.exec_start(made["Id"])
    except DockerException:
        return False  # it ended while we looked


def kill_from_host(engine: Engine, container: str, words: str) -> bool:
    """SIGKILL for a process of a container, sent from the engine's own host."""
    with suppress(OSError, DockerException):  # it ended while we looked
        pids = [int(engine._api.inspect_container(container)["State"]["Pid"])]
        for pid in pids:
            if words.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
                return True
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            pids += map(int, children.split())  # of its children and theirs
    return False


def engine_kills(engine: PrivateEngine) -> tuple[Kill, ...]:
    """Kills of an engine of our own, which is started again."""

    def killed(world: World, bench: Bench, target: Bench) -> None:
        engine.kill()
        engine.start()

    def restarted(world: World, bench: Bench, target: Bench) -> None:
        engine.stop()
        engine.start()

    return (
        Kill(name="engine killed, then started", place="private", find=the_harness, act=killed),
        Kill(name="engine restarted", place="private", find=the_harness, act=restarted),
    )


def _signalled(name: str, place: Place, *numbers: signal.Signals, at_once: bool = True) -> Kill:
    return Kill(name=name, place=place, find=the_harness, act=signals(*numbers), at_once=at_once)


KILLS = (
    Kill(name="container killed", place="docker", find=running_container, act=kill_container),
    Kill(name="container removed", place="docker", find=running_container, act=remove_container),
    Kill(name="case killed", place="local", find=process_with("--job"), act=kill_process),
    _signalled("harness killed", "docker", signal.SIGKILL, at_once=False),
    _signalled("harness killed", "local", signal.SIGKILL, at_once=False),
    _signalled("Ctrl-C", "docker", signal.SIGINT),
    _signalled("Ctrl-C", "local", signal.SIGINT),
    _signalled("Ctrl-C twice", "docker", signal.SIGINT, signal.SIGINT),
    _signalled("SIGTERM", "docker", signal.SIGTERM),
    _signalled("SIGTERM", "local", signal.SIGTERM),
    _signalled("terminal closed", "local", signal.SIGHUP),
    Kill(
        name="sampler killed",
        place="local",
        find=process_with(SAMPLER),
        act=kill_process,
        real=True,
    ),
    Kill(
        name="sampler killed",
        place="docker",
        find=running_container,
        act=kill_sampler_inside,
        real=True,
    ),
)

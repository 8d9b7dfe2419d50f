"""Faults of what is around a run: other benches, the clock, whoever reads, the whole machine."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

from tests.faults.outcome import Outcome, conclude, plain, strike
from tests.faults.single import Single, refused, wait_for_case
from tests.faults.stage import FAULTY, Stage
from tests.faults.world import Bench, Child, Ended, World

CLOCK_BACK_S = -86_400.0
FROZEN_S = 5.0


def freeze_container(world: World, bench: Bench, stage: Stage) -> None:
    """Stops the container's processes for good, as `docker pause` does."""
    assert world.engine is not None
    found = bench.wait_for(lambda: world.containers("running"))
    world.engine._api.pause(found[0])


def freeze_all(world: World, bench: Bench, stage: Stage) -> None:
    """Stops everything for a while, as a virtual machine that is held."""
    bench.wait_for(lambda: f"] {FAULTY}: warmup" in bench.output)
    pids = list(world.processes())
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(FROZEN_S)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def second_bench(
    words: str, child: Child, *, other_folder: bool
) -> Callable[[Single, Stage], Outcome]:
    """A second bench while the first one runs: it is refused, and the first goes on."""

    def inject(single: Single, stage: Stage) -> Outcome:
        with stage.world(single.place) as world, stage.world(single.place) as other:
            setting = stage.setting(world, single.place, more=child)
            bench = world.start(setting.arguments, setting.child)
            wait_for_case(bench, FAULTY)
            hit = strike(world, bench.output)
            place = other if other_folder else world
            pid = bench.wait_for(lambda: world.process("--job"))
            os.kill(pid, signal.SIGSTOP)  # the first bench must not end before the second asks
            second = place.run(setting.arguments, setting.child)
            os.kill(pid, signal.SIGCONT)
            problems = refused(words)(place, second)
            ended = bench.end()
            problems += [] if ended.code == 0 else [f"the first bench: {ended.last}"]
            outcome = conclude(
                single.name, world, setting, hit, ended, check=lambda world, ended: problems
            )
            outcome.sees = f"second bench: exit {second.code}: {plain(second.last)}"
            return outcome

    return inject


def reader_gone(single: Single, stage: Stage) -> Outcome:
    """Whoever reads the output goes away (`| head`): the run goes on in silence."""
    with stage.world(single.place) as world:
        setting = stage.setting(world, single.place)
        ours, theirs = os.pipe()
        bench = world.start(setting.arguments, setting.child, stdout=theirs)
        os.close(theirs)
        bench.wait_for(world.finished)
        hit = strike(world, bench.output)
        os.close(ours)
        ended = bench.end()
        problems = [] if ended.code == 0 else [f"exit {ended.code}: {ended.last}"]
        return conclude(
            single.name, world, setting, hit, ended, check=lambda world, ended: problems
        )


def clock_between(single: Single, stage: Stage) -> Outcome:
    """A run with the clock a day behind, after one with the right clock in the same folder."""
    with stage.world(single.place) as world:
        setting = stage.setting(world, single.place)
        assert world.run(setting.arguments, setting.child).code == 0
        late = replace(setting, child=setting.child | {"clock_s": CLOCK_BACK_S})
        bench = world.start(late.arguments, late.child)
        wait_for_case(bench, FAULTY)
        hit = strike(world, bench.output)
        bench.signal(signal.SIGTERM)
        ended = bench.end()

        def check(world: World, ended: Ended) -> list[str]:
            words = "the clock was set back, or had been ahead"
            fact = world.run_folder.manifest().facts.get("run.clock") if world.run_folder else None
            problems = [] if words in ended.output else ["the user is not told of the clock"]
            return problems + ([] if fact else ["the plan does not tell of the clock"])

        return conclude(single.name, world, late, hit, ended, check=check)

"""Faults with a moment of their own: what hangs, runs out, goes away, is held or is set."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from harness.result import Failure
from tests.faults.kills import Place
from tests.faults.outcome import Check, Outcome, conclude, strike
from tests.faults.player import FAULTS
from tests.faults.stage import FAULTY, Stage
from tests.faults.world import Bench, Child, Ended, World

Inject = Callable[[Stage], Outcome]
SHORT_LIMIT = "0.1"  # minutes: of a played case that hangs
MEMORY_BYTES = 256 << 20
SMALL_BYTES = 8 << 20
CLOCK_BACK_S = -86_400.0
FROZEN_S = 5.0
ENGINE_TIMEOUT_S = 3


@dataclass(frozen=True, kw_only=True)
class Single:
    """One kind of fault that is not a kill at a random moment."""

    name: str
    place: Place
    inject: Callable[["Single", Stage], Outcome]
    root: bool = False  # mounts something in its own corner


def failed(category: str, words: str = "", detail: str = "") -> Check:
    """The faulty case alone failed, for this reason."""

    def check(world: World, ended: Ended) -> list[str]:
        found = world.failures()
        if [failure.case_id for failure in found] != [FAULTY]:
            return [f"failed: {[failure.case_id for failure in found]}"]
        return _mismatch(found[0], category, words, detail)

    return check


def _mismatch(found: Failure, category: str, words: str, detail: str) -> list[str]:
    told = f"{found.category}: {found.message}"
    problems = [] if found.category == category else [f"not {category}: {told}"]
    problems += [] if words in found.message else [f"does not say '{words}': {told}"]
    return problems + ([] if detail in found.detail else [f"its detail lacks '{detail}'"])


def flagged(words: str) -> Check:
    """Every case finished; the faulty one says what happened."""

    def check(world: World, ended: Ended) -> list[str]:
        if ended.code:
            return [f"exit {ended.code}: {ended.last}"]
        texts = [flag for result in world.results() for flag in result.flags]
        return [] if any(words in text for text in texts) else [f"no record says '{words}'"]

    return check


def refused(words: str) -> Check:
    """The bench ended with exit code 2 and one line that says so."""

    def check(world: World, ended: Ended) -> list[str]:
        lines = [line for line in ended.output.splitlines() if line.startswith("error: ")]
        if ended.code != 2 or len(lines) != 1 or words not in lines[0]:
            return [f"not refused by '{words}': exit {ended.code}: {ended.last}"]
        return []

    return check


def in_case(
    fault: str, check: Check, *, limit: str | None = None, more: Child | None = None
) -> Callable[[Single, Stage], Outcome]:
    """A fault inside the measured process of the second case; the third runs after it."""

    def inject(single: Single, stage: Stage) -> Outcome:
        with stage.world(single.place) as world:
            setting = stage.setting(world, single.place, real=fault not in FAULTS)
            child = stage.faulty(single.place, fault) | (more or {})
            extra = [] if limit is None else ["--limit", limit]
            bench = world.start([*setting.arguments, *extra], child)
            _wait_for_case(bench, FAULTY)
            hit = strike(world, bench.output)
            return conclude(single.name, world, setting, hit, bench.end(), check=check)

    return inject


def in_run(
    act: Callable[[World, Bench, Stage], None],
    check: Check | None = None,
    *,
    real: bool = False,
    limit: str | None = None,
    at_once: bool = True,
    more: Child | None = None,
) -> Callable[[Single, Stage], Outcome]:
    """Something done from outside while the second case runs."""

    def inject(single: Single, stage: Stage) -> Outcome:
        with stage.world(single.place) as world:
            setting = stage.setting(world, single.place, real=real, more=more)
            extra = [] if limit is None else ["--limit", limit]
            bench = world.start([*setting.arguments, *extra], setting.child)
            _wait_for_case(bench, FAULTY)
            hit = strike(world, bench.output)
            act(world, bench, stage)
            ended = bench.end()
            return conclude(single.name, world, setting, hit, ended, check=check, at_once=at_once)

    return inject


def _wait_for_case(bench: Bench, case_id: str) -> None:
    bench.wait_for(lambda: f"] {case_id}: " in bench.output)


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


def fill(folder_of: Callable[[World], object]) -> Callable[[World, Bench, Stage], None]:
    """Fills a small file system to the last byte."""

    def act(world: World, bench: Bench, stage: Stage) -> None:
        with open(f"{folder_of(world)}/filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                return

    return act


@contextmanager
def small_disk(folder: object, size_bytes: int) -> Iterator[None]:
    """A file system of its own on a folder of the corner."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(folder)]
    subprocess.run(command, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk(single: Single, stage: Stage) -> Outcome:
    """The disk of the reports is full when a record is saved; space is made before the resume."""
    with stage.world(single.place) as world:
        world.reports.mkdir()
        with small_disk(world.reports, 64 << 20):
            setting = stage.setting(world, single.place)
            bench = world.start(setting.arguments, setting.child)
            _wait_for_case(bench, FAULTY)
            hit = strike(world, bench.output)
            fill(lambda world: world.reports)(world, bench, stage)
            ended = bench.end()
            problems = refused("cannot write")(world, ended)
            (world.reports / "filler").unlink()
            return conclude(
                single.name, world, setting, hit, ended, check=lambda world, ended: problems
            )


def read_only(single: Single, stage: Stage) -> Outcome:
    """The run's folder becomes read-only while a case runs."""
    with stage.world(single.place) as world:
        setting = stage.setting(world, single.place)
        bench = world.start(setting.arguments, setting.child)
        _wait_for_case(bench, FAULTY)
        hit = strike(world, bench.output)
        folder = str(world.reports / "cpu")
        for options in (["--bind", folder], ["-o", "remount,bind,ro"]):
            subprocess.run(["mount", *options, folder], check=True)
        try:
            ended = bench.end()
            problems = refused("Read-only file system")(world, ended)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
        return conclude(
            single.name, world, setting, hit, ended, check=lambda world, ended: problems
        )


def full_temporary(single: Single, stage: Stage) -> Outcome:
    """The temporary folder, through which a local case gives its record, is full."""
    with stage.world(single.place) as world, small_disk(world.temporary, SMALL_BYTES):
        setting = stage.setting(world, single.place, real=True)
        bench = world.start(setting.arguments, setting.child)
        bench.wait_for(lambda: f"] {FAULTY}: steady" in bench.output)
        hit = strike(world, bench.output)
        fill(lambda world: world.temporary)(world, bench, stage)
        ended = bench.end()
        failures = world.failures()
        problems = (
            ["no failure"]
            if not failures
            else _mismatch(failures[0], "infrastructure", "record.json cannot be written", "")
        )
        (world.temporary / "filler").unlink()
        return conclude(
            single.name, world, setting, hit, ended, check=lambda world, ended: problems
        )


def second_bench(
    words: str, child: Child, *, other_folder: bool
) -> Callable[[Single, Stage], Outcome]:
    """A second bench while the first one runs: it is refused, and the first goes on."""

    def inject(single: Single, stage: Stage) -> Outcome:
        with stage.world(single.place) as world, stage.world(single.place) as other:
            setting = stage.setting(world, single.place, more=child)
            bench = world.start(setting.arguments, setting.child)
            _wait_for_case(bench, FAULTY)
            hit = strike(world, bench.output)
            place = other if other_folder else world
            second = place.run(setting.arguments, setting.child)
            problems = refused(words)(place, second)
            ended = bench.end()
            problems += [] if ended.code == 0 else [f"the first bench: {ended.last}"]
            outcome = conclude(
                single.name, world, setting, hit, ended, check=lambda world, ended: problems
            )
            outcome.sees = f"second bench: exit {second.code}: {outcome_line(second)}"
            return outcome

    return inject


def outcome_line(ended: Ended) -> str:
    """The last line without what differs each time."""
    from tests.faults.outcome import plain

    return plain(ended.last)


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
        _wait_for_case(bench, FAULTY)
        hit = strike(world, bench.output)
        bench.signal(signal.SIGTERM)
        ended = bench.end()

        def check(world: World, ended: Ended) -> list[str]:
            words = "the clock was set back, or had been ahead"
            fact = world.run_folder.manifest().facts.get("run.clock") if world.run_folder else None
            problems = [] if words in ended.output else ["the user is not told of the clock"]
            return problems + ([] if fact else ["the plan does not tell of the clock"])

        return conclude(single.name, world, late, hit, ended, check=check)


def engine_gone(world: World, bench: Bench, stage: Stage) -> None:
    """The engine is stopped and does not come back while the bench waits."""
    assert stage.private is not None
    stage.private.stop()
    bench.end()
    stage.private.start()


def engine_hangs(world: World, bench: Bench, stage: Stage) -> None:
    """The engine answers nothing any more; it goes on after the bench has given up."""
    assert stage.private is not None
    stage.private.freeze()
    bench.end()
    stage.private.thaw()


def image_removed(world: World, bench: Bench, stage: Stage) -> None:
    """The image is removed by force while a case runs, and is there again for the resume."""
    assert stage.private is not None and world.engine is not None
    (tag,) = [t for item in world.engine.images("vace-bench") for t in item["RepoTags"]]
    world.engine._api.tag(tag, "kept", "kept")
    world.engine.remove_image(tag)
    bench.end()
    repository, _, name = tag.partition(":")
    world.engine._api.tag("kept:kept", repository, name)
    world.engine.remove_image("kept:kept")


SINGLES = (
    Single(
        name="case hangs",
        place="local",
        inject=in_case("hang", failed("timeout", "stopped after", "in hang"), limit=SHORT_LIMIT),
    ),
    Single(
        name="case hangs",
        place="docker",
        inject=in_case("hang", failed("timeout", "stopped after", "in hang"), limit=SHORT_LIMIT),
    ),
    Single(
        name="container frozen",
        place="docker",
        inject=in_run(
            freeze_container, failed("timeout"), limit=SHORT_LIMIT, more={"grace_s": 1.0}
        ),
    ),
    Single(
        name="everything frozen for a while",
        place="local",
        inject=in_run(freeze_all, flagged("something stood still"), real=True),
    ),
    Single(
        name="case crashes",
        place="local",
        inject=in_case("crash", failed("bug", "crashed (SIGSEGV)", "in crash")),
    ),
    Single(
        name="container out of memory",
        place="docker",
        inject=in_case(
            "eat-memory",
            failed("memory", "ran out of memory"),
            more={"memory_bytes": MEMORY_BYTES},
        ),
    ),
    Single(
        name="CUDA out of memory",
        place="local",
        inject=in_case("cuda-out-of-memory", failed("memory", "CUDA out of memory")),
    ),
    Single(
        name="CUDA sticky error",
        place="local",
        inject=in_case("cuda-sticky-error", failed("device", "device-side assert")),
    ),
    Single(
        name="GPU lost",
        place="local",
        inject=in_case("gpu-lost", failed("device", "the GPU is lost")),
    ),
    Single(
        name="GPU lost by a daemon-reload",
        place="local",
        inject=in_case("daemon-reload", failed("infrastructure", "daemon-reload")),
    ),
    Single(name="disk full", place="local", inject=full_disk, root=True),
    Single(name="reports read-only", place="local", inject=read_only, root=True),
    Single(name="temporary folder full", place="local", inject=full_temporary, root=True),
    Single(
        name="clock set back during a case",
        place="local",
        inject=in_case("clock-back", flagged("the clock was set back by 3600")),
    ),
    Single(name="clock set back between runs", place="local", inject=clock_between),
    Single(
        name="host sleeps",
        place="local",
        inject=in_case("sleep", flagged("the host slept for 600")),
    ),
    Single(
        name="two benches, one reports folder",
        place="local",
        inject=second_bench("the reports folder reports/ is in use", {}, other_folder=False),
    ),
    Single(
        name="two benches, one GPU",
        place="local",
        inject=second_bench("this GPU is in use", {"gpu": "GPU-faults"}, other_folder=True),
    ),
    Single(name="nobody reads the output", place="local", inject=reader_gone),
    Single(
        name="engine gone",
        place="private",
        inject=in_run(
            engine_gone, refused("cannot be reached"), at_once=False, more={"return_s": 3.0}
        ),
    ),
    Single(
        name="engine hangs",
        place="private",
        inject=in_run(
            engine_hangs,
            refused("engine"),
            limit=SHORT_LIMIT,
            at_once=False,
            more={"grace_s": 1.0, "call_timeout_s": ENGINE_TIMEOUT_S, "return_s": 3.0},
        ),
    ),
    Single(
        name="image removed",
        place="private",
        inject=in_run(image_removed, refused("was removed while the run was under way")),
    ),
)

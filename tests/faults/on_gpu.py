"""Three faults in the middle of a matrix on a GPU, in containers, within a limit of time.

One run of four cases: the second runs out of CUDA memory, for real; the third's container is
killed; the sampler of the fourth is killed. The first is left alone and must be whole, the fourth
too but for its telemetry, the report must name the rest, and `--resume` must complete the run.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.expansion import Settings, expand
from harness.host.engine import connect
from harness.matrix import Device, Matrix
from harness.result import Result
from tests.faults import table
from tests.faults.kills import SAMPLER, kill_container, kill_from_host, kill_inside
from tests.faults.outcome import (
    Check,
    Outcome,
    Setting,
    Strike,
    conclude,
    interrupted_report,
    plain,
    strike,
)
from tests.faults.single import mismatch
from tests.faults.stage import Stage
from tests.faults.world import Bench, Ended, WaitedInVainError, World

MATRIX = """
name = "gpufaults"

[[cases]]
kind = ["e2e"]
mode = ["text", "depth", "inpainting"]
blocks = 1
chunks_per_block = 3
warmup_max_chunks = 6

[[cases]]
kind = ["e2e"]
mode = ["text"]
seed = [43]
blocks = 8
chunks_per_block = 5
warmup_max_chunks = 6
"""
MEMORY, KILL, SAMPLED = "CUDA out of memory", "container killed", "sampler killed"
KINDS = (MEMORY, KILL, SAMPLED)
EXEC_S = 5.0  # for a kill from inside; the case goes on for longer
ENDED_EARLY = "telemetry ended early"
INJECTIONS = "injections.jsonl"
INTERRUPTED = "report-before-resume.md"


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Ids of the four, which depend on the device and the size."""

    whole: str
    out_of_memory: str
    killed: str
    sampled: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is run. Whatever is to be kept of it goes into the folder `keep`."""

    device: Device
    size: str
    limit_s: float
    keep: Path | None


def run_on_gpu(folder: Path, options: Options, image: list[str]) -> int:
    """Runs it, says what was seen, and returns 1 if anything is wrong."""
    stage = Stage(folder, played=False, engine=connect(), image_arguments=image)
    started_s = time.monotonic()
    with stage.world("docker") as world:
        world.ends_s = started_s + options.limit_s
        try:
            outcomes = _injected(stage, world, options)
        except WaitedInVainError as error:
            print(f"WRONG: {error}\ngiven up after {time.monotonic() - started_s:.0f} s")
            return 1
        finally:
            if options.keep is not None:
                keep(world, options.keep)
    took_s = time.monotonic() - started_s
    for one in outcomes:
        print(f"{one.kind} ({one.where}): {one.record}; {one.resume}")
        for line in (*one.wrong, *one.orphans, *([f"{one.lost} lost"] if one.lost else [])):
            print(f"WRONG: {line}")
        if options.keep is not None:
            table.append(one, options.keep / INJECTIONS)
    bad = sum(bool(one.wrong or one.lost or one.orphans) for one in outcomes)
    print(f"{', '.join(one.kind for one in outcomes)}: {took_s:.0f} s, ", end="")
    print(f"{bad} bad" if bad else "the other cases and the report are whole")
    return 1 if bad else 0


def cases_of(device: Device, size: str) -> Cases:
    """The ids that a run gives to the matrix's cases."""
    settings = Settings(preset="full" if device == "cuda" else "tiny", device=device, size=size)
    matrix = msgspec.toml.decode(MATRIX, type=Matrix)
    whole, out_of_memory, killed, sampled = (case.id for case in expand(matrix, settings))
    return Cases(whole=whole, out_of_memory=out_of_memory, killed=killed, sampled=sampled)


def keep(world: World, folder: Path) -> None:
    """Copies what the benches showed, and the run with its records and reports."""
    for log in world.folder.glob("bench-*.log"):
        shutil.copy(log, folder)
    if world.run_folder is not None:
        run = world.run_folder.path
        shutil.copytree(run, folder / run.name)


def _injected(stage: Stage, world: World, options: Options) -> list[Outcome]:
    cases = cases_of(options.device, options.size)
    arguments = ["bench", "--matrix", world.matrix(MATRIX), "--runtime", "docker"]
    arguments += ["--device", options.device, "--size", options.size, *stage.image_arguments]
    fault = stage.faulty("docker", "cuda-out-of-memory", cases.out_of_memory)
    bench = world.start(arguments, fault)
    hits = _strike(world, bench, cases)
    ended = bench.end()
    print(ended.output)
    if len(hits) < len(KINDS):
        raise WaitedInVainError(f"the run ended before every fault: {', '.join(hits) or 'none'}")
    return _concluded(world, Setting(where="docker", arguments=arguments), hits, ended, cases)


def _strike(world: World, bench: Bench, cases: Cases) -> dict[str, Strike]:
    """The three faults, each when its case is under way; fewer if the bench ends before."""
    hits: dict[str, Strike] = {}
    if bench.wait_for(lambda: f"] {cases.out_of_memory}: " in bench.output):
        hits[MEMORY] = strike(world, bench.output)
    if bench.wait_for(lambda: f"] {cases.killed}: warmup" in bench.output):
        hits[KILL] = strike(world, bench.output)
        for container in world.containers("running"):
            kill_container(world, bench, container)
    if bench.wait_for(lambda: f"] {cases.sampled}: warmup" in bench.output):
        hits[SAMPLED] = strike(world, bench.output)
        _kill_sampler(world, bench)
    return hits


def _kill_sampler(world: World, bench: Bench) -> None:
    """From inside, by another process; from the host where the engine starts none there."""
    assert world.engine is not None
    engine, running = world.engine, lambda: world.containers("running")
    try:
        bench.wait_for(lambda: any(kill_inside(engine, one, SAMPLER) for one in running()), EXEC_S)
    except WaitedInVainError:
        print(f"no sampler was killed from inside in {EXEC_S:.0f} s; now from the host")
        bench.wait_for(lambda: any(kill_from_host(engine, one, SAMPLER) for one in running()))


def _concluded(
    world: World, setting: Setting, hits: dict[str, Strike], ended: Ended, cases: Cases
) -> list[Outcome]:
    """The three outcomes. One resume completes the run for all of them."""
    checks = {
        SAMPLED: _found(_run_problems(world, ended, cases)),
        MEMORY: _found(_failure_problems(world, cases.out_of_memory, "memory", MEMORY)),
        KILL: _found(_failure_problems(world, cases.killed, "killed", "SIGKILL")),
    }
    told = {SAMPLED: _told(world, cases.sampled)}
    told |= {MEMORY: _told(world, cases.out_of_memory), KILL: _told(world, cases.killed)}
    where = _where(world, cases)
    outcomes = {
        # The first one resumes; by then the run's report is kept as the faults left it.
        kind: conclude(
            kind, world, setting, hits[kind], ended, check=check, resumes=kind == SAMPLED
        )
        for kind, check in checks.items()
    }
    return [
        msgspec.structs.replace(
            outcomes[kind], where=where, record=told[kind], resume=outcomes[SAMPLED].resume
        )
        for kind in KINDS
    ]


def _found(problems: list[str]) -> Check:
    return lambda world, ended: problems


def _run_problems(world: World, ended: Ended, cases: Cases) -> list[str]:
    """What is wrong with the run that the faults hit, before it is resumed."""
    folder = world.run_folder
    if folder is None:
        return ["there is no run"]
    run = folder.load()
    problems = [] if ended.code == 2 else [f"exit code {ended.code}, not 2"]
    if set(run.failures) != {cases.out_of_memory, cases.killed}:
        problems.append(f"failed: {sorted(run.failures)}")
    if set(run.results) != {cases.whole, cases.sampled}:
        return [*problems, f"finished: {sorted(run.results)}"]
    problems += interrupted_report(world)
    shutil.copy(folder.path / "report.md", folder.path / INTERRUPTED)
    return problems + _sampler_problems(run.results[cases.whole], run.results[cases.sampled])


def _failure_problems(world: World, case_id: str, category: str, words: str) -> list[str]:
    found = [failure for failure in world.failures() if failure.case_id == case_id]
    if len(found) != 1:
        return [f"{len(found)} failures of {case_id}"]
    return mismatch(found[0], category, words, "")


def _sampler_problems(whole: Result, sampled: Result) -> list[str]:
    problems = []
    if any(flag.startswith(ENDED_EARLY) for flag in whole.flags):
        problems.append(f"{whole.case_id} lost its sampler")
    if not any(flag.startswith(ENDED_EARLY) for flag in sampled.flags):
        problems.append(f"{sampled.case_id} does not say that its sampler was killed")
    if whole.case.device == "cuda" and whole.gpu.source != "nvml":
        problems.append(f"{whole.case_id} has no telemetry: {whole.gpu.reason}")
    return problems


def _told(world: World, case_id: str) -> str:
    """What the case's record says of its fault."""
    failures = [one for one in world.failures() if one.case_id == case_id]
    told = [f"{one.category}: {one.message}" for one in failures]
    flags = [flag for one in world.results() if one.case_id == case_id for flag in one.flags]
    told += [f"finished; flagged: {flag}" for flag in flags if flag.startswith(ENDED_EARLY)]
    return plain("; ".join(told) or "nothing")


def _where(world: World, cases: Cases) -> str:
    """The runtime and the GPU, as the record of the case that was left alone names it."""
    facts = [one.provenance for one in world.results() if one.case_id == cases.whole]
    name = facts[0]["gpu.name"].value if facts and "gpu.name" in facts[0] else None
    return f"docker, {name or 'CPU'}"

"""Three faults in the middle of a matrix on a GPU, in containers, in about three minutes.

One run of four cases: the second runs out of CUDA memory, for real; the third's container is
killed; the sampler of the fourth is killed. The first is left alone and must be whole, the fourth
too but for its telemetry, and the report must name the rest.
"""

import argparse
import time
from pathlib import Path

from harness.host.engine import connect
from harness.report.render import render_run
from harness.result import Result
from tests.faults.kills import kill_sampler_inside
from tests.faults.outcome import PARTIAL
from tests.faults.stage import FAULTY, Stage
from tests.faults.world import Bench, World

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
KILLED, SAMPLED = "e2e-inpainting-eager", "e2e-text-eager-seed43"
WHOLE = "e2e-text-eager"


def run_on_gpu(folder: Path, given: argparse.Namespace, image: list[str]) -> int:
    """Runs it, says what was seen, and returns 1 if anything is wrong."""
    stage = Stage(folder, played=False, engine=connect(), image_arguments=image)
    with stage.world("docker") as world:
        child = stage.faulty("docker", "cuda-out-of-memory")
        arguments = ["bench", "--matrix", world.matrix(MATRIX), "--runtime", "docker"]
        arguments += ["--device", given.device, *image]
        arguments += ["--size", given.size] if given.size else []
        started_s = time.monotonic()
        bench = world.start(arguments, child)
        _strike(world, bench)
        ended = bench.end()
        print(ended.output)
        problems = _problems(world, ended.code)
        took_s = time.monotonic() - started_s
    for line in problems:
        print(f"WRONG: {line}")
    print(f"CUDA out of memory, a killed case, a killed sampler: {took_s:.0f} s, ", end="")
    print(f"{len(problems)} problems" if problems else "the other cases and the report are whole")
    return 1 if problems else 0


def _strike(world: World, bench: Bench) -> None:
    assert world.engine is not None
    bench.wait_for(lambda: f"] {KILLED}: warmup" in bench.output)
    for container in world.containers("running"):
        world.engine.kill(container)
    bench.wait_for(lambda: f"] {SAMPLED}: warmup" in bench.output)
    kill_sampler_inside(world, bench, "")


def _problems(world: World, code: int) -> list[str]:
    folder = world.run_folder
    if folder is None:
        return ["there is no run"]
    run = folder.load()
    problems = [] if code == 2 else [f"exit code {code}, not 2"]
    categories = {name: failure.category for name, failure in run.failures.items()}
    if categories != {FAULTY: "memory", KILLED: "killed"}:
        problems.append(f"failures: {categories}")
    if set(run.results) != {WHOLE, SAMPLED}:
        problems.append(f"finished: {sorted(run.results)}")
    problems += _sampler_problems(run.results.get(WHOLE), run.results.get(SAMPLED))
    report = render_run(folder.path).read_text()
    problems += [f"the report does not name {name}" for name in run.missing if name not in report]
    problems += [] if PARTIAL in report else ["the report does not say that the run is partial"]
    problems += [f"left: {line}" for line in world.orphans()]
    for failure in run.failures.values():
        print(f"{failure.case_id}: {failure.category}: {failure.message}")
    return problems


def _sampler_problems(whole: Result | None, sampled: Result | None) -> list[str]:
    if whole is None or sampled is None:
        return []
    problems = []
    if any(flag.startswith("telemetry ended early") for flag in whole.flags):
        problems.append(f"{WHOLE} lost its sampler")
    if not any(flag.startswith("telemetry ended early") for flag in sampled.flags):
        problems.append(f"{SAMPLED} does not say that its sampler was killed: {sampled.flags}")
    print(f"{SAMPLED}: {', '.join(sampled.flags)}; {len(sampled.chunks)} chunks")
    return problems

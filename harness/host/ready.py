"""What a plan's cases run on, made ready: leftovers removed, the image built, the devices asked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import DeviceError, EngineError, UsageError
from harness.host.containers import DockerRunner
from harness.host.image import ensure_image
from harness.host.leftovers import sweep_containers, sweep_folders, sweep_processes
from harness.host.options import BenchOptions, parse_cpus, state_path
from harness.host.plan import Plan
from harness.host.processes import LocalRunner
from harness.host.runner import Runner
from harness.host.screen import Screen
from harness.host.session import Runners
from harness.job import NOTE, Devices, PreflightRequest
from harness.matrix import Case
from harness.result import Fact

BARE_FACT = "run.bare"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where things are on this host."""

    project: Path
    reports: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def ready_runners(plan: Plan, options: BenchOptions, place: Place, screen: Screen) -> Runners:
    """The runner of the plan's choice, its image built, and leftovers of dead runs removed."""
    sweep_folders()
    sweep_processes()
    if options.cpus:
        _use_cpus(options.cpus, plan)
    engine = plan.choice.engine
    caches = state_path("caches", place.environment).with_suffix("")
    bare = LocalRunner(
        project=place.project,
        weights_dir=plan.weights,
        gpu=options.gpu,
        warm_cache=caches,
        limit_s=options.limit_s,
    )
    if engine is None:
        return Runners(chosen=bare, bare=bare)
    alone = None if options.beside else plan.run_id
    if removed := sweep_containers(engine, alone):
        screen.say(f"removed {removed} containers or volumes of interrupted runs")
    image = ensure_image(engine, place.project, options.image, screen.say)
    chosen = DockerRunner(
        engine=engine,
        image=image,
        run_id=plan.run_id,
        way=plan.choice.way,
        weights_dir=plan.weights,
        cpus=options.cpus,
        limit_s=options.limit_s,
    )
    return Runners(chosen=chosen, bare=bare)


def _use_cpus(text: str, plan: Plan) -> None:
    """Local cases inherit our own CPUs. Raises UsageError for one that this host has not."""
    engine, cpus = plan.choice.engine, parse_cpus(text)
    here = engine is None or engine.is_local
    if here and not cpus <= set(range(os.cpu_count() or 0)):
        raise UsageError(
            f"--cpus '{text}' names a CPU that this host has not",
            next_step=f"it has 0-{(os.cpu_count() or 1) - 1}",
        )
    if engine is None:
        os.sched_setaffinity(0, cpus)


def without_impossible_bare(
    plan: Plan, runners: Runners, screen: Screen
) -> tuple[Plan, dict[str, Fact]]:
    """The plan without bare cases that this host cannot run, and a fact that says why.

    Without a container there is nothing to hold a bare case against.
    """
    bare = [case for case in plan.cases if case.bare]
    if not bare:
        return plan, {}
    reason = None
    if runners.bare is runners.chosen:
        reason = "the run's other cases are bare too"
    else:
        try:
            preflight(runners.bare, bare, screen)
        except DeviceError as error:
            reason = error.what
    if reason is None:
        return plan, {BARE_FACT: Fact(value="measured")}
    screen.say(f"bare cases are left out: {reason}")
    kept = replace(plan, cases=[case for case in plan.cases if not case.bare])
    return kept, {BARE_FACT: Fact(value=None, reason=reason)}


def preflight(runner: Runner, cases: list[Case], screen: Screen) -> Devices:
    """The devices that cases will find. Raises DeviceError for what stands against them.

    An engine that goes away meanwhile is waited for, and what it still holds of the first try is
    removed; EngineError if it stays away or fails again.
    """
    request = PreflightRequest(cases=cases)
    try:
        devices = runner.preflight(request)
    except EngineError as error:
        screen.say(f"{error.what}; waiting for the container engine")
        runner.recover()
        devices = runner.preflight(request)
    problems = [line for line in devices.problems if not line.startswith(NOTE)]
    if problems:
        raise DeviceError(problems[0], next_step="; ".join(problems[1:]))
    for line in devices.problems:
        screen.say(line)
    if cases[0].device == "cuda" and not devices.gpus:
        raise DeviceError(
            f"torch {devices.torch_version} sees no GPU", next_step="run `invoke doctor`"
        )
    return devices

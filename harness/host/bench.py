"""`invoke bench`: the plan, the image, a preflight, the processes in order, the report.

Everything that can be known is checked before the first expensive step, and each record is on disk
before the next process starts. A run that was interrupted goes on with --resume.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from harness.errors import DeviceError, UsageError
from harness.host.beside import help_run, hold_run, wait_for_others
from harness.host.choice import look
from harness.host.expected import expected_seconds
from harness.host.facts import command_line, commit_facts, host_facts
from harness.host.foreseen import budget_s, foresee
from harness.host.image import public_name
from harness.host.interruption import stoppable
from harness.host.leftovers import (
    sweep_unsaved,
    temporary_folder,
)
from harness.host.locks import Holder, hold_gpu, hold_reports
from harness.host.options import BenchOptions, Given, keep, recall, state_path
from harness.host.plan import (
    Plan,
    free_run_id,
    gpu_name,
    measured_slug,
    narrowed,
    new_plan,
    repeated_plan,
    resumed_plan,
)
from harness.host.ready import Place, preflight, ready_runners, without_impossible_bare
from harness.host.runner import utc_now
from harness.host.screen import Screen
from harness.host.session import Session, Tools
from harness.matrix import Process, schedule
from harness.privacy import host_scrubber, load_salt, salt_path
from harness.result import SCHEMA_VERSION, Fact, Result
from harness.run import Manifest, Run
from harness.store import MANIFEST, RunFolder

CLOCK_FACT = "run.clock"
REPEATS_FACT = "run.repeats"  # the earlier run


def bench(given: Given, place: Place, tools: Tools, screen: Screen) -> Path:
    """Runs or resumes a matrix; returns the report's path, which is also the last line shown.

    Raises HarnessError; CaseError at the end if cases failed.
    """
    folder = temporary_folder()
    try:
        with stoppable():
            if given.get("beside"):
                return _help(given, place, tools, screen, folder)
            if given.get("resume"):
                return _resume(given, place, tools, screen, folder)
            return _start(given, place, tools, screen, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def repeat(source: Run, options: BenchOptions, place: Place, tools: Tools, screen: Screen) -> Path:
    """Runs the cases of an earlier run again, as a new one; returns its report's path.

    Benches that help it from other GPUs have ended their processes by then. Raises HarnessError;
    CaseError at the end if cases failed.
    """
    folder = temporary_folder()
    try:
        with stoppable():
            plan = repeated_plan(
                source.manifest,
                options,
                lambda gpu: look(gpu, options.reaching(place.environment)),
                folder,
            )
            _check_same_clips(plan, source.finished)
            report = _start_plan(plan, options, place, tools, screen, source)
            wait_for_others(report.parent, screen.say)
            return report
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(given: Given, place: Place, tools: Tools, screen: Screen, folder: Path) -> Path:
    options = BenchOptions.parse(given)
    plan = new_plan(
        options, lambda gpu: look(gpu, options.reaching(place.environment)), place.project, folder
    )
    return _start_plan(plan, options, place, tools, screen, None)


def _start_plan(
    plan: Plan,
    options: BenchOptions,
    place: Place,
    tools: Tools,
    screen: Screen,
    source: Run | None,
) -> Path:
    with _held(plan, options, place, screen):
        plan = replace(plan, run_id=free_run_id(plan.run_id, place.reports))
        return _start_held(plan, options, place, tools, screen, source)


def _start_held(
    plan: Plan,
    options: BenchOptions,
    place: Place,
    tools: Tools,
    screen: Screen,
    source: Run | None,
) -> Path:
    folders = {source.path: "<run>"} if source else {}
    paths = {**options.placeholders, **folders}
    scrub = host_scrubber(place.project, paths, options.names(place.environment))
    commit = commit_facts(place.project, place.environment)
    salt = load_salt(salt_path(place.environment))
    _announce(plan, schedule(plan.cases), options, place, screen)
    runners = ready_runners(plan, options, place, screen)
    devices = preflight(runners.chosen, [c for c in plan.cases if not c.bare], screen)
    plan, bare = without_impossible_bare(plan, runners, screen)
    slug = measured_slug(devices, plan.choice.device, options.gpu)
    expected_s = expected_seconds(plan.cases, place.reports, slug)
    total_s = sum(expected_s[case.id] * case.processes for case in plan.cases)
    facts = {**host_facts(), **commit}
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        run_id=plan.run_id,
        created_utc=utc_now(),
        matrix=plan.matrix,
        command=[
            word.replace(options.base_image, public_name(options.base_image))
            for word in command_line(sys.argv, scrub)
        ],
        runtime=plan.choice.runtime,
        runtime_reason=scrub(plan.choice.reason),
        gpu_slug=slug,
        cases=plan.cases,
        expected_s=total_s,
        facts={
            **facts,
            **({REPEATS_FACT: Fact(value=source.manifest.run_id)} if source else {}),
            **runners.chosen.facts(),
            **bare,
            **_clock_fact(plan.run_id, place.reports / slug, screen),
        },
        budget_s=budget_s(options, total_s),
    )
    keep(options, state_path(plan.run_id, place.environment))
    run = RunFolder.create(place.reports, manifest)
    with hold_run(run.path) as hold:
        session = Session(
            run=run,
            runners=runners,
            plan=plan,
            salt=salt,
            scrub=scrub,
            facts=facts,
            screen=screen,
            budget_s=manifest.budget_s,
        )
        hold.admit()
        return session.finish(tools, schedule(plan.cases), expected_s)


def _resume(given: Given, place: Place, tools: Tools, screen: Screen, folder: Path) -> Path:
    run = RunFolder.find(place.reports, str(given["resume"]))
    with hold_run(run.path) as hold:
        plan, options = _plan_of(run, given, place, folder)
        with _held(plan, options, place, screen):
            sweep_unsaved(run.path)
            return _go_on(run, plan, options, place, tools, screen, admit=hold.admit)


def _help(given: Given, place: Place, tools: Tools, screen: Screen, folder: Path) -> Path:
    """Measures processes of a run that another bench may be working on, on a GPU of its own."""
    run = RunFolder.find(place.reports, str(given["beside"]))
    with help_run(run.path):
        plan, options = _plan_of(run, given, place, folder)
        with _held_gpu(plan, options, screen):
            return _go_on(run, plan, options, place, tools, screen)


def _plan_of(run: RunFolder, given: Given, place: Place, folder: Path) -> tuple[Plan, BenchOptions]:
    manifest = run.manifest()
    options = recall(given, state_path(manifest.run_id, place.environment))
    environment = options.reaching(place.environment)
    return resumed_plan(manifest, options, lambda gpu: look(gpu, environment), folder), options


def _go_on(
    run: RunFolder,
    plan: Plan,
    options: BenchOptions,
    place: Place,
    tools: Tools,
    screen: Screen,
    admit: Callable[[], None] = lambda: None,
) -> Path:
    """Measures what is missing of a run; `admit` is called once others may take part."""
    done = run.load()
    manifest = done.manifest
    _check_same_clips(plan, list(done.results.values()))
    todo = narrowed(done.todo, options, manifest)
    cases = list({process.case.id: process.case for process in todo}.values())
    scrub = host_scrubber(place.project, options.placeholders, options.names(place.environment))
    commit = commit_facts(place.project, place.environment)
    salt = load_salt(salt_path(place.environment))
    _announce(plan, todo, options, place, screen)
    runners = ready_runners(plan, options, place, screen)
    if cases:
        in_place = [case for case in cases if not case.bare] or cases
        devices = preflight(runners.chosen, in_place, screen)
        slug = measured_slug(devices, plan.choice.device, options.gpu)
        if slug != manifest.gpu_slug:
            raise DeviceError(
                f"run {manifest.run_id} was started on {manifest.gpu_slug}, this is {slug}",
                next_step="start a new run here",
            )
    session = Session(
        run=run,
        runners=runners,
        plan=plan,
        salt=salt,
        scrub=scrub,
        facts={**host_facts(), **commit},
        screen=screen,
        budget_s=manifest.budget_s,
        only=options.only,
    )
    expected_s = expected_seconds(plan.cases, place.reports, manifest.gpu_slug)
    admit()
    return session.finish(tools, todo, expected_s)


@contextmanager
def _held(plan: Plan, options: BenchOptions, place: Place, screen: Screen) -> Iterator[None]:
    """The reports folder and the GPU are ours; says so if their last holder was killed."""
    with hold_reports(place.reports) as left:
        _say_left(left, screen)
        with _held_gpu(plan, options, screen, known=left):
            yield


@contextmanager
def _held_gpu(
    plan: Plan, options: BenchOptions, screen: Screen, known: Holder | None = None
) -> Iterator[None]:
    gpu = gpu_name(plan.choice, options)
    with hold_gpu(gpu) if gpu is not None else nullcontext() as left:
        _say_left(None if left == known else left, screen)
        yield


def _say_left(left: Holder | None, screen: Screen) -> None:
    if left is not None:
        screen.say(f"took over from a bench that was killed ({left})")


def _clock_fact(run_id: str, folder: Path, screen: Screen) -> dict[str, Fact]:
    """What is wrong with the clock, if an earlier run of this GPU is dated later than this one."""
    later = [path.parent.name for path in folder.glob(f"*/{MANIFEST}")]
    newest = max(later, default="")
    if newest <= run_id:
        return {}
    text = f"the clock was set back, or had been ahead: run {newest} is dated later than this one"
    screen.say(f"note: {text}")
    return {CLOCK_FACT: Fact(value=text)}


def _announce(
    plan: Plan, todo: list[Process], options: BenchOptions, place: Place, screen: Screen
) -> None:
    screen.say(f"run {plan.run_id}: matrix {plan.matrix}, preset {plan.cases[0].preset}")
    for line in foresee(plan, todo, options, place).lines:
        screen.say(line)


def _check_same_clips(plan: Plan, results: list[Result]) -> None:
    """Cases of one run are fed with the same files."""
    descriptions, _ = next(iter(plan.clips.values()))
    now = {clip.role: clip.sha256 for clip in descriptions}
    for result in results:
        for use in result.clips:
            before = use.sha256 if use.source == "file" else None
            if now.get(use.role) != before:
                raise UsageError(
                    f"the {use.role} clip is not the one that case {result.case_id} used",
                    next_step=f"give --{use.role} as for the first cases",
                )

"""`invoke bench`: the plan, the image, a preflight, the cases in order, the report.

Everything that can be known is checked before the first expensive step, and each record is on disk
before the next case starts. A run that was interrupted goes on with --resume.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.errors import (
    CaseError,
    DeviceError,
    EngineError,
    HarnessError,
    StorageError,
    UsageError,
)
from harness.host.choice import look
from harness.host.containers import DockerRunner
from harness.host.expected import expected_seconds
from harness.host.facts import command_line, commit_facts, host_facts
from harness.host.image import ensure_image, public_name
from harness.host.interruption import lock, stoppable
from harness.host.leftovers import sweep_containers, sweep_folders, temporary_folder
from harness.host.options import BenchOptions, Given, keep, recall, state_path
from harness.host.plan import Plan, measured_slug, new_plan, probable_slug, resumed_plan
from harness.host.processes import LocalRunner
from harness.host.runner import Runner, ended_without_record, utc_now
from harness.host.screen import Screen, duration
from harness.job import NOTE, Devices, Job, PreflightRequest
from harness.matrix import Case
from harness.privacy import Scrubber, host_scrubber, load_salt, salt_path
from harness.result import SCHEMA_VERSION, Fact, Failure, Record, Result
from harness.store import RECORD_LIMIT_BYTES, Manifest, RunFolder

Render = Callable[[Path], Path]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where things are on this host."""

    project: Path
    reports: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def bench(given: Given, place: Place, render: Render, screen: Screen) -> Path:
    """Runs or resumes a matrix; returns the report's path, which is also the last line shown.

    Raises HarnessError; CaseError at the end if cases failed.
    """
    folder = temporary_folder()
    try:
        with stoppable():
            if given.get("resume"):
                return _resume(given, place, render, screen, folder)
            return _start(given, place, render, screen, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(given: Given, place: Place, render: Render, screen: Screen, folder: Path) -> Path:
    options = BenchOptions.parse(given)
    plan = new_plan(options, lambda gpu: look(gpu, place.environment), place.project, folder)
    salt = load_salt(salt_path(place.environment))
    scrub = host_scrubber(place.project, options.placeholders)
    commit = commit_facts(place.project, place.environment)
    _announce(plan, plan.cases, options, place, screen)
    runner = _runner(plan, options, place, screen)
    devices = _preflight(runner, plan.cases, screen)
    slug = measured_slug(devices, plan.choice.device, options.gpu)
    expected_s = expected_seconds(plan.cases, place.reports, slug)
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
        expected_s=sum(expected_s.values()),
        facts={**host_facts(), **commit, **runner.facts()},
    )
    keep(options, state_path(plan.run_id, place.environment))
    run = RunFolder.create(place.reports, manifest)
    with lock(run.path):
        session = Session(run, runner, plan, salt, scrub, manifest.facts, screen)
        return session.finish(render, expected_s)


def _resume(given: Given, place: Place, render: Render, screen: Screen, folder: Path) -> Path:
    run = RunFolder.find(place.reports, str(given["resume"]))
    manifest = run.manifest()
    with lock(run.path):
        options = recall(given, state_path(manifest.run_id, place.environment))
        plan = resumed_plan(manifest, options, lambda gpu: look(gpu, place.environment), folder)
        done = run.load()
        _check_same_clips(plan, list(done.results.values()))
        cases = [case for case in plan.cases if case.id in done.missing]
        salt = load_salt(salt_path(place.environment))
        scrub = host_scrubber(place.project, options.placeholders)
        commit = commit_facts(place.project, place.environment)
        _announce(plan, cases, options, place, screen)
        runner = _runner(plan, options, place, screen)
        if cases:
            devices = _preflight(runner, cases, screen)
            slug = measured_slug(devices, plan.choice.device, options.gpu)
            if slug != manifest.gpu_slug:
                raise DeviceError(
                    f"run {manifest.run_id} was started on {manifest.gpu_slug}, this is {slug}",
                    next_step="start a new run here",
                )
        facts = {**host_facts(), **commit, **runner.facts()}
        session = Session(run, runner, plan, salt, scrub, facts, screen)
        return session.finish(render, expected_seconds(cases, place.reports, manifest.gpu_slug))


@dataclass(frozen=True)
class Session:
    """The cases of a run that are still to do, one after the other."""

    run: RunFolder
    runner: Runner
    plan: Plan
    salt: str
    scrub: Scrubber
    facts: dict[str, Fact]
    screen: Screen

    def finish(self, render: Render, expected_s: dict[str, float]) -> Path:
        """Runs the cases named in `expected_s` and renders the report. Raises CaseError."""
        cases = [case for case in self.plan.cases if case.id in expected_s]
        self.screen.plan(expected_s, total=len(self.plan.cases))
        failed = []
        try:
            for case in cases:
                self._check_space()
                self.screen.begin(case)
                record = self._measure(case)
                self.run.save(record)
                self.screen.end(record)
                if isinstance(record, Failure):
                    failed.append(case.id)
        except (HarnessError, KeyboardInterrupt):
            self.screen.say(f"stopped; go on with: {self.resume_command}")
            raise
        report = render(self.run.path)
        self.screen.say(str(report))
        if failed:
            raise CaseError(
                f"{len(failed)} of {len(self.plan.cases)} cases failed: {', '.join(failed)}",
                next_step=f"see the report; run them again with {self.resume_command}",
            )
        return report

    @property
    def resume_command(self) -> str:
        """What goes on with this run."""
        return f"invoke bench --resume {self.run.path.name}"

    def _measure(self, case: Case) -> Record:
        descriptions, files = self.plan.clips[case.width_px, case.height_px]
        job = Job(case=case, salt=self.salt, clips=descriptions)
        try:
            record = self.runner.run(job, files, self.screen.progress)
        except EngineError as error:
            self.run.save(self._lost_engine(case, error))
            raise
        return self._with_facts(record)

    def _with_facts(self, record: Record) -> Record:
        """The record with what only the host knows, and a failure's text without host names."""
        provenance = {**record.provenance, **self.facts}
        if isinstance(record, Result):
            return msgspec.structs.replace(record, provenance=provenance)
        return msgspec.structs.replace(
            record,
            provenance=provenance,
            message=" ".join(self.scrub(record.message).split()),
            detail=self.scrub(record.detail),
        )

    def _lost_engine(self, case: Case, error: EngineError) -> Record:
        failure = ended_without_record(
            case,
            category="infrastructure",
            message=error.what,
            tail="",
            exit_code=None,
            started=utc_now(),
        )
        return self._with_facts(failure)

    def _check_space(self) -> None:
        """Before a case is measured: is there room for its record?"""
        free_bytes = shutil.disk_usage(self.run.path).free
        if free_bytes < RECORD_LIMIT_BYTES:
            raise StorageError(
                f"{free_bytes >> 10} KiB are free for records, {RECORD_LIMIT_BYTES >> 10} needed",
                next_step="free space, then use --resume",
            )


def _announce(
    plan: Plan, cases: list[Case], options: BenchOptions, place: Place, screen: Screen
) -> None:
    expected_s = expected_seconds(cases, place.reports, probable_slug(plan.choice, options))
    preset = plan.cases[0].preset
    screen.say(f"run {plan.run_id}: matrix {plan.matrix}, preset {preset}")
    screen.say(f"runtime {plan.choice.runtime} on {plan.choice.device}: {plan.choice.reason}")
    count = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
    if len(cases) < len(plan.cases):
        count += f" of {len(plan.cases)} still to do"
    building = ", besides building the image" if plan.choice.runtime == "docker" else ""
    screen.say(f"{count}, expected to take {duration(sum(expected_s.values()))}{building}:")
    for case in cases:
        screen.say(f"  {case.id}  {duration(expected_s[case.id])}")


def _runner(plan: Plan, options: BenchOptions, place: Place, screen: Screen) -> Runner:
    """The runner of the plan's choice, its image built, and leftovers of dead runs removed."""
    sweep_folders()
    engine = plan.choice.engine
    if engine is None:
        caches = state_path("caches", place.environment).with_suffix("")
        return LocalRunner(
            project=place.project, weights_dir=plan.weights, gpu=options.gpu, warm_cache=caches
        )
    if removed := sweep_containers(engine, plan.run_id):
        screen.say(f"removed {removed} containers or volumes of interrupted runs")
    image = ensure_image(engine, place.project, options.image, screen.say)
    return DockerRunner(
        engine=engine,
        image=image,
        run_id=plan.run_id,
        way=plan.choice.way,
        weights_dir=plan.weights,
    )


def _preflight(runner: Runner, cases: list[Case], screen: Screen) -> Devices:
    devices = runner.preflight(PreflightRequest(cases=cases))
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

"""The processes of a run, one after the other: measure, keep, and look whether more are needed."""

import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.errors import CaseError, EngineError, HarnessError, StorageError
from harness.host.beside import BESIDE_FACT, Claim, claim, saving
from harness.host.interruption import check, shielded
from harness.host.plan import Plan
from harness.host.runner import Runner, ended_without_record, utc_now
from harness.host.screen import Screen, duration
from harness.job import Job
from harness.matrix import Case, Process, schedule
from harness.privacy import Scrubber
from harness.result import RECORD_LIMIT_BYTES, Fact, Failure, Record, Result
from harness.run import Run
from harness.store import RunFolder

MORE_PROCESSES = 2  # for a comparison that stayed undecided, once


@dataclass(frozen=True)
class Tools:
    """What a run needs of analysis and report, handed in by the task."""

    render: Callable[[Path], Path]  # the report of a run's folder
    undecided: Callable[[Run], list[str]]  # ids of cases whose comparison needs more processes


@dataclass(frozen=True)
class Runners:
    """Where cases run: the plan's choice, and the host itself for bare cases."""

    chosen: Runner
    bare: Runner

    def of(self, case: Case) -> Runner:
        """The runner of a case."""
        return self.bare if case.bare else self.chosen


@dataclass(frozen=True, kw_only=True)
class Session:
    """The processes of a run that are still to do."""

    run: RunFolder
    runners: Runners
    plan: Plan
    salt: str
    scrub: Scrubber
    facts: dict[str, Fact]  # of host and commit; the runner adds its own
    screen: Screen
    budget_s: float | None = None
    only: str | None = None  # patterns that narrow what is measured of a run now
    _started_s: float = field(default_factory=time.monotonic)

    def finish(self, tools: Tools, todo: list[Process], expected_s: dict[str, float]) -> Path:
        """Measures `todo` and renders the report. `expected_s` is by case id. Raises CaseError."""
        failed: list[str] = []
        try:
            failed += self._measure_all(todo, expected_s)
            if extra := self._extension(tools, expected_s):
                failed += self._measure_all(extra, expected_s)
        except (HarnessError, KeyboardInterrupt):
            self.screen.tell(f"stopped; go on with: {self.resume_command}")
            raise
        report = tools.render(self.run.path)
        self.screen.tell(str(report))
        if failed:
            planned = len(schedule(self.plan.cases))
            noun = "cases" if planned == len(self.plan.cases) else "processes"
            raise CaseError(
                f"{len(failed)} of {planned} {noun} failed: {', '.join(failed)}",
                next_step=f"see the report; run them again with {self.resume_command}",
            )
        return report

    @property
    def resume_command(self) -> str:
        """What goes on with this run."""
        narrowed = f" --only {shlex.quote(self.only)}" if self.only else ""
        return f"invoke bench --resume {self.run.path.name}{narrowed}"

    def _measure_all(self, todo: list[Process], expected_s: dict[str, float]) -> list[str]:
        """Measures and keeps each process; returns the labels of those that failed."""
        before = len(self.run.load().finished)
        expected = {process.label: expected_s[process.case.id] for process in todo}
        self.screen.plan(expected, total=before + len(todo))
        failed = []
        lost_before = False
        for process in todo:
            check()
            self._check_space()
            with claim(self.run.path, process) as ours:
                if ours is None:
                    self.screen.skip(process)
                    continue
                self.screen.begin(process)
                record, lost = self._measure_claimed(process, ours)
                self.screen.end(record)
            if isinstance(record, Failure):
                failed.append(process.label)
            if lost is not None:
                self._go_on_after(lost, process, lost_before=lost_before)
            lost_before = lost is not None
        return failed

    def _measure_claimed(self, process: Process, ours: Claim) -> tuple[Record, EngineError | None]:
        """The record, on disk, and the engine's error if it went away meanwhile."""
        lost: EngineError | None = None
        ours.look()
        try:
            record = self._measure(process)
        except EngineError as error:
            lost, record = error, self._lost_engine(process, error)
        ours.look()
        if ours.beside:
            beside = {BESIDE_FACT: Fact(value=ours.beside)}
            record = msgspec.structs.replace(record, provenance={**record.provenance, **beside})
        with shielded():
            with saving(self.run.path):
                self.run.save(record)
            ours.end()
        return record, lost

    def _go_on_after(self, lost: EngineError, process: Process, *, lost_before: bool) -> None:
        """Waits for the engine; raises EngineError if it stays away, or fails twice in a row."""
        if lost_before:
            raise lost
        self.screen.say("waiting for the container engine")
        self.runners.of(process.case).recover()

    def _extension(self, tools: Tools, expected_s: dict[str, float]) -> list[Process]:
        """More processes for comparisons that are undecided, as far as the budget allows.

        None for a run that --only narrows: both sides of a comparison get as many.
        """
        run = self.run.load()
        if self.budget_s is None or self.only or run.todo:
            return []
        left_s = self.budget_s - (time.monotonic() - self._started_s)
        undecided = set(tools.undecided(run))
        extra = [
            Process(case, case.processes + number)
            for number in range(MORE_PROCESSES)
            for case in run.manifest.cases
            if case.id in undecided and len(run.processes[case.id]) == case.processes
        ]
        needed_s = sum(expected_s.get(process.case.id, 0.0) for process in extra)
        if not extra:
            return []
        names = ", ".join(dict.fromkeys(process.case.id for process in extra))
        if needed_s > left_s or any(process.case.id not in expected_s for process in extra):
            self.screen.say(
                f"undecided: {names}; {duration(max(left_s, 0))} of the budget are left, "
                f"{duration(needed_s)} would be needed for {MORE_PROCESSES} more processes each"
            )
            return []
        self.screen.say(f"undecided: {names}; {MORE_PROCESSES} more processes each")
        return extra

    def _measure(self, process: Process) -> Record:
        case, runner = process.case, self.runners.of(process.case)
        descriptions, files = self.plan.clips[case.width_px, case.height_px]
        own = self.plan.pipeline
        job = Job(
            case=case,
            salt=self.salt,
            clips=descriptions,
            process=process.number,
            pipeline=own.file if own else None,
        )
        files = [*files, own.copy] if own else files
        trace = self.run.trace(case.id) if case.profile and process.number == 0 else None
        return self._completed(runner.run(job, files, self.screen.progress, trace), process)

    def _completed(self, record: Record, process: Process) -> Record:
        """The record with what only the host knows, and a failure's text without host names."""
        provenance = {**record.provenance, **self.facts, **self.runners.of(process.case).facts()}
        if isinstance(record, Result):
            profile = record.profile
            if profile is not None:
                trace = self.run.trace(record.case_id)
                name = str(trace.relative_to(self.run.path)) if trace.is_file() else None
                profile = msgspec.structs.replace(profile, trace=name)
            return msgspec.structs.replace(
                record, provenance=provenance, process=process.number, profile=profile
            )
        return msgspec.structs.replace(
            record,
            provenance=provenance,
            process=process.number,
            message=" ".join(self.scrub(record.message).split()),
            detail=self.scrub(record.detail),
        )

    def _lost_engine(self, process: Process, error: EngineError) -> Record:
        failure = ended_without_record(
            process.case,
            category="infrastructure",
            message=error.what,
            tail="",
            exit_code=None,
            started=utc_now(),
        )
        return self._completed(failure, process)

    def _check_space(self) -> None:
        """Before a case is measured: is there room for its record?"""
        free_bytes = shutil.disk_usage(self.run.path).free
        if free_bytes < RECORD_LIMIT_BYTES:
            raise StorageError(
                f"{free_bytes >> 10} KiB are free for records, {RECORD_LIMIT_BYTES >> 10} needed",
                next_step="free space, then use --resume",
            )

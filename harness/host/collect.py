"""`invoke collect`: makes a run of what a submission brought back.

Records come from a cluster's node and are read as a stranger's: regular files, within limits, of
the job that they lie beside. Each goes through the same session that `invoke bench` has.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.errors import CaseError, RecordError, UsageError
from harness.host.beside import hold_run
from harness.host.choice import Choice
from harness.host.containers import install_facts
from harness.host.locks import hold_reports
from harness.host.plan import Plan
from harness.host.ready import Place
from harness.host.runner import Notify, ended_without_record, explain, keep_trace, read_record
from harness.host.screen import Screen
from harness.host.session import Runners, Session, Tools
from harness.host.submission import EXIT_CODE, INSTALL, JOBS, OUTPUT, SUBMITTED_FACT, folder_of
from harness.intake import parse_json, read_file, refuse_links
from harness.job import RECORD_FILE, TRACE_FILE, Devices, Job, PreflightRequest
from harness.matrix import Process, schedule
from harness.privacy import host_scrubber
from harness.result import RECORD_LIMIT_BYTES, Fact, Record, Result
from harness.run import Manifest, slug
from harness.store import RunFolder

TRACE_LIMIT_BYTES = 256 * 2**20
NUMBER_LIMIT_BYTES = 16


@dataclass(frozen=True)
class Brought:
    """A runner that measures nothing: its cases have run, and it reads what they left."""

    folder: Path
    manifest: Manifest

    def preflight(self, request: PreflightRequest) -> Devices:
        """There is none: the cases have run. Raises RecordError."""
        raise RecordError("a submitted run has no preflight")

    def recover(self) -> None:
        """Nothing to wait for: there is no engine."""

    def facts(self) -> dict[str, Fact]:
        """What the plan says of the image, and the image of its packages."""
        submitted = self.manifest.facts[SUBMITTED_FACT].value
        where = Fact(value=None, reason=f"the run was submitted ({submitted})")
        report = self._file(self.folder / INSTALL, RECORD_LIMIT_BYTES)
        if report is not None:
            parse_json(report)
        plan = {
            key: fact
            for key, fact in self.manifest.facts.items()
            if key.startswith(("image.", "container.", "run."))
        }
        return {"engine.version": where, "engine.gpu_way": where, **install_facts(report), **plan}

    def run(self, job: Job, clips: list[Path], notify: Notify, trace: Path | None = None) -> Record:
        """The record of a job that has ended. Raises RecordError for one that is another case's."""
        order = schedule(self.manifest.cases)
        folder = self.job(order.index(Process(job.case, job.process)))
        blob = self._file(folder / RECORD_FILE, RECORD_LIMIT_BYTES)
        if blob is not None:
            exported = self._file(folder / TRACE_FILE, TRACE_LIMIT_BYTES) if trace else None
            if trace is not None and exported is not None:
                keep_trace(exported, trace)
            return read_record(blob, job.case)
        code = (self._file(folder / EXIT_CODE, NUMBER_LIMIT_BYTES) or b"").strip()
        ended = int(code) if code.isdigit() else None
        category, message = explain(ended, place="process", tail="")
        return ended_without_record(
            job.case,
            category=category,
            message=f"{message}; its output is in {OUTPUT} of job {folder.name}",
            tail="",
            exit_code=ended,
            started=self.manifest.created_utc,
        )

    def job(self, number: int) -> Path:
        """Folder of a job by its place in the order."""
        return self.folder / JOBS / folder_of(number)

    def ended(self) -> list[Process]:
        """Processes with a record, or that ended without one."""
        return [
            process
            for number, process in enumerate(schedule(self.manifest.cases))
            if any((self.job(number) / name).is_file() for name in (RECORD_FILE, EXIT_CODE))
        ]

    def gpu_slug(self) -> str:
        """Folder name of the GPU, as the first finished case names it.

        Raises UsageError where none has finished.
        """
        for process in self.ended():
            record = self.run(Job(case=process.case, salt="", process=process.number), [], _ignore)
            if isinstance(record, Result):
                name = record.provenance.get("gpu.name")
                known = slug(str(name.value)) if name and name.value else ""
                return "cpu" if process.case.device == "cpu" else known or "unknown-gpu"
        raise UsageError(
            f"no case of submission {self.folder.name} has finished",
            next_step=f"wait for it, or see {JOBS}/*/{OUTPUT} there",
        )

    def _file(self, path: Path, limit_bytes: int) -> bytes | None:
        """A file of the submission, None if it is not there. Raises RecordError."""
        try:
            refuse_links(self.folder, path)
            return read_file(path, limit_bytes)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            name = path.relative_to(self.folder)
            raise RecordError(f"{name} of {self.folder.name} cannot be read ({error})") from error


def collect(source: str, place: Place, tools: Tools, screen: Screen) -> Path:
    """Adds what has ended to the run of a submission, made if there is none; its report's path.

    Raises UsageError for a folder that is none, RecordError for what does not fit, CaseError at
    the end if cases failed.
    """
    if not source or not (Path(source) / JOBS).is_dir():
        raise UsageError(
            f"'{source}' is no folder of a submission",
            next_step="give --source with the folder that `invoke submit` wrote",
        )
    folder = Path(source)
    manifest = RunFolder(folder).manifest()
    if SUBMITTED_FACT not in manifest.facts:
        raise UsageError(f"{folder.name} holds a run and no submission", next_step="see --source")
    brought = Brought(folder, manifest)
    plan = msgspec.structs.replace(manifest, gpu_slug=brought.gpu_slug())
    with hold_reports(place.reports):
        run = RunFolder(place.reports / plan.gpu_slug / plan.run_id)
        if not run.path.exists():
            run = RunFolder.create(place.reports, plan)
        with hold_run(run.path):
            return _add(run, plan, brought, place, tools, screen)


def _add(
    run: RunFolder, plan: Manifest, brought: Brought, place: Place, tools: Tools, screen: Screen
) -> Path:
    ended = brought.ended()
    todo = [process for process in run.load().todo if process in ended]
    missing = len(schedule(plan.cases)) - len(ended)
    if missing:
        screen.say(f"{missing} of {len(schedule(plan.cases))} processes have not ended yet")
    choice = Choice(runtime="docker", device=plan.cases[0].device, reason=plan.runtime_reason)
    sizes = {(case.width_px, case.height_px) for case in plan.cases}
    session = Session(
        run=run,
        runners=Runners(chosen=brought, bare=brought),
        plan=Plan(
            run_id=plan.run_id,
            matrix=plan.matrix,
            choice=choice,
            cases=plan.cases,
            clips={size: ([], []) for size in sizes},
            weights=None,
        ),
        salt="",
        scrub=host_scrubber(place.project, {}),
        facts={key: fact for key, fact in plan.facts.items() if not key.startswith("image.")},
        screen=screen,
    )
    try:
        return session.finish(tools, todo, {case.id: 0.0 for case in plan.cases})
    except CaseError as error:
        raise CaseError(
            error.what, next_step="see the report; submit those cases again with --only"
        ) from error


def _ignore(progress: object) -> None:
    """Progress of a case that has ended."""

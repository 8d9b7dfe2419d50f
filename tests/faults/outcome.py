"""What a fault did: what was seen and recorded, what was lost, wrong or left, and how long it took.

The same examination for every kind: the finished cases at the moment of the fault must be there to
the byte, the report of the interrupted run must name what is missing, `--resume` must complete the
run, its report must be whole, and nothing may be left.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.errors import HarnessError
from harness.report.render import render_run
from harness.store import RunFolder
from tests.faults.world import Child, Ended, World

FLAGS = ("the host slept", "the clock was set", "nothing was sampled", "telemetry ended early")
PARTIAL = "**Partial run.**"
RUN_ID = re.compile(r"\b\d{8}-\d{6}-[a-z]+\b")
VARIABLE = (
    (RUN_ID, "RUN"),
    (re.compile(r"\bprocess \d+"), "process N"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"\bvace-bench:[0-9a-f]{12}\b"), "vace-bench:TAG"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "ID"),
    (re.compile(r"(/[\w.-]+)+/reports/"), "reports/"),
    (re.compile(r"\b\d+\.\d+ s\b"), "T s"),
)


class Outcome(msgspec.Struct, kw_only=True):
    """One injection, as the committed table keeps it."""

    kind: str
    where: str  # local, docker or private engine
    moment_s: float | None  # after the start; null where an event gave the moment
    during: str  # the last line shown before
    sees: str
    record: str
    resume: str
    finished: int  # cases finished at that moment
    lost: int
    wrong: list[str]
    orphans: list[str]
    recovered_s: float | None  # until the next finished case was on disk


@dataclass
class Strike:
    """The moment of a fault."""

    moment_s: float | None
    during: str
    finished: dict[Path, bytes]
    at_s: float = field(default_factory=time.time)  # files have wall-clock times


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How the benches of a kind are started."""

    where: str
    arguments: list[str]
    child: Child = field(default_factory=dict)


Check = Callable[[World, Ended], list[str]]


def strike(world: World, output: str, moment_s: float | None = None) -> Strike:
    """A fault happens now."""
    lines = output.strip().splitlines()
    return Strike(
        moment_s, plain(lines[-1]) if lines else "before the first line", world.finished()
    )


def conclude(
    kind: str,
    world: World,
    setting: Setting,
    hit: Strike,
    ended: Ended,
    *,
    check: Check | None = None,
    at_once: bool = True,
    resumes: bool = True,
) -> Outcome:
    """Examines the run after the fault, resumes it and examines it again.

    `at_once`: the bench could clean up, so nothing may be left even before the resume. Without
    `resumes` the run is left as it is.
    """
    orphans = world.orphans() if at_once else []
    wrong = [] if check is None else check(world, ended)
    lost = missing_of(hit.finished, world)
    wrong += interrupted_report(world)
    seen, told = plain(ended.last), record_of(world)
    before = world.finished()
    resumed = "not needed"
    if resumes:
        resumed, problems = resume(world, setting)
        wrong += problems
    lost = max(lost, missing_of(hit.finished, world), missing_of(before, world))
    return Outcome(
        kind=kind,
        where=setting.where,
        moment_s=None if hit.moment_s is None else round(hit.moment_s, 2),
        during=hit.during,
        sees=f"exit {ended.code}: {seen}" if seen else f"exit {ended.code}",
        record=told,
        resume=resumed,
        finished=len(hit.finished),
        lost=lost,
        wrong=wrong,
        orphans=[*orphans, *world.orphans()],
        recovered_s=recovery_s(world, hit),
    )


def resume(world: World, setting: Setting) -> tuple[str, list[str]]:
    """Goes on with the run, or starts anew where there is none; what happened, and problems."""
    folder, before = world.run_folder, len(world.finished())
    child = {name: value for name, value in setting.child.items() if name != "clock_s"}
    if folder is None:
        ended, text = world.run(setting.arguments, child), "no run yet: started anew"
    else:
        ended = world.run(["bench", "--resume", folder.path.name], child)
        ran = len(world.finished()) - before
        text = f"{before} cases kept, {ran} run" if ran else f"{before} cases kept, nothing to run"
    problems = [] if ended.code == 0 else [f"the resume ended with {ended.code}: {ended.last}"]
    return text, problems + whole_report(world)


def missing_of(finished: dict[Path, bytes], world: World) -> int:
    """How many of these records are gone or changed."""
    now = world.finished()
    return sum(now.get(path) != blob for path, blob in finished.items())


def interrupted_report(world: World) -> list[str]:
    """What is wrong with the report of a run that may be unfinished."""
    folder = world.run_folder
    if folder is None:
        return []
    try:
        run = folder.load()
        text = render_run(folder.path).read_text()
    except HarnessError as error:
        return [f"the interrupted run cannot be read: {error.line}"]
    problems = [f"the report does not name {name}" for name in run.missing if name not in text]
    if bool(run.missing) != (PARTIAL in text):
        problems.append("the report is wrong about whether the run is whole")
    return problems


def whole_report(world: World) -> list[str]:
    """What is wrong with the report of a run that has been completed."""
    folder = world.run_folder
    if folder is None:
        return ["there is no run"]
    try:
        run = folder.load()
        report = folder.path / "report.md"
        text = report.read_text()
        again = render_run(folder.path).read_text()
    except (HarnessError, OSError) as error:
        return [f"the run cannot be read: {error}"]
    problems = [f"{name} is missing after the resume" for name in run.missing]
    if PARTIAL in text or text != again:
        problems.append("the report is not that of the whole run")
    planned = {case.id for case in run.manifest.cases}
    if set(run.results) - planned:
        problems.append("the run holds cases that were not planned")
    return problems


def record_of(world: World) -> str:
    """What the records say of the fault."""
    failures = world.failures()
    if failures:
        return plain(f"{failures[-1].category}: {failures[-1].message}")
    folder = world.run_folder
    if folder is None:
        return "no run yet"
    flags = [plain(flag) for result in world.results() for flag in result.flags]
    if told := [flag for flag in flags if flag.startswith(FLAGS)]:
        return f"every case finished; flagged: {told[0]}"
    left = len(RunFolder(folder.path).load().missing)
    return f"nothing of the case under way; {left} to do" if left else "every case finished"


def recovery_s(world: World, hit: Strike) -> float | None:
    """Seconds from the fault until the next finished case was on disk; None if none was left."""
    times = [path.stat().st_mtime for path in world.finished() if path not in hit.finished]
    later = [time_s - hit.at_s for time_s in times if time_s > hit.at_s]
    return round(min(later), 1) if later else None


def plain(line: str) -> str:
    """A line without what differs from one injection to the next."""
    for pattern, name in VARIABLE:
        line = pattern.sub(name, line)
    return line

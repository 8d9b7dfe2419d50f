"""Several GPUs of this host or several hosts at once, each a bench in a process of its own.

Either each measures a run of its own (--parallel), or all GPUs share one run (--split). The records
say how many other benches of this host were under way beside them.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.host.beside import claimed
from harness.host.in_turn import Compare, Kind, check_failed, say_comparison
from harness.host.interruption import stoppable
from harness.host.locks import hold_reports
from harness.host.options import Given
from harness.host.processes import ends_with
from harness.host.ready import Place
from harness.host.screen import Screen
from harness.store import RunFolder, runs

ANNOUNCED = "run "  # begins the line that names a run
KEPT = ("error: ", "stopped; ")  # begin lines that are shown also where the screen is quiet
POLL_S = 0.2
ID_S = 1.0  # resolution of a run's id


@dataclass
class Child:
    """A bench in a process of its own; its lines are passed on under its name."""

    name: str
    process: "subprocess.Popen[str]"
    screen: Screen
    run: str | None = None  # its run's id, once it has said so
    _reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def end(self) -> int:
        """Waits for its end and its last line; returns the exit code."""
        code = self.process.wait()
        self._reader.join()
        return code

    def _pass_on(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if self.run is None and line.startswith(ANNOUNCED):
                self.run = line.removeprefix(ANNOUNCED).partition(":")[0]
            show = self.screen.tell if line.startswith(KEPT) else self.screen.say
            show(f"{self.name}: {line.rstrip()}")


Start = Callable[[str, Given], Child]


def each_its_own(
    what: Kind,
    names: list[str],
    given: Given,
    place: Place,
    screen: Screen,
    compare: Compare,
) -> None:
    """A whole run on every host or GPU, all at once, then compared.

    Raises CaseError for those that fail.
    """
    shares = cpu_shares(len(names), given) if what == "gpu" else [None] * len(names)
    with hold_reports(place.reports), _children(screen, place.project) as start:
        children = []
        for number, (name, cpus) in enumerate(zip(names, shares, strict=True), start=1):
            shown = f"GPU {name}" if what == "gpu" else f"host {number}"
            children.append(start(shown, {**given, what: name, "cpus": cpus}))
            if what == "gpu":  # the first builds the image for all
                _wait_for_run(children[-1], place.reports)
            else:
                _wait_for_name(children[-1])
        failed = [name for name, child in zip(names, children, strict=True) if child.end()]
    found = {path.name: path for path in runs(place.reports)}
    own = [found[one.run] for one in children if one.run in found]
    _tell_reports(own, screen)
    say_comparison(own, screen, compare)
    check_failed(what, failed, names)


def one_for_all(gpus: list[str], given: Given, place: Place, screen: Screen) -> None:
    """One run, new or gone on with, whose processes the GPUs share.

    Raises CaseError for GPUs with failed cases.
    """
    shares = cpu_shares(len(gpus), given)
    with _children(screen, place.project) as start:
        first = start(f"GPU {gpus[0]}", {**given, "gpu": gpus[0], "cpus": shares[0]})
        run = _claimed_run(first, given, place.reports)
        children = [first]
        if run is not None:
            shared = {**given, "resume": None, "beside": str(run)}
            children += [
                start(f"GPU {gpu}", {**shared, "gpu": gpu, "cpus": cpus})
                for gpu, cpus in zip(gpus[1:], shares[1:], strict=True)
            ]
        failed = [gpu for gpu, child in zip(gpus, children, strict=False) if child.end()]
    _tell_reports([run] if run is not None else [], screen)
    check_failed("gpu", failed, gpus)


def cpu_shares(count: int, given: Given) -> list[str | None]:
    """CPUs for each of `count` benches at once, none of another's.

    Four benches on all of 64 CPUs took up to 224 s to load weights, with their own CPUs 5 to 12
    (docs/log.md). With --cpus, another host or too few CPUs it is left as it was given.
    """
    cpus = sorted(os.sched_getaffinity(0))
    each = len(cpus) // count
    if given.get("cpus") or given.get("host") or not each:
        return [(given.get("cpus") and str(given["cpus"])) or None] * count
    parts = [cpus[each * index : each * (index + 1)] for index in range(count)]
    return [
        f"{part[0]}-{part[-1]}" if part[-1] - part[0] == each - 1 else ",".join(map(str, part))
        for part in parts
    ]


def words(given: Given) -> list[str]:
    """Options as they are typed."""
    typed: list[str] = []
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            typed.append(option)
        elif value:
            typed += [option, str(value)]
    return typed


def _wait_for_run(child: Child, reports: Path) -> None:
    """Until its run is on disk, or it has ended without one."""
    while child.process.poll() is None:
        if child.run and any(reports.glob(f"*/{child.run}/run.json")):
            return
        time.sleep(POLL_S)


def _claimed_run(child: Child, given: Given, reports: Path) -> Path | None:
    """Its run, once it measures a process, so that others may help it, or has ended.

    None where there is no such run: it has ended before.
    """
    while True:
        ended = child.process.poll() is not None
        if ended:
            child.end()  # what it has said of its run is known now
        run = _folder(child, given, reports)
        if ended or (run is not None and claimed(run)):
            return run
        time.sleep(POLL_S)


def _folder(child: Child, given: Given, reports: Path) -> Path | None:
    """Of the run that it has named; by --resume it may lie elsewhere, or not alone by its id."""
    if child.run is None:
        return None
    if given.get("resume"):
        return RunFolder.find(reports, str(given["resume"])).path
    return next((path for path in runs(reports) if path.name == child.run), None)


def _tell_reports(runs_made: list[Path], screen: Screen) -> None:
    """The path of each report that there is, for whoever waits for it."""
    for report in (run / "report.md" for run in runs_made):
        if report.is_file():
            screen.tell(str(report))


def _wait_for_name(child: Child) -> None:
    """Until no other run can take its id, which is the second it began in, or it has ended."""
    while child.run is None and child.process.poll() is None:
        time.sleep(POLL_S)
    if child.run is not None:
        time.sleep(ID_S)


@contextmanager
def _children(screen: Screen, project: Path) -> Iterator[Start]:
    """Starts benches; none is left when the block ends, and each may clean up first."""
    started: list[Child] = []

    def start(name: str, given: Given) -> Child:
        command = [sys.executable, "-m", "invoke", "-r", str(project), "bench", *words(given)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C comes to us alone, and once to them
            preexec_fn=ends_with(os.getpid(), signal.SIGTERM),
        )
        started.append(Child(name, process, screen))
        return started[-1]

    with stoppable():
        try:
            yield start
        finally:
            for child in started:
                if child.process.poll() is None:
                    child.process.terminate()
            for child in started:
                child.end()

"""How far the numbers can be trusted: every target and planted truth of a self-check."""

from dataclasses import dataclass

from harness.analysis.overheads import component_sum, container_cost, telemetry_cost
from harness.analysis.planted import DELAY, Planted, planted
from harness.analysis.repeatability import (
    COMPILED,
    chunk_half_width,
    chunk_spread,
    compile_half_width,
    component_spread,
    fps_half_width,
    process_range,
)
from harness.analysis.targets import Check, Subject
from harness.matrix import Case
from harness.result import Result
from harness.run import Run


@dataclass(frozen=True)
class Trust:
    """What a self-check says."""

    run: Run
    results: tuple[Result, ...]  # processes of the case that carries the arms
    checks: tuple[Check, ...]
    planted: tuple[Planted, ...]


def trust(run: Run, compiled: Run | None = None) -> Trust:
    """All targets of a self-check; the compile ratio may come from another run of the GPU."""
    subject = _subject(run, compiled)
    checks = (
        component_spread(subject),
        chunk_spread(subject),
        process_range(subject, "busy"),
        process_range(subject, "busy_cycles"),
        process_range(subject, "wall"),
        process_range(subject, "wall_cycles"),
        chunk_half_width(subject),
        fps_half_width(subject),
        compile_half_width(subject),
        telemetry_cost(subject),
        container_cost(subject, "busy"),
        container_cost(subject, "wall"),
        component_sum(subject),
    )
    cases = [case for case in run.manifest.cases if case.kind == "paired" and not case.bare]
    truths = [item for case in cases for item in planted(run.processes.get(case.id, []))]
    return Trust(run, tuple(subject.paired), checks, tuple(truths))


def compiled_processes(run: Run) -> list[Result]:
    """Processes of the run's first case with a compiled arm; none if there is no such case."""
    cases = (case for case in run.manifest.cases if COMPILED in case.arms)
    return next((run.processes[case.id] for case in cases if case.id in run.processes), [])


def _subject(run: Run, compiled: Run | None) -> Subject:
    """A paired case without delays, its bare twin, and the isolated case of its mode.

    Delays take the profiler, and what it leaves behind is not known: such a case answers only
    where there is no other.
    """
    cases = [case for case in run.manifest.cases if case.id in run.processes]
    paired = [case for case in cases if case.kind == "paired" and not case.bare]
    chosen = max(paired, key=_fitness, default=None)

    def processes(fits: list[Case]) -> list[Result]:
        same = [case for case in fits if chosen is not None and _same_workload(case, chosen)]
        return run.processes[same[0].id] if same else []

    bare = processes([case for case in cases if case.kind == "paired" and case.bare])
    alone = processes([case for case in cases if case.kind == "isolated" and not case.compiled])
    source = compiled if compiled is not None and not compiled_processes(run) else run
    return Subject(
        run=run,
        paired=run.processes[chosen.id] if chosen else [],
        bare=bare,
        isolated=alone[0] if alone else None,
        compiled=compiled_processes(source),
        compiled_run=source,
    )


def _fitness(case: Case) -> tuple[bool, int]:
    has_delays = any(arm.startswith(DELAY) for arm in case.arms)
    return not has_delays, len(set(case.arms) - {COMPILED})


def _same_workload(a: Case, b: Case) -> bool:
    fields = ("mode", "preset", "width_px", "height_px", "vae", "attention", "weights")
    return all(getattr(a, field) == getattr(b, field) for field in fields)

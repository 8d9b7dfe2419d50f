"""The index over all runs: one table across GPUs, newest run of a GPU first."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.analysis.chunks import fps_over_processes
from harness.analysis.error_budget import budget_outputs, fastest_of
from harness.analysis.experiment import Location
from harness.analysis.fastest_targets import is_proven
from harness.analysis.fix_arms import ArmTimes
from harness.matrix import schedule
from harness.origin import ADDED, origin
from harness.report.beside import fixes_of_run
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Link,
    Source,
    Table,
    number,
    rate,
    ratio,
    table,
)
from harness.report.material import Material, of_all, plan
from harness.report.plots_runs import GpuBar, gpus_figure
from harness.report.sections.compiled import chunk_change
from harness.report.sections.fix_cells import FRAMES, wall_of
from harness.report.view import device_name
from harness.result import Result
from harness.run import Run
from harness.store import RunFolder
from harness.variants import BASELINE

PAGE = "README.md"  # of all GPUs, and of each


@dataclass(frozen=True)
class IndexView:
    """All runs in one table; None where there is none yet. The figure is of measurements alone."""

    rows: Table | None
    figure: bytes | None
    comparisons: Table | None


def index_view(runs: list[Run], comparisons: Table | None = None) -> IndexView:
    """Runs by GPU, newest first, and the comparisons that are kept beside them."""
    newest = newest_first(runs)
    ordered = sorted(newest, key=lambda run: (Material(run).functional_only, run.manifest.gpu_slug))
    heads = (
        "GPU",
        "Run",
        "Date",
        "Preset",
        "Matrix",
        "Runtime",
        ">Cases",
        ">Inpainting chunk (ms)",
        ">FPS",
        ">Stack of fixes (FPS)",
        ">Fastest stack (FPS)",
        ">Compiled / eager",
        "What it is",
        "From",
    )
    bars = _bars(newest)
    return IndexView(
        rows=table(heads, [_row(run) for run in ordered]),
        figure=gpus_figure(bars) if bars else None,
        comparisons=comparisons,
    )


def newest_first(runs: list[Run]) -> list[Run]:
    """Runs by the time in their ids."""
    return sorted(runs, key=lambda run: run.manifest.run_id, reverse=True)


def eager_inpainting(material: Material) -> Result | None:
    """The case whose chunk stands for a run: end to end, else the base arm of a paired one."""
    return material.plain("e2e", "inpainting") or material.plain("paired", "inpainting")


def at_home(cell: Cell, home: str) -> Cell:
    """A cell of a run with its sources as seen from outside of the run's folder `home`."""
    sources = tuple(s if s.startswith("rule#") else f"{home}/{s}" for s in cell.sources)
    return Cell(cell.text, sources, cell.form)


def _bars(newest: list[Run]) -> list[GpuBar]:
    """FPS of each GPU, fastest first: of the newest measurement with the most processes.

    A bar for the workload as it is, and one for each stack unless its output is worse.
    """
    found: dict[tuple[str, str], GpuBar] = {}
    for run in newest:
        material = Material(run)
        if material.functional_only or material.variants:
            continue
        for arm, fps in _rates(material):
            before = found.get((run.manifest.gpu_slug, arm))
            if before is None or fps.processes > before.fps.processes:
                words = [device_name(material).text, arm, run.manifest.created_utc[:10]]
                bar = GpuBar(", ".join(filter(None, words)), fps, changed=bool(arm))
                found[run.manifest.gpu_slug, arm] = bar
    return sorted(found.values(), key=lambda bar: -bar.fps.value)


def _rates(material: Material) -> Iterator[tuple[str, Location]]:
    """FPS of a run's inpainting: of the workload as it is (no name), and of its whole stacks."""
    result = eager_inpainting(material)
    if result is not None and result.case.variant == BASELINE:  # else no baseline has finished
        fps = fps_over_processes(material.processes(result))
        if fps is not None:
            yield "", fps
    for stack in (_proven_stack(material), _proven_fastest(material)):
        if stack is not None:
            yield stack.arm, stack.fps


def _proven_stack(material: Material) -> ArmTimes | None:
    """The whole stack of fixes in inpainting, unless its output is worse or not proven."""
    fixes = fixes_of_run(material)
    last = fixes.final if fixes is not None else None
    if last is None or last.output is None or last.output.fails:
        return None
    return last.times if last.times.case.mode == "inpainting" else None


def _proven_fastest(material: Material) -> ArmTimes | None:
    """The stack that allows an error, in inpainting, if this run proves that it is within it."""
    outputs = budget_outputs(material.run.processes)
    times = (found.fastest for found in fastest_of(material.run.processes))
    proven = (one for one in times if one.case.mode == "inpainting" and is_proven(one, outputs))
    return next(proven, None)


def _stack(times: ArmTimes | None) -> Cell:
    if times is None:
        return NOTHING
    return rate(times.fps.value, *wall_of(times), *of_all(times.results, FRAMES))


def _row(run: Run) -> tuple[Inline | str, ...]:
    material = Material(run)
    manifest = run.manifest
    home = f"{manifest.gpu_slug}/{manifest.run_id}"

    def at(path: str) -> str:
        return f"{home}/{plan(path)}"

    chunk, fps, compiled = _figures(material)
    presets = ", ".join(sorted({case.preset for case in manifest.cases}))
    return (
        Link(at_home(device_name(material), home), f"{manifest.gpu_slug}/{PAGE}"),
        Link(Cell(manifest.run_id, (at("/run_id"),)), f"{home}/report.md"),
        Cell(manifest.created_utc[:10], (at("/created_utc"),)),
        presets,
        Cell(manifest.matrix, (at("/matrix"),)),
        "container" if manifest.runtime == "docker" else "local",
        Cell(_done(run), (at("/cases"),)),
        at_home(chunk, home),
        at_home(fps, home),
        at_home(_stack(_proven_stack(material)), home),
        at_home(_stack(_proven_fastest(material)), home),
        at_home(compiled, home),
        _kind(material, at("/cases/*/variant")),
        _from(run, home),
    )


def _done(run: Run) -> str:
    """Cases that have all their processes; and processes, where that says more."""
    cases, planned = len(run.manifest.cases), len(schedule(run.manifest.cases))
    words = f"{cases - len(run.missing)} of {cases}"
    if not run.missing or planned == cases:
        return words
    return f"{words}; {planned - len(run.todo)} of {planned} processes"


def _kind(material: Material, source: Source) -> Cell:
    """What a run is good for, and of which variant it is."""
    kind = "functional check" if material.functional_only else "measurement"
    if material.own:
        at = source.replace("/variant", "/pipeline")
        return Cell(f"{kind}, pipeline {material.own}", (at,))
    names = ", ".join(material.variants)
    return Cell(f"{kind}, variant {names}", (source,)) if names else Cell(kind)


def _from(run: Run, home: str) -> Cell:
    """Ours, or who sent it."""
    added = origin(RunFolder(run.path))
    if added is None:
        return Cell("ours")
    by = f" by {added.by}" if added.by else ""
    return Cell(f"contributed{by}", (f"{home}/{ADDED}#/by",))


def _figures(material: Material) -> tuple[Cell, Cell, Cell]:
    """Chunk time, FPS and compile ratio of the plain inpainting case."""
    result = eager_inpainting(material)
    chunk = fps = compiled = NOTHING
    own = (BASELINE, *material.variants)  # a variant beside baselines does not stand for them
    if result is not None and result.case.variant in own:
        processes = material.processes(result)
        wall = of_all(processes, "/chunks/*/wall_ms")
        frames = of_all(processes, "/chunks/*/frames")
        times, rates = material.chunk(result), fps_over_processes(processes)
        chunk = number(times.value if times else None, *wall)
        fps = rate(rates.value if rates else None, *frames, *wall)
    change = chunk_change(material)
    if change is not None:
        compiled = ratio(change.ratio, *change.sources)
    return chunk, fps, compiled

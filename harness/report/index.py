"""The index over all runs: one table across GPUs, newest run of a GPU first."""

from dataclasses import dataclass

from harness.analysis.chunks import fps_over_processes
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
from harness.report.sections.compiled import chunk_change
from harness.report.view import device_name
from harness.store import Run


@dataclass(frozen=True)
class IndexView:
    """All runs in one table; None where there is none yet."""

    rows: Table | None


def index_view(runs: list[Run]) -> IndexView:
    """Runs by GPU, newest first."""
    newest = sorted(runs, key=lambda run: run.manifest.run_id, reverse=True)
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
        ">Compiled / eager",
        "What it is",
    )
    return IndexView(table(heads, [_row(run) for run in ordered]))


def _row(run: Run) -> tuple[Inline | str, ...]:
    material = Material(run)
    manifest = run.manifest
    home = f"{manifest.gpu_slug}/{manifest.run_id}"

    def at(path: str) -> str:
        return f"{home}/{plan(path)}"

    def inside(cell: Cell) -> Cell:
        """A cell of the run with its sources as seen from the index."""
        sources = tuple(s if s.startswith("rule#") else f"{home}/{s}" for s in cell.sources)
        return Cell(cell.text, sources, cell.form)

    chunk, fps, compiled = _figures(material)
    finished = len(manifest.cases) - len(run.missing)
    presets = ", ".join(sorted({case.preset for case in manifest.cases}))
    return (
        inside(device_name(material)),
        Link(Cell(manifest.run_id, (at("/run_id"),)), f"{home}/report.md"),
        Cell(manifest.created_utc[:10], (at("/created_utc"),)),
        presets,
        Cell(manifest.matrix, (at("/matrix"),)),
        "container" if manifest.runtime == "docker" else "local",
        Cell(f"{finished} of {len(manifest.cases)}", (at("/cases"),)),
        inside(chunk),
        inside(fps),
        inside(compiled),
        _kind(material, at("/cases/*/variant")),
    )


def _kind(material: Material, source: Source) -> Cell:
    """What a run is good for, and of which variant it is."""
    kind = "functional check" if material.functional_only else "measurement"
    if material.own:
        at = source.replace("/variant", "/pipeline")
        return Cell(f"{kind}, pipeline {material.own}", (at,))
    names = ", ".join(material.variants)
    return Cell(f"{kind}, variant {names}", (source,)) if names else Cell(kind)


def _figures(material: Material) -> tuple[Cell, Cell, Cell]:
    """Chunk time, FPS and compile ratio of the plain inpainting case."""
    result = material.plain("e2e", "inpainting")
    chunk = fps = compiled = NOTHING
    if result is not None:
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

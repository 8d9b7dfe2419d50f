"""The page of one GPU: all its runs, and how a chunk's time went from run to run."""

from dataclasses import dataclass

from harness.analysis.chunks import base_arm, fps_over_processes
from harness.analysis.comparisons import over_processes
from harness.analysis.experiment import Location
from harness.presets import PRESETS
from harness.report.cells import (
    INTERVAL,
    NOTHING,
    Cell,
    Inline,
    Line,
    Link,
    Table,
    between,
    count,
    line,
    number,
    rate,
    table,
)
from harness.report.index import at_home, eager_inpainting, newest_first
from harness.report.material import Material, of, of_all, plan
from harness.report.plots_runs import RunPoint, trend_figure
from harness.report.sections.verdict import doubts
from harness.report.view import device_name
from harness.run import Run
from harness.variants import BASELINE

COMMIT_CHARACTERS = 10
LEAST_POINTS = 2  # of a trend


@dataclass(frozen=True)
class GpuView:
    """One GPU's page; `figure` is None where fewer than two runs can be shown in one."""

    title: Line
    functional_only: bool
    rows: Table | None
    figure: bytes | None


def gpu_view(runs: list[Run]) -> GpuView:
    """The page over all runs of one GPU; there is at least one."""
    ordered = newest_first(runs)
    materials = [Material(run) for run in ordered]
    points = [point for one in reversed(materials) if (point := _point(one)) is not None]
    heads = (
        "Run",
        "Date",
        "Commit",
        "torch",
        "Driver",
        "Variant",
        ">Chunk, wall (ms)",
        INTERVAL,
        ">Processes",
        ">GPU busy (ms)",
        ">FPS",
        "Low confidence",
    )
    return GpuView(
        title=line(at_home(device_name(materials[0]), ordered[0].manifest.run_id)),
        functional_only=all(material.functional_only for material in materials),
        rows=table(heads, [_row(material) for material in materials]),
        figure=trend_figure(points) if len(points) >= LEAST_POINTS else None,
    )


def _row(material: Material) -> tuple[Inline | str, ...]:
    manifest = material.run.manifest
    cells = (
        Cell(manifest.created_utc[:10], (plan("/created_utc"),)),
        _commit(material),
        material.fact_cell("torch.version"),
        material.fact_cell("gpu.driver"),
        *_times(material),
    )
    name = Cell(manifest.run_id, (plan("/run_id"),))
    home = manifest.run_id
    linked = Link(at_home(name, home), f"{home}/report.md")
    return (linked, *(at_home(cell, home) for cell in cells))


def _commit(material: Material) -> Cell:
    """The first characters of the commit, which name it well enough."""
    cell = material.fact_cell("git.commit")
    known = cell.sources and not cell.text.startswith("not ")
    return Cell(cell.text[:COMMIT_CHARACTERS], cell.sources, "code") if known else cell


def _times(material: Material) -> list[Cell]:
    """Variant, wall time with interval and processes, busy time, FPS, and what speaks against."""
    result = eager_inpainting(material)
    wall = material.chunk(result) if result is not None else None
    if result is None or wall is None:
        return [NOTHING] * 7
    processes = material.processes(result)
    at, frames = of_all(processes, "/chunks/*/wall_ms"), of_all(processes, "/chunks/*/frames")
    busy, fps = _busy(material), fps_over_processes(processes)
    variant = result.case.variant
    return [
        NOTHING if variant == BASELINE else Cell(variant, (of(result, "/case/variant"),), "code"),
        number(wall.value, *at),
        between(number, wall.low, wall.high, *at),
        count(len(processes), *at),
        number(busy.value if busy else None, *of_all(processes, "/busy/*/busy_ms")),
        rate(fps.value if fps else None, *frames, *at),
        doubts(material, [result]),
    ]


def _busy(material: Material) -> Location | None:
    result = eager_inpainting(material)
    if result is None:
        return None
    return over_processes(material.processes(result), "busy", base_arm(result.case))


def _point(material: Material) -> RunPoint | None:
    """A run that can stand beside the others: the workload as it is, at its preset's size."""
    result = eager_inpainting(material)
    wall = material.chunk(result) if result is not None else None
    if result is None or wall is None or result.case.variant != BASELINE:
        return None
    preset = PRESETS[result.case.preset]
    if (result.case.width_px, result.case.height_px) != (preset.width_px, preset.height_px):
        return None
    run_id, matrix = material.run.manifest.run_id, material.run.manifest.matrix
    return RunPoint(f"{run_id.removesuffix(f'-{matrix}')}\n{matrix}", wall, _busy(material))

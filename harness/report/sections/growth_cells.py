"""What the parts on growth share: titles of the axes, a point's place, its rate, its sources."""

from harness.analysis.growth import AxisName, GrowthPoint
from harness.report.cells import Cell, Source
from harness.report.material import of
from harness.report.sections.fix_cells import BUSY, FRAMES, WALL

TITLES: dict[AxisName, str] = {
    "size": "Size of a frame",
    "steps": "Denoising steps",
    "window": "Window of the KV cache, latent frames",
}
SHORT: dict[AxisName, str] = {
    "size": "the size of a frame",
    "steps": "the number of steps",
    "window": "the window",
}


def place_cell(name: AxisName, point: GrowthPoint) -> Cell:
    """Where a point stands on its axis."""
    case = point.case
    if name == "size":
        sources = (of(point.result, "/case/width_px"), of(point.result, "/case/height_px"))
        return Cell(f"{case.width_px}x{case.height_px}", sources)
    value = case.steps if name == "steps" else case.window
    return Cell(str(value), (of(point.result, f"/case/{name}"),))


def wall_of(point: GrowthPoint) -> tuple[Source, ...]:
    """Where its wall time lies."""
    return (of(point.result, WALL),)


def busy_of(point: GrowthPoint) -> tuple[Source, ...]:
    """Where its GPU-busy time lies; nowhere on a CPU."""
    return () if point.busy_ms is None else (of(point.result, BUSY),)


def fps_sources(point: GrowthPoint) -> tuple[Source, ...]:
    """Where its frames a second come from."""
    return (*wall_of(point), of(point.result, FRAMES))

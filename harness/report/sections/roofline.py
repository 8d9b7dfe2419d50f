"""Roofline: the least time of each part on this GPU, by arithmetic and measured rates."""

from dataclasses import dataclass

from harness.analysis.roofline import ATTENTION_ROLES, Floor, Roofline, roofline
from harness.profiled import Ceilings
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Source,
    Table,
    decimals,
    line,
    ms,
    number,
    percent,
    table,
)
from harness.report.material import Material, case_label, of
from harness.report.sections.profiling import profiled_modes
from harness.result import Result


@dataclass(frozen=True)
class RooflineSection:
    """The roofline of the first profiled mode, those of the others below it."""

    title: Cell
    rates: Line
    whole: Line
    rows: Table | None


def roofline_sections(material: Material) -> tuple[RooflineSection, ...]:
    """One for each profiled case with measured rates."""
    found = []
    for result in profiled_modes(material):
        lines, ceilings = roofline(result), result.ceilings
        if lines is not None and ceilings is not None:
            found.append(_section(result, lines, ceilings))
    return tuple(found)


def _section(result: Result, found: Roofline, ceilings: Ceilings) -> RooflineSection:
    return RooflineSection(
        title=case_label(result),
        rates=_rates(result, ceilings),
        whole=_whole(result, found),
        rows=_rows(result, found),
    )


def _rates(result: Result, ceilings: Ceilings) -> Line:
    words: list[Inline | str] = ["Measured on this GPU: matrix products "]
    words += [tera(ceilings.matmul_flops_per_s, "FLOP/s", of(result, MATMUL)), ", copies "]
    words += [tera(ceilings.copy_bytes_per_s, "B/s", of(result, COPY)), " read and written"]
    for name, role in ATTENTION_ROLES.items():
        rate = ceilings.attention_flops_per_s.get(role)
        if rate is not None:
            words += [f", {name} "]
            words += [tera(rate, "FLOP/s", of(result, f"/ceilings/attention_flops_per_s/{role}"))]
    return line(*words, ".")


MATMUL, COPY = "/ceilings/matmul_flops_per_s", "/ceilings/copy_bytes_per_s"


def tera(value: float | None, unit: str, source: Source) -> Cell:
    """A rate in units of a million million a second."""
    return Cell(f"{decimals((value or 0.0) / 1e12)} T{unit}", (source,))


def _whole(result: Result, found: Roofline) -> Line:
    path = found.slot.path
    at = (of(result, "/case"), of(result, MATMUL), of(result, COPY))
    busy_ms = found.slot.chunk.busy_ms
    busy = of(result, f"{path}/busy_ms")
    words: list[Inline | str] = ["All parts at their floor: ", ms(found.floor_ms, *at), ", "]
    words += [percent(found.floor_ms / busy_ms, *at, busy), " of the measured GPU-busy time of "]
    words += [ms(busy_ms, busy), "; parts without a floor take "]
    words += [ms(found.uncovered_ms, of(result, f"{path}/parts/*/device_ms"))]
    return line(*words, ".")


def _rows(result: Result, found: Roofline) -> Table | None:
    rows = [_row(result, found.slot.path, floor) for floor in found.floors]
    heads = (
        "Kind of work",
        ">TFLOP",
        ">GB",
        ">Floor (ms)",
        "Bound by",
        ">Measured (ms)",
        ">Floor / measured",
        ">Above the floor (ms)",
    )
    return table(heads, rows)


def _row(result: Result, path: str, floor: Floor) -> tuple[Inline | str, ...]:
    case = of(result, "/case")
    least = (case, of(result, MATMUL), of(result, COPY))
    measured = tuple(of(result, f"{path}/parts/{index}/device_ms") for index in floor.indices)
    at = (*least, *measured)
    return (
        Cell(floor.name, measured or (case,)),
        Cell(decimals(floor.flops / 1e12), (case,)) if floor.flops else NOTHING,
        Cell(decimals(floor.moved_bytes / 1e9), (case,)),
        number(floor.floor_ms, *least),
        floor.bound,
        number(floor.device_ms, *measured),
        percent(floor.share, *at),
        number(floor.above_ms if floor.device_ms is not None else None, *at),
    )

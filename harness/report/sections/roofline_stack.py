"""Distance to the roofline: each kind of work of the stacks beside its floor, and why so."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.analysis.floor_reasons import LIMITS, above_limit, longest, power_cap, reasons
from harness.analysis.least_work import Rate
from harness.analysis.profile import main_slot
from harness.analysis.roofline_stack import (
    KindFloor,
    StackRoofline,
    rate_of,
    replays,
    stack_roofline,
)
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
    ratio,
    table,
)
from harness.report.material import Material, case_label, of
from harness.report.sections.roofline import COPY, MATMUL, tera
from harness.report.words import sentence

ATTENTION = "/ceilings/attention_flops_per_s"
# Rate -> its name, and where it stands in the record.
RATES: dict[Rate, tuple[str, str]] = {
    "matmul": ("matrix products", MATMUL),
    "fp8": ("matrix products in FP8", "/ceilings/fp8_matmul_flops_per_s"),
    "cached_self": ("self-attention", f"{ATTENTION}/cached_self"),
    "vace_self": ("VACE self-attention", f"{ATTENTION}/vace_self"),
    "cross": ("cross-attention", f"{ATTENTION}/cross"),
}


@dataclass(frozen=True)
class StackFloors:
    """One profiled variant."""

    title: Cell
    rates: Line
    whole: Line
    power: Line | None
    rows: Table | None
    below: Line | None
    reasons: tuple[Line, ...]


@dataclass(frozen=True)
class FloorSection:
    """The section; of a profile that cannot tell kinds of work, it says why."""

    limit: Cell
    stacks: tuple[StackFloors, ...]
    untold: tuple[Line, ...]


def stack_rooflines(material: Material) -> list[StackRoofline]:
    """Of the first profiled process of each variant's cases, in plan order."""
    processes = (one for result in material.end_to_end for one in material.processes(result))
    found: dict[str, StackRoofline] = {}
    for result in processes:
        if result.case_id not in found and (lines := stack_roofline(result)) is not None:
            found[result.case_id] = lines
    return list(found.values())


def floor_section(material: Material) -> FloorSection | None:
    """None where no variant has a profile of a GPU with measured rates."""
    found, untold = stack_rooflines(material), tuple(_untold(material))
    if not found and not untold:
        return None
    limit = Cell(f"{LIMITS['FLOOR_RATIO_LIMIT']:g}", ("rule#FLOOR_RATIO_LIMIT",))
    return FloorSection(limit, tuple(_floors(one) for one in found), untold)


def floor_sentences(material: Material) -> list[Line]:
    """What the overview says of each stack: GPU time over its floors, where it loses most."""
    found = [(case_label(one.result), one) for one in stack_rooflines(material)]
    return [
        line(Cell(f"{name.text}.", name.sources, "strong"), " ", _whole(one)) for name, one in found
    ]


def _untold(material: Material) -> Iterator[Line]:
    """Profiled variants whose kernels are replayed from a CUDA graph."""
    for result in material.end_to_end:
        slot = main_slot(result.profile)
        if slot is not None and slot.chunk.busy_ms and replays(result.case):
            name = Cell(result.case_id, (of(result, "/case_id"),), "code")
            yield line(
                name,
                ": its kernels are replayed from a CUDA graph, so the profile knows neither what "
                "launched them nor where. Profile it without that graph, as the matrix ",
                Cell("floors", form="code"),
                " does.",
            )


def _floors(found: StackRoofline) -> StackFloors:
    return StackFloors(
        title=case_label(found.result),
        rates=_rates(found),
        whole=_whole(found),
        power=_power(found),
        rows=_rows(found),
        below=_below(found),
        reasons=tuple(_reason(found, kind) for kind in found.kinds if above_limit(kind)),
    )


def _rates(found: StackRoofline) -> Line:
    result, copy = found.result, found.ceilings.copy_bytes_per_s
    words: list[Inline | str] = ["Measured beside the case: copies "]
    words += [tera(copy, "B/s", of(result, COPY)), " read and written"]
    for rate, (name, path) in RATES.items():
        if (value := rate_of(found.ceilings, rate)) is not None:
            words += [f", {name} ", tera(value, "FLOP/s", of(result, path))]
    return line(*words, ".")


def _whole(found: StackRoofline) -> Line:
    busy_ms, slot = found.slot.chunk.busy_ms, found.slot
    busy = of(found.result, f"{slot.path}/busy_ms")
    words: list[Inline | str] = ["The GPU works ", ms(busy_ms, busy), " of a chunk. "]
    floor_ms = found.floor_ms
    if floor_ms is None:
        return line(*words, "The floor of all of it is not known: a rate is missing.")
    at = _floor_sources(found, found.kinds)
    words += ["All kinds at their floor: ", ms(floor_ms, *at), ", measured over floor "]
    return line(*words, ratio(busy_ms / floor_ms, busy, *at), ".", *_furthest(found))


def _furthest(found: StackRoofline) -> list[Inline | str]:
    """The kind that takes most milliseconds beyond its floor; nothing where none is above it."""
    gaps = [(kind.gap_ms, kind) for kind in found.kinds if kind.gap_ms is not None]
    gap_ms, most = max(gaps, key=lambda one: one[0], default=(0.0, None))
    if most is None or gap_ms <= 0:
        return []
    at = (*_at(found, *most.time.paths), *_floor_sources(found, (most,)))
    return [f" Furthest above its floor: {most.name}, by ", ms(gap_ms, *at), "."]


def _power(found: StackRoofline) -> Line | None:
    words = power_cap(found)
    if words is None:
        return None
    return line("Beside the profile ", sentence(words, of_result=found.result), ".")


def _rows(found: StackRoofline) -> Table | None:
    rows = [_row(found, kind) for kind in found.kinds]
    if found.unattributed_ms > 0:
        at = _at(found, "/unattributed_ms", "/parts/*/device_ms", "/operators/*/device_ms")
        rows.append(
            (
                Cell("attributed to no kind", at),
                NOTHING,
                NOTHING,
                NOTHING,
                "not known",
                number(found.unattributed_ms, *at),
                NOTHING,
                NOTHING,
            )
        )
    heads = (
        "Kind of work",
        ">TFLOP",
        ">GB, at least",
        ">Floor (ms)",
        "Bound by",
        ">Measured (ms)",
        ">Measured / floor",
        ">Above the floor (ms)",
    )
    return table(heads, rows)


def _row(found: StackRoofline, kind: KindFloor) -> tuple[Inline | str, ...]:
    case, measured = of(found.result, "/case"), _at(found, *kind.time.paths)
    floor = _floor_sources(found, (kind,))
    return (
        Cell(kind.name, measured),
        Cell(decimals(kind.flops / 1e12), (case,)) if kind.flops else NOTHING,
        Cell(decimals(kind.moved_bytes / 1e9), (case,)) if kind.moved_bytes else NOTHING,
        number(kind.floor_ms, *floor),
        kind.bound or _no_floor(kind),
        number(kind.device_ms, *measured),
        ratio(kind.ratio, *measured, *floor),
        number(kind.gap_ms, *measured, *floor),
    )


def _no_floor(kind: KindFloor) -> str:
    """Why there is none."""
    if not kind.pieces:
        return "no floor: the cost model counts nothing here"
    return f"no floor: not measured: {', '.join(RATES[rate][0] for rate in kind.missing)}"


def _below(found: StackRoofline) -> Line | None:
    """Kinds bound by a measured rate that they exceed, and what that says; None without any."""
    words: list[Inline | str] = []
    for kind in found.kinds:
        if kind.gap_ms is not None and kind.gap_ms < 0 and kind.bound == "arithmetic":
            at = (*_at(found, *kind.time.paths), *_floor_sources(found, (kind,)))
            words += [", " * bool(words), Cell(kind.name, at), " by ", ms(-kind.gap_ms, *at)]
    if not words:
        return None
    return line(
        "Below the floor: ",
        *words,
        ". Such a floor is the rate of calls in a loop beside the case, at a clock that the record "
        "does not hold, and no bound. The sum of all floors counts it as it is.",
    )


def _reason(found: StackRoofline, kind: KindFloor) -> Line:
    name = Cell(f"{kind.name}:", _at(found, *kind.time.paths), "strong")
    words: list[Inline | str] = [name, " "]
    told = reasons(found, kind)
    for position, reason in enumerate(told):
        words += ["; " * bool(position), sentence(reason, of_result=found.result)]
    if not told:
        words.append("the record does not show why")
    if (most := longest(found, kind)) is None:
        return line(*words, ".")
    operator, share = most
    whose = " of the autoencoder's time " if kind.name.startswith("VAE") else " of it "
    words += [". Most", whose, "is launched by ", Cell(operator, _at(found, "/operators"), "code")]
    return line(*words, ": ", sentence(share, of_result=found.result), ".")


def _at(found: StackRoofline, *paths: str) -> tuple[Source, ...]:
    return tuple(of(found.result, path) for path in found.at(*paths))


def _floor_sources(found: StackRoofline, kinds: tuple[KindFloor, ...]) -> tuple[Source, ...]:
    """The case, whose work it is, and the rates that it was computed with."""
    rates = {piece.work.rate for kind in kinds for piece in kind.pieces} - {
        rate for kind in kinds for rate in kind.missing
    }
    paths = ["/case", *([COPY] if rates else [])]
    paths += [RATES[rate][1] for rate in sorted(rates)]
    return tuple(of(found.result, path) for path in paths)

"""Clock and power of arms, where the power cap holds one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.arm_power import (
    CLOCK,
    FLAGS,
    HELD_SHARE,
    HIGHEST,
    LIMIT,
    POWER,
    ArmPower,
    arms_power,
)
from harness.analysis.fix_arms import ArmTimes
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Source,
    Table,
    count,
    line,
    percent,
    table,
)
from harness.report.material import mode_label, of, of_all

COUNTER = "/gpu/counters/*/values/sw_power_cap_ns"


@dataclass(frozen=True)
class PowerSection:
    """A sentence for each arm that is held, all arms beside it, and how to read them."""

    sentences: tuple[Line, ...]
    rows: Table | None
    rule: Line


def power_section(arms: Sequence[ArmTimes]) -> PowerSection | None:
    """None where the power cap holds no arm, or nothing was sampled."""
    found = arms_power(arms)
    if not found:
        return None
    told = tuple(_sentence(one, found) for one in found if one.held)
    return PowerSection(told, _table(found), _rule())


def megahertz(value: float | None, *sources: Source) -> Cell:
    """A clock in whole MHz, in the unit of its column."""
    return NOTHING if value is None else Cell(f"{value:,.0f}", sources)


def watts(power: ArmPower) -> Cell:
    """Median power in whole watts."""
    return count(None if power.watts is None else round(power.watts), *_at(power, POWER))


def clock(power: ArmPower) -> Cell:
    """Median SM clock."""
    return megahertz(power.sm_clock_mhz, *_at(power, CLOCK))


def place(power: ArmPower, among: Sequence[ArmPower]) -> str:
    """Mode and size of an arm, where the arms are of several."""
    if len({_mode_and_size(one) for one in among}) < 2:
        return ""
    return _mode_and_size(power)


def _mode_and_size(power: ArmPower) -> str:
    case = power.results[0].case
    return f"{mode_label(case)}, {case.width_px}x{case.height_px}"


def _at(power: ArmPower, path: str) -> tuple[Source, ...]:
    return of_all(power.results, path)


def _sentence(power: ArmPower, among: Sequence[ArmPower]) -> Line:
    words: list[Inline | str] = [_name(power)]
    if where := place(power, among):
        words += [" (", Cell(where, (of(power.results[0], "/case"),)), ")"]
    words += [" is held by the GPU's power cap: its SM clock is "]
    words += [Cell(f"{clock(power).text} MHz", _at(power, CLOCK), "strong")]
    highest = () if power.highest_mhz is None else (of(power.results[0], HIGHEST),)
    if power.highest_mhz is not None:
        words += [" of ", megahertz(power.highest_mhz, *highest)]
    if power.watts is not None and power.limit_watts is not None:
        words += [", at ", Cell(f"{watts(power).text} W", _at(power, POWER)), " of "]
        words += [Cell(f"{power.limit_watts:,.0f}", (of(power.results[0], LIMIT),))]
    if power.at_most is not None:
        words += ["; that costs at most ", percent(power.at_most, *_at(power, CLOCK), *highest)]
        words += [" of its GPU time here"]
    if power.last_mhz is not None and power.last_mhz < power.sm_clock_mhz:
        last = Cell(f"{power.last_mhz:,.0f} MHz", _at(power, CLOCK))
        words += [". Its blocks end at ", last, ", nearer to what it would keep by itself"]
    return line(*words, ".")


def _name(power: ArmPower) -> Cell:
    return Cell(power.arm or "base", (of(power.results[0], "/case/arms"),), "code")


def _table(found: Sequence[ArmPower]) -> Table | None:
    several = any(place(power, found) for power in found)
    heads = (
        "Arm",
        *(["Mode and size"] if several else []),
        ">SM clock (MHz)",
        ">At the end of its blocks (MHz)",
        ">Power (W)",
        ">Chunks held by the power cap",
        ">Of chunks",
        ">Time held, by the counter",
    )
    return table(heads, [_row(power, found, several=several) for power in found])


def _row(power: ArmPower, among: Sequence[ArmPower], *, several: bool) -> list[Inline]:
    where = Cell(place(power, among), (of(power.results[0], "/case"),))
    return [
        _name(power),
        *([where] if several else []),
        clock(power),
        megahertz(power.last_mhz, *_at(power, CLOCK)),
        watts(power),
        count(power.capped, *_at(power, FLAGS)),
        count(power.chunks, *_at(power, FLAGS)),
        percent(power.capped_share, *_at(power, COUNTER)),
    ]


def _rule() -> Line:
    """When an arm is held, what bounds the cost, and what short blocks do to both."""
    return line(
        "An arm is held where NVML names the power cap in more than ",
        percent(HELD_SHARE, "rule#HELD_SHARE"),
        " of its timed chunks. The cost is an upper bound for these chunks: it takes all kernels "
        "to follow the SM clock, which copies do not. Blocks are short and begin in the state that "
        "the arm before left: the chunk after a held arm is capped too, and a held arm begins at a "
        "clock that it does not keep.",
    )

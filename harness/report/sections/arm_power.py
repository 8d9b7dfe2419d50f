"""Clock and power of the arms of a case, where the power cap holds one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.arm_power import ArmPower, arms_power
from harness.analysis.fix_arms import ArmTimes
from harness.report.cells import Cell, Inline, Line, Table, count, line, number, percent, table
from harness.report.material import of, of_all

CHUNKS, STATE = "/chunks/*/flags", "/chunks/*/state"
CLOCK, POWER = f"{STATE}/sm_clock_mhz", f"{STATE}/power_mw"
HIGHEST, LIMIT = "/provenance/gpu.max_sm_clock_mhz", "/provenance/gpu.power_limit_w"


@dataclass(frozen=True)
class PowerSection:
    """A sentence for each arm that is held, and all arms beside it."""

    sentences: tuple[Line, ...]
    rows: Table | None


def power_section(arms: Sequence[ArmTimes]) -> PowerSection | None:
    """None where the power cap holds no arm, or nothing was sampled."""
    found = arms_power(arms)
    if not found:
        return None
    return PowerSection(tuple(_sentence(one) for one in found if one.held), _table(found))


def _sentence(power: ArmPower) -> Line:
    results = power.times.results
    clock = Cell(f"{power.sm_clock_mhz:,.0f} MHz", of_all(results, CLOCK), "strong")
    words: list[Inline | str] = [_name(power)]
    words += [" is held by the GPU's power cap: its SM clock is ", clock]
    if power.highest_mhz is not None:
        words += [" of ", Cell(f"{power.highest_mhz:,.0f}", (of(results[0], HIGHEST),))]
    if power.watts is not None and power.limit_watts is not None:
        words += [", at ", Cell(f"{power.watts:,.0f} W", of_all(results, POWER)), " of "]
        words += [Cell(f"{power.limit_watts:,.0f}", (of(results[0], LIMIT),))]
    if power.at_most is not None:
        sources = (*of_all(results, CLOCK), of(results[0], HIGHEST))
        words += ["; that costs at most ", percent(power.at_most, *sources), " of its GPU time"]
    return line(*words, ".")


def _name(power: ArmPower) -> Cell:
    return Cell(power.times.arm, (of(power.times.results[0], "/case/arms"),), "code")


def _table(found: Sequence[ArmPower]) -> Table | None:
    heads = ("Arm", ">SM clock (MHz)", ">Power (W)", ">Chunks held by the power cap", ">Of chunks")
    rows = []
    for power in found:
        results = power.times.results
        watts = of_all(results, POWER) if power.watts is not None else ()
        rows.append(
            (
                _name(power),
                count(round(power.sm_clock_mhz), *of_all(results, CLOCK)),
                number(power.watts, *watts),
                count(power.capped, *of_all(results, CHUNKS)),
                count(power.chunks, *of_all(results, CHUNKS)),
            )
        )
    return table(heads, rows)

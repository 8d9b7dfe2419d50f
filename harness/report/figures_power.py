"""The figure of power: the arms that a section tells of, handed to the plot."""

from harness.analysis.arm_power import arms_power
from harness.analysis.error_budget import arms_once, fastest_of
from harness.report.beside import fixes_of_run
from harness.report.material import Material
from harness.report.plots_power import PowerRow, power_figure
from harness.report.sections.arm_power import place
from harness.report.sections.fixes import powered


def power_svg(material: Material) -> bytes | None:
    """Of the measured fixes, else of the fastest stack; None where the cap holds none of them."""
    fixes = fixes_of_run(material)
    found = arms_power(powered(fixes)) if fixes is not None else ()
    if not found:
        found = arms_power(arms_once(fastest_of(material.run.processes)))
    if not found:
        return None
    rows = []
    for power in found:
        where = place(power, found)
        rows.append(
            PowerRow(
                label=f"{power.arm} ({where})" if where else power.arm or "",
                watts=power.watts,
                clock_mhz=power.sm_clock_mhz,
                last_mhz=power.last_mhz,
                held=power.held,
            )
        )
    return power_figure(rows, found[0].limit_watts, found[0].highest_mhz)

"""WanVAE against TAE as a table, and what that says of the published recommendation."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.analysis.experiment import Verdict
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.fixes import too_few
from harness.analysis.vae_choice import VaeForm, vae_forms
from harness.report.cells import (
    INTERVAL,
    NOTHING,
    Cell,
    Inline,
    Line,
    Source,
    Table,
    between,
    line,
    number,
    ratio,
    table,
    with_interval,
)
from harness.report.material import Material, of, of_all
from harness.report.sections.fix_cells import (
    busy_cell,
    busy_of,
    call_cell,
    cost_cells,
    gain_line,
    wall_of,
)

LABELS = {"tae": "TAE", "wanvae": "WanVAE"}
HEADS = (
    "Form",
    "VAE",
    ">Wall (ms)",
    ">GPU-busy (ms)",
    ">FPS",
    ">Encode (ms)",
    ">Decode (ms)",
    with_interval("Wall time saved over as it is"),
    with_interval("Wall over the TAE's"),
    with_interval("GPU-busy over the TAE's"),
    "Verdict against the TAE",
    ">Peak memory",
    ">First chunk",
)


@dataclass(frozen=True)
class VaeSection:
    """The table and its verdict."""

    verdict: Line
    rows: Table | None


def vae_section(material: Material) -> VaeSection | None:
    """None where the run does not have both autoencoders."""
    forms = vae_forms(material.run.processes)
    verdict = vae_verdict(material)
    if verdict is None:
        return None
    return VaeSection(verdict, table(HEADS, [_row(form, forms) for form in forms]))


def vae_verdict(material: Material) -> Line | None:
    """What the run says of the published recommendation; None where it does not have both."""
    forms = vae_forms(material.run.processes)
    told = [form for form in forms if form.wall_over_tae is not None]
    if not told:
        return None
    busy = any(form.busy_over_tae is not None for form in told)
    measures = "wall time and then by GPU-busy time" if busy else "wall time"
    subject = Cell("WanVAE against TAE", ("published#advice_vae",))
    words: list[Inline | str] = ["The published recommendation about the VAE, ", subject]
    words += [f", measured. A chunk with the WanVAE over one with the TAE, by {measures}, each "]
    words += ["with its ", INTERVAL.label, ": "]
    for position, form in enumerate(told):
        words += ["; " * bool(position), f"{form.form} ", _wall(form, forms)]
        words += [" and ", _busy(form, forms)] if form.busy_over_tae is not None else []
        words += [", ", _call(form)]
    return line(*words, ". How the frames look was not compared.")


def _row(form: VaeForm, forms: list[VaeForm]) -> tuple[Inline | str, ...]:
    times, results = form.times, form.times.results
    cost = cost_cells(times)
    return (
        line(f"{form.form}, ", Cell(times.arm, (of(results[0], "/case/arms"),), "code")),
        LABELS[form.vae],
        cost[0],
        busy_cell(times),
        cost[3],
        number(form.encode_ms, *of_all(results, "/chunks/*/stage_ms/encode")),
        number(form.decode_ms, *of_all(results, "/chunks/*/stage_ms/decode")),
        gain_line(times.wall_change, wall_of(times)),
        _wall(form, forms),
        _busy(form, forms),
        _call(form),
        cost[4],
        cost[5],
    )


def _wall(form: VaeForm, forms: list[VaeForm]) -> Line:
    return _times(form.wall_over_tae, _both(form, forms, wall_of))


def _busy(form: VaeForm, forms: list[VaeForm]) -> Line:
    return _times(form.busy_over_tae, _both(form, forms, busy_of))


def _both(
    form: VaeForm, forms: list[VaeForm], at: Callable[[ArmTimes], tuple[Source, ...]]
) -> tuple[Source, ...]:
    """Times of both autoencoders in one form."""
    return tuple(source for one in forms if one.form == form.form for source in at(one.times))


def _times(found: Verdict | None, sources: tuple[Source, ...]) -> Line:
    """A ratio, with its interval where there is one."""
    if found is None:
        return line(NOTHING)
    value = ratio(found.ratio.value, *sources)
    interval = between(ratio, found.ratio.low, found.ratio.high, *sources)
    return line(value) if interval == NOTHING else line(value, " (", interval, ")")


def _call(form: VaeForm) -> Cell:
    few = too_few(form.times) if form.wall_over_tae is not None else ""
    return Cell(few) if few else call_cell(form.wall_over_tae, form.busy_over_tae)

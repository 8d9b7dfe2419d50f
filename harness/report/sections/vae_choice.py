"""WanVAE against TAE as a table, and what that says of the published recommendation."""

from dataclasses import dataclass

from harness.analysis.fixes import too_few
from harness.analysis.vae_choice import VaeForm, vae_forms
from harness.report.cells import (
    INTERVAL,
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    between,
    line,
    number,
    ratio,
    table,
)
from harness.report.material import Material, of, of_all
from harness.report.sections.fix_cells import cost_cells, gain_cells, wall_of

LABELS = {"tae": "TAE", "wanvae": "WanVAE"}
HEADS = (
    "Form",
    "VAE",
    "Arm",
    ">Wall (ms)",
    ">FPS",
    ">Encode (ms)",
    ">Decode (ms)",
    ">Gain on its own as it is",
    ">Times the TAE's",
    INTERVAL,
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
    told = [form for form in forms if form.against_tae is not None]
    if not told:
        return None
    subject = Cell("WanVAE against TAE", ("published#advice_vae",))
    words: list[Inline | str] = ["The published recommendation about the VAE, ", subject]
    words += [", measured. A chunk with the WanVAE over one with the TAE: "]
    for position, form in enumerate(told):
        few = too_few(form.times)
        call = few or (form.against_tae.call if form.against_tae else "undecided")
        words += ["; " * bool(position), f"{form.form} ", _times(form, forms), f" ({call})"]
    return line(*words, ". How the frames look was not compared.")


def _row(form: VaeForm, forms: list[VaeForm]) -> tuple[Inline | str, ...]:
    times, results = form.times, form.times.results
    cost = cost_cells(times)
    gain = gain_cells(times.wall_change, wall_of(times))[0]
    return (
        form.form,
        LABELS[form.vae],
        Cell(times.arm, (of(results[0], "/case/arms"),), "code"),
        cost[0],
        cost[3],
        number(form.encode_ms, *of_all(results, "/chunks/*/stage_ms/encode")),
        number(form.decode_ms, *of_all(results, "/chunks/*/stage_ms/decode")),
        gain,
        _times(form, forms),
        _interval(form, forms),
        _call(form),
        cost[4],
        cost[5],
    )


def _both(form: VaeForm, forms: list[VaeForm]) -> tuple[str, ...]:
    """Wall times of both autoencoders in one form."""
    same = [one for one in forms if one.form == form.form]
    return tuple(source for one in same for source in wall_of(one.times))


def _times(form: VaeForm, forms: list[VaeForm]) -> Cell:
    found = form.against_tae
    return NOTHING if found is None else ratio(found.ratio.value, *_both(form, forms))


def _interval(form: VaeForm, forms: list[VaeForm]) -> Cell:
    found = form.against_tae
    if found is None:
        return NOTHING
    return between(ratio, found.ratio.low, found.ratio.high, *_both(form, forms))


def _call(form: VaeForm) -> str:
    if form.against_tae is None:
        return "–"
    return too_few(form.times) or form.against_tae.call

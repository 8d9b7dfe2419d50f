"""A run as the templates print it: sections of cells, each number with its source."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.analysis.trust import Trust
from harness.matrix import Case, schedule
from harness.profiled import Timeline
from harness.report.beside import find_trust
from harness.report.cells import Cell, Line, Table, count, line
from harness.report.figures import draw, shown_timeline
from harness.report.material import Material, plan
from harness.report.sections.against import Against, against
from harness.report.sections.circumstances import Circumstances, circumstances
from harness.report.sections.compile_cover import compile_sentences
from harness.report.sections.compiled import Compiled, compiled_section
from harness.report.sections.components import ComponentGroup, component_groups
from harness.report.sections.described import described_cost
from harness.report.sections.fixes import FixSection, fix_section
from harness.report.sections.gpu import GpuSection, gpu_section
from harness.report.sections.limit import LimitSection, limit_section
from harness.report.sections.modes import Modes, modes_section
from harness.report.sections.overview import Overview, overview
from harness.report.sections.profiling import Profiling, profiling
from harness.report.sections.recommendations import Recommendations, recommendations
from harness.report.sections.roofline import RooflineSection, roofline_sections
from harness.report.sections.root_causes import CauseGroup, cause_groups
from harness.report.sections.setup import Reproduce, Setup, reproduce, setup
from harness.report.sections.stages import Stages, stages_section
from harness.report.sections.trust import TrustSection, trust_section
from harness.run import Run


@dataclass(frozen=True)
class RunView:
    """One report, in the order of its sections."""

    subject: Cell
    several: bool  # whether a case was measured by several processes
    own: bool  # a pipeline of the user's own: sections about the built-in workload are left out
    title: Line
    functional_only: bool
    partial: Line | None
    overview: Overview
    setup: Setup
    components: tuple[ComponentGroup, ...]
    compiled: Compiled | None
    modes: Modes
    stages: Stages
    profiling: Profiling | None
    described: Table | None
    roofline: tuple[RooflineSection, ...]
    compile_cover: tuple[Line, ...]
    causes: tuple[CauseGroup, ...]
    recommendations: Recommendations | None
    fixes: FixSection | None
    limit: LimitSection | None
    variant: Line | None
    gpu: GpuSection
    circumstances: Circumstances
    trust: TrustSection
    reproduce: Reproduce
    against: Against | None
    figures: frozenset[str]


@dataclass(frozen=True)
class Report:
    """What is rendered (`view`), the figures beside it by file name, and the drawn timeline."""

    view: RunView
    figures: dict[str, bytes]
    timeline: tuple[Case, Timeline] | None


BUILT_IN = "LongLive + VACE + TAE"
Draw = Callable[[Material, Trust | None], dict[str, bytes]]


def build(run: Run, draw: Draw = draw) -> Report:
    """The view of a run and its figures."""
    material = Material(run)
    found = find_trust(material)
    figures = draw(material, found.trust)
    view = RunView(
        subject=_subject(material),
        several=material.several,
        own=bool(material.own),
        title=line(device_name(material), *_changed(material)),
        functional_only=material.functional_only,
        partial=_partial(material),
        overview=overview(material),
        setup=setup(material),
        components=tuple(component_groups(material)),
        compiled=None if material.own else compiled_section(material),
        modes=modes_section(material),
        stages=stages_section(material),
        profiling=profiling(material),
        described=described_cost(material),
        roofline=roofline_sections(material),
        compile_cover=() if material.own else compile_sentences(material),
        causes=cause_groups(material),
        recommendations=recommendations(material),
        fixes=None if material.own else fix_section(material),
        limit=None if material.own else limit_section(material),
        variant=_variant(material),
        gpu=gpu_section(material),
        circumstances=circumstances(material),
        trust=trust_section(material, found),
        reproduce=reproduce(material),
        against=None if material.own else against(material),
        figures=frozenset(figures),
    )
    return Report(view, figures, shown_timeline(material))


def device_name(material: Material) -> Cell:
    """The GPU's name, or "CPU", or the name of the folder where no record says."""
    if all(case.device == "cpu" for case in material.run.manifest.cases):
        return Cell("CPU")
    found = material.fact("gpu.name")
    if found is not None and found[0].value is not None:
        return Cell(str(found[0].value), (found[1],))
    return Cell(material.run.manifest.gpu_slug, (plan("/gpu_slug"),))


def _subject(material: Material) -> Cell:
    """What was measured, as the title names it."""
    if material.own:
        return Cell(material.own, (plan("/cases/0/pipeline"),))
    return Cell(BUILT_IN)


def _variant(material: Material) -> Line | None:
    """Which variants the run is of; None for a run of baselines."""
    if not material.variants:
        return None
    return line("Changed workload", *_changed(material), ".")


def _changed(material: Material) -> list[Cell]:
    """Words for the variants of a run, to put behind its name."""
    text = ", ".join(material.variants)
    return [Cell(f", variant {text}", (plan("/cases/*/variant"),))] if text else []


def _partial(material: Material) -> Line | None:
    """How many of the planned cases, or of their processes, have a result, if not all."""
    run = material.run
    if not run.todo:
        return None
    planned = len(schedule(run.manifest.cases))
    what = "processes" if planned > len(run.manifest.cases) else "cases"
    return line(
        count(planned - len(run.todo), plan("/cases")),
        " of ",
        count(planned, plan("/cases")),
        f" planned {what} have a result.",
    )

"""Down to the limit: the fastest stack, floors, autoencoders, one fix less, growth, cold starts."""

from dataclasses import dataclass

from harness.report.cells import Line
from harness.report.material import Material
from harness.report.sections.fastest import (
    FastestSection,
    fastest_section,
    fastest_sentences,
)
from harness.report.sections.growth import (
    ColdSection,
    GrowthSection,
    cold_section,
    growth_section,
)
from harness.report.sections.growth_reach import growth_sentences
from harness.report.sections.leave_out import (
    LeaveOutSection,
    leave_out_section,
    leave_out_sentences,
)
from harness.report.sections.roofline_stack import (
    FloorSection,
    floor_section,
    floor_sentences,
)
from harness.report.sections.vae_choice import VaeSection, vae_section, vae_verdict


@dataclass(frozen=True)
class LimitSection:
    """Its parts; those that the run did not measure are absent."""

    fastest: FastestSection | None
    floors: FloorSection | None
    vae: VaeSection | None
    leave_out: LeaveOutSection | None
    growth: GrowthSection | None
    cold: ColdSection | None


def limit_section(material: Material) -> LimitSection | None:
    """None where the run has none of the parts."""
    found = LimitSection(
        fastest=fastest_section(material),
        floors=floor_section(material),
        vae=vae_section(material),
        leave_out=leave_out_section(material),
        growth=growth_section(material),
        cold=cold_section(material),
    )
    parts = (found.fastest, found.floors, found.vae, found.leave_out, found.growth, found.cold)
    return found if any(part is not None for part in parts) else None


def limit_sentences(material: Material) -> list[Line]:
    """What the overview says of the parts, in the section's order."""
    vae = vae_verdict(material)
    return [
        *fastest_sentences(material),
        *floor_sentences(material),
        *([vae] if vae is not None else []),
        *leave_out_sentences(material),
        *growth_sentences(material),
    ]

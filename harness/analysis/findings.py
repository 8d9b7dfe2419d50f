"""What a reader must know before using a number: small rules, each with evidence and a next step.

A finding never removes a value; it lowers the confidence in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.chunks import chunk_timing
from harness.analysis.gpu_state import REASONS_FIELD, phase_states
from harness.analysis.pooled import unequal_fixes, unequal_versions
from harness.analysis.stats import spread
from harness.result import Result

CHUNK_SPREAD_LIMIT = 0.01  # quartiles' distance over median of a chunk on an idle host
COMPONENT_SPREAD_LIMIT = 0.005
BESIDE = "run.beside"  # the fact of a process that other benches were beside
REASONS_SHOWN = 3
REASON_CHARACTERS = 100


@dataclass(frozen=True)
class Evidence:
    """A number that a finding rests on, its unit, and its path in the record or its rule."""

    value: float
    unit: Literal["count", "share", "s"]
    path: str

    @property
    def measured(self) -> bool:
        """Whether it was measured; else it is a limit."""
        return not self.path.startswith("rule#")


@dataclass(frozen=True)
class Finding:
    """One remark about one case: words and evidence in reading order, and what to do about it."""

    rule: str
    parts: tuple[str | Evidence, ...]
    next_step: str

    @property
    def gravity(self) -> float:
        """The largest measured number in it, to choose among processes by."""
        values = [part.value for part in self.parts if isinstance(part, Evidence) and part.measured]
        return max(values, default=0.0)


@dataclass(frozen=True)
class CaseFinding:
    """A remark about a case: that of its gravest process, and how many processes share it.

    None where it is about the processes together.
    """

    finding: Finding
    result: Result
    processes: int | None


def not_converged(result: Result) -> Finding | None:
    """Warm-up ended at its cap and not on a plateau."""
    convergence = result.convergence
    if convergence is None or convergence.converged:
        return None
    return Finding(
        "not converged",
        (
            "warm-up ended without a plateau after ",
            Evidence(convergence.chunks, "count", "/convergence/chunks"),
            f" chunks: {convergence.reason}",
        ),
        "raise warmup_max_s and warmup_max_chunks in a matrix file",
    )


def flagged_case(result: Result) -> Finding | None:
    """Flags of the whole case, such as a GPU that others used."""
    told = "warm-up not converged" if not_converged(result) is not None else None
    flags = [flag for flag in result.flags if told is None or not flag.startswith(told)]
    if not flags:
        return None
    text = f"the whole case is flagged: {', '.join(flags)}"
    return Finding("flagged case", (text,), "take its values with low confidence")


def flagged_samples(result: Result) -> Finding | None:
    """Steady chunks that carry flags, of every arm."""
    steady = [chunk for chunk in result.chunks if chunk.phase == "steady"]
    flagged = [chunk for chunk in steady if chunk.flags]
    if not flagged:
        return None
    names = sorted({flag for chunk in flagged for flag in chunk.flags})
    return Finding(
        "flagged samples",
        (
            Evidence(len(flagged), "count", "/chunks/*/flags"),
            " of ",
            Evidence(len(steady), "count", "/chunks/*/phase"),
            f" steady chunks are flagged: {', '.join(names)}",
        ),
        "take these values with low confidence and run the case again on an idle GPU",
    )


def throttled(result: Result) -> Finding | None:
    """Clock was taken away during the steady phase, by samples or by counters."""
    state = next((phase for phase in phase_states(result) if phase.phase == "steady"), None)
    if state is None or not (state.reasons or state.counters_ns):
        return None
    parts: list[str | Evidence] = []
    for label, samples in state.reasons.items():
        parts += [
            f", {label} in ",
            Evidence(samples, "count", f"/gpu/series/fields/{REASONS_FIELD}"),
            " of ",
            Evidence(state.samples, "count", "/gpu/series/t_s"),
            " samples",
        ]
    for name, nanoseconds in state.counters_ns.items():
        path = f"/gpu/counters/*/values/{name}"
        parts += [f", {name} rose by ", Evidence(nanoseconds / 1e9, "s", path)]
    return Finding(
        "throttled",
        ("clocks were held back in the steady phase", *parts),
        "look at power limit and cooling, and compare only runs with equal clocks",
    )


def wide_spread(result: Result) -> Finding | None:
    """Steady chunks that differ by more than an idle host explains."""
    timing = chunk_timing(result)
    if timing is None or timing.wall_ms.relative_iqr <= CHUNK_SPREAD_LIMIT:
        return None
    return Finding(
        "wide spread",
        (
            "the chunk's quartiles lie ",
            Evidence(timing.wall_ms.relative_iqr, "share", "/chunks/*/wall_ms"),
            " of the median apart, over the limit of ",
            Evidence(CHUNK_SPREAD_LIMIT, "share", "rule#CHUNK_SPREAD_LIMIT"),
        ),
        "run on an idle host: launch-bound work follows the host's CPU",
    )


def shared_host(result: Result) -> Finding | None:
    """Other benches of the same host were under way, on other GPUs."""
    beside = result.provenance.get(BESIDE)
    timed = result.components or chunk_timing(result) is not None
    if not timed or beside is None or not isinstance(beside.value, int) or not beside.value:
        return None
    return Finding(
        "shared host",
        (
            "other benches that were under way on this host, at most: ",
            Evidence(beside.value, "count", f"/provenance/{BESIDE}"),
        ),
        "take absolute wall times from a run made alone: the host's CPUs, memory and power are "
        "shared",
    )


def wide_components(result: Result) -> Finding | None:
    """Isolated components whose samples lie far apart."""
    parts: list[str | Evidence] = []
    for index, component in enumerate(result.components):
        summary = spread(component.wall_ms)
        if summary is not None and summary.relative_iqr > COMPONENT_SPREAD_LIMIT:
            evidence = Evidence(summary.relative_iqr, "share", f"/components/{index}/wall_ms")
            lead = ", " if parts else ": "
            parts += [f"{lead}{component.name} ({component.variant}) ", evidence]
    if not parts:
        return None
    limit = Evidence(COMPONENT_SPREAD_LIMIT, "share", "rule#COMPONENT_SPREAD_LIMIT")
    return Finding(
        "wide spread",
        ("quartiles lie further apart than ", limit, " of the median", *parts),
        "run on an idle host, with more chunks per block",
    )


def broken_graphs(result: Result) -> Finding | None:
    """torch.compile broke graphs or compiled again."""
    stats = result.compile
    if stats is None or not (stats.graph_breaks or stats.recompiles):
        return None
    reasons = [
        reason[:REASON_CHARACTERS] + "…" * (len(reason) > REASON_CHARACTERS)
        for reason in [*stats.break_reasons, *stats.recompile_reasons][:REASONS_SHOWN]
    ]
    return Finding(
        "compile",
        (
            "torch.compile met ",
            Evidence(stats.graph_breaks, "count", "/compile/graph_breaks"),
            " graph breaks and ",
            Evidence(stats.recompiles, "count", "/compile/recompiles"),
            f" recompile{'' if stats.recompiles == 1 else 's'}: "
            f"{'; '.join(reasons) or 'no reason recorded'}",
        ),
        "its time is of more graphs than one a component; the record holds all reasons",
    )


def sampler_trouble(result: Result) -> Finding | None:
    """The GPU's state is missing or was lost on the way."""
    gpu = result.gpu
    if result.case.device == "cpu" or (gpu.source != "none" and not gpu.events):
        return None
    reason = gpu.reason if gpu.source == "none" else "; ".join(gpu.events[:REASONS_SHOWN])
    text = f"the GPU's state is incomplete: {reason or 'no reason recorded'}"
    return Finding("GPU state", (text,), "see what invoke doctor says of the GPU")


def mixed_versions(processes: Sequence[Result]) -> Finding | None:
    """A run went on after the program or what it stands on had changed."""
    found = [*unequal_versions(processes), *unequal_fixes(processes)]
    if not found:
        return None
    return Finding(
        "mixed versions",
        (f"processes of one case ran with {'; '.join(found)}",),
        "see what changed between them, or measure all processes again with one",
    )


def doubts(*results: Result) -> list[str]:
    """Rules that make a comparison of these times doubtful, in short and each once."""
    rules = (not_converged, flagged_case, flagged_samples, throttled)
    found = [rule(result) for result in results for rule in rules]
    found.append(mixed_versions(results))
    return list(dict.fromkeys(finding.rule for finding in found if finding is not None))


RULES: tuple[Callable[[Result], Finding | None], ...] = (
    not_converged,
    flagged_case,
    flagged_samples,
    throttled,
    wide_spread,
    shared_host,
    wide_components,
    broken_graphs,
    sampler_trouble,
)
LIMITS: dict[str, float] = {
    "CHUNK_SPREAD_LIMIT": CHUNK_SPREAD_LIMIT,
    "COMPONENT_SPREAD_LIMIT": COMPONENT_SPREAD_LIMIT,
}


def findings(result: Result) -> list[Finding]:
    """All remarks about a case, in the order of the rules."""
    return [finding for rule in RULES if (finding := rule(result)) is not None]


def case_findings(processes: Sequence[Result]) -> list[CaseFinding]:
    """Remarks about a case, one for each rule however many processes it holds for."""
    told = []
    for rule in RULES:
        found = [(f, result) for result in processes if (f := rule(result)) is not None]
        if found:
            finding, result = max(found, key=lambda pair: pair[0].gravity)
            told.append(CaseFinding(finding, result, len(found)))
    if (together := mixed_versions(processes)) is not None:
        told.append(CaseFinding(together, processes[-1], None))
    return told

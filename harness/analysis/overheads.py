"""What the measuring itself adds: telemetry, the container, and parts that do not sum up."""

from collections.abc import Callable

from harness.analysis.causes import Quantity, Words
from harness.analysis.chunks import chunk_timing
from harness.analysis.comparisons import Measure, compare_arms, looks, process_values
from harness.analysis.components import component_times, residual
from harness.analysis.experiment import Ratio, Verdict, unpaired_ratio, verdict
from harness.analysis.targets import (
    PATHS,
    TARGETS,
    WORDS,
    Check,
    Name,
    Outcome,
    Subject,
    between_cause,
    host_cause,
    not_measured,
    tested,
    why_not,
    with_host,
)
from harness.arms import BASE_ARM
from harness.run import Run

NO_TELEMETRY = "no-telemetry"
BARE_FACT = "run.bare"


def telemetry_cost(subject: Subject) -> Check:
    """T4: what the sampler beside the workload costs, as a loss of FPS."""
    name: Name = ("T4", "cost of telemetry, loss of FPS", "TELEMETRY")
    found = compare_arms(subject.paired, NO_TELEMETRY, "wall") if subject.paired else None
    if found is None:
        return not_measured(name, "no case has an arm without telemetry")
    loss = 1 - found.ratio.value
    interval = _interval(found.ratio, lambda ratio: 1 - ratio)
    limit = TARGETS[name[2]]
    outcome: Outcome = "met" if interval and max(interval) <= limit else "undecided"
    if interval is not None and min(interval) > limit:
        outcome = "missed"
    readings = subject.read(subject.paired, *PATHS["wall"])
    busy = compare_arms(subject.paired, NO_TELEMETRY, "busy")
    cause = None
    if outcome == "missed":
        busy_loss = 1 - busy.ratio.value if busy else None
        cause = host_cause(subject, name[2], busy_loss, loss) or ("the sampler itself",)
    return tested(name, loss, interval, outcome, readings, cause)


def container_cost(subject: Subject, measure: Measure) -> Check:
    """T5: the container against the bare host, equivalent within the target or not."""
    target = "CONTAINER_BUSY" if measure == "busy" else "CONTAINER_WALL"
    name: Name = ("T5", f"container against bare host, {WORDS[measure]}", target)
    if not subject.bare:
        return not_measured(name, _why_no_bare(subject.run))
    found = _against_bare(subject, measure, TARGETS[target])
    if found is None:
        return not_measured(name, why_not(subject, measure))
    calls: dict[str, Outcome] = {"same": "met", "undecided": "undecided"}
    outcome = calls.get(found.call, "missed")
    value = found.ratio.value - 1
    both = [*subject.paired, *subject.bare]
    cause = None
    if outcome == "missed":
        busy = _against_bare(subject, "busy", TARGETS["CONTAINER_BUSY"])
        gap = abs(busy.ratio.value - 1) if busy and measure == "wall" else None
        host = host_cause(subject, "CONTAINER_BUSY", gap, abs(value), measure)
        cause = with_host(host, between_cause(subject, both, measure))
    interval = _interval(found.ratio, lambda ratio: ratio - 1)
    readings = subject.read(both, *PATHS[measure])
    return tested(name, value, interval, outcome, readings, cause)


def component_sum(subject: Subject) -> Check:
    """T6: components times calls, and the passes of the loop, against the chunk."""
    name: Name = ("T6", "chunk less the sum of its parts", "COMPONENT_SUM")
    first = subject.paired[0] if subject.paired else None
    timing = chunk_timing(first) if first is not None else None
    if first is None or timing is None or subject.isolated is None:
        return not_measured(name, "it needs a paired and an isolated case with results")
    rest = residual(component_times(subject.isolated, None), first, timing.wall_ms.median)
    if rest is None:
        return not_measured(name, "a component or a stage is missing")
    readings = (
        *subject.read([subject.isolated], "/components/*/wall_ms"),
        *subject.read([first], "/chunks/*/stage_ms", *PATHS["wall"]),
    )
    met = abs(rest.share) <= TARGETS[name[2]]
    gap = rest.gaps[0]
    cause: Words = (
        f"largest gap: {gap.name}, ",
        Quantity(gap.in_loop_ms, "ms", readings),
        " in the loop and ",
        Quantity(gap.isolated_ms, "ms", readings),
        " isolated",
    )
    outcome: Outcome = "met" if met else "missed"
    return tested(name, rest.share, None, outcome, readings, None if met else cause)


def _against_bare(subject: Subject, measure: Measure, limit: float) -> Verdict | None:
    """The container's processes over the bare ones, equivalent within the target or not."""
    bare = process_values(subject.bare, measure, BASE_ARM)
    inside = process_values(subject.paired, measure, BASE_ARM)
    if not bare or not inside:
        return None
    most_looks = max(looks(results[0].case) for results in (subject.paired, subject.bare))
    return verdict(unpaired_ratio(bare, inside), min_effect=limit, looks=most_looks)


def _why_no_bare(run: Run) -> str:
    if any(case.bare for case in run.manifest.cases):
        return "the bare case has no result"
    fact = run.manifest.facts.get(BARE_FACT)
    return (fact.reason if fact else None) or "no bare case was planned"


def _interval(ratio: Ratio, change: Callable[[float], float]) -> tuple[float, float] | None:
    """The ratio's interval as one of changes, lower end first."""
    if ratio.low is None or ratio.high is None:
        return None
    low, high = sorted((change(ratio.low), change(ratio.high)))
    return low, high

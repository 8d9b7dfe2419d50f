"""How well a measurement repeats: within a process, between fresh ones, and over all of them."""

from collections.abc import Callable, Sequence

from harness.analysis.causes import (
    Words,
    correlation_words,
    within_component,
    within_processes,
)
from harness.analysis.chunks import fps_over_processes, steady_chunks
from harness.analysis.comparisons import (
    Measure,
    compare_arms,
    over_processes,
    process_values,
    samples,
)
from harness.analysis.experiment import Verdict
from harness.analysis.interval import median
from harness.analysis.stats import spread
from harness.analysis.targets import (
    PATHS,
    STATE_PATH,
    WORDS,
    Check,
    Name,
    Subject,
    between_cause,
    held,
    host_cause,
    not_measured,
    why_not,
    with_host,
)
from harness.arms import BASE_ARM
from harness.result import Result

COMPILED = "compiled"
BUSY_TWIN: dict[Measure, Measure] = {"wall": "busy", "wall_cycles": "busy_cycles"}


def component_spread(subject: Subject) -> Check:
    """T1: the isolated component whose samples lie furthest apart."""
    name: Name = (
        "T1",
        "spread of the worst isolated component, quartiles over median",
        "COMPONENT_SPREAD",
    )
    isolated = subject.isolated
    if isolated is None or not isolated.components:
        return not_measured(name, "no isolated case has a result")
    spreads = [spread(component.wall_ms) for component in isolated.components]
    found = [(s.relative_iqr, index) for index, s in enumerate(spreads) if s is not None]
    if not found:
        return not_measured(name, "no component holds samples")
    value, index = max(found)
    component = isolated.components[index]
    readings = subject.read([isolated], f"/components/{index}/wall_ms")

    def cause() -> Words:
        best = within_component(isolated, component)
        words = correlation_words(best, "samples", len(component.wall_ms), readings)
        return (f"{component.name}: ", *words)

    return held(name, value, readings, cause)


def chunk_spread(subject: Subject) -> Check:
    """T1: the chunks of the process in which they lie furthest apart."""
    what = "spread of the chunk in the worst process, quartiles over median"
    name: Name = ("T1", what, "CHUNK_SPREAD")
    spreads = [(_relative_iqr(result, "wall"), result) for result in subject.paired]
    known = [(value, result) for value, result in spreads if value is not None]
    if not known:
        return not_measured(name, "no paired case has a result")
    value, worst = max(known, key=lambda pair: pair[0])

    def cause() -> Words:
        busy = _relative_iqr(worst, "busy")
        pairs = sum(len(steady_chunks(result)) for result in subject.paired)
        readings = subject.read(subject.paired, *PATHS["wall"], STATE_PATH)
        best = within_processes(subject.paired)
        words = correlation_words(best, "chunks", pairs, readings)
        return with_host(host_cause(subject, name[2], busy, value), words)

    return held(name, value, subject.read([worst], *PATHS["wall"]), cause)


def process_range(subject: Subject, measure: Measure) -> Check:
    """T2: how far the medians of fresh processes lie apart."""
    target = "PROCESS_CYCLES" if measure.endswith("cycles") else "PROCESS_TIME"
    where = "containers" if subject.run.manifest.runtime == "docker" else "processes"
    name: Name = ("T2", f"range of fresh {where}, {WORDS[measure]}", target)
    value = _range(subject.paired, measure)
    if value is None:
        return not_measured(name, why_not(subject, measure))

    def cause() -> Words:
        twin = BUSY_TWIN.get(measure)
        busy = _range(subject.paired, twin) if twin else None
        host = host_cause(subject, target, busy, value, measure)
        return with_host(host, between_cause(subject, subject.paired, measure))

    return held(name, value, subject.read(subject.paired, *PATHS[measure]), cause)


def chunk_half_width(subject: Subject) -> Check:
    """T3: half of the chunk time's interval over processes."""
    name: Name = ("T3", "half interval over processes, chunk time", "HALF_WIDTH")
    found = over_processes(subject.paired, "wall", BASE_ARM)
    value = found.relative_half_width if found else None
    if value is None:
        return not_measured(name, why_not(subject, "wall"))
    return held(
        name, value, subject.read(subject.paired, *PATHS["wall"]), _width_cause(subject, value)
    )


def fps_half_width(subject: Subject) -> Check:
    """T3: the same of FPS, which counts the time between chunks too."""
    name: Name = ("T3", "half interval over processes, FPS", "HALF_WIDTH")
    found = fps_over_processes(subject.paired)
    value = found.relative_half_width if found else None
    if value is None:
        return not_measured(name, why_not(subject, "wall"))
    readings = subject.read(subject.paired, "/chunks/*/frames", *PATHS["wall"])
    return held(name, value, readings, _width_cause(subject, value))


def compile_half_width(subject: Subject) -> Check:
    """T3: half of the interval of compiled over eager."""
    name: Name = ("T3", "half interval over processes, compiled over eager", "HALF_WIDTH")
    results, run = subject.compiled, subject.compiled_run
    found = compare_arms(results, COMPILED, "wall") if results else None
    value = _half_width(found)
    if value is None:
        return not_measured(name, "no paired case with a compiled arm has enough results")
    other = Subject(run, results, [], None, results, run)

    def cause() -> Words:
        busy = _half_width(compare_arms(results, COMPILED, "busy"))
        host = host_cause(other, name[2], busy, value)
        return with_host(host, between_cause(other, results, "wall"))

    return held(name, value, other.read(results, *PATHS["wall"]), cause)


def _width_cause(subject: Subject, value: float) -> Callable[[], Words]:
    def cause() -> Words:
        busy = over_processes(subject.paired, "busy", BASE_ARM)
        width = busy.relative_half_width if busy else None
        host = host_cause(subject, "HALF_WIDTH", width, value)
        return with_host(host, between_cause(subject, subject.paired, "wall"))

    return cause


def _half_width(found: Verdict | None) -> float | None:
    """Half of a ratio's interval over the ratio."""
    if found is None or found.ratio.low is None or found.ratio.high is None:
        return None
    return (found.ratio.high - found.ratio.low) / 2 / found.ratio.value


def _relative_iqr(result: Result, measure: Measure) -> float | None:
    summary = spread(samples(result, measure, BASE_ARM))
    return summary.relative_iqr if summary else None


def _range(results: Sequence[Result], measure: Measure) -> float | None:
    """Largest less smallest median of the processes, over their median."""
    values = process_values(results, measure, BASE_ARM)
    return (max(values) - min(values)) / median(values) if len(values) > 1 else None

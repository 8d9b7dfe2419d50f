"""Root causes in the state of things: compiling again, held clocks, memory at its limit."""

from harness.analysis.arm_power import CLOCK, HIGHEST, ArmPower, capped_words, case_power
from harness.analysis.chunks import base_arm, steady_chunks
from harness.analysis.claims import Ceiling, Measured, RootCause, Subject
from harness.analysis.gpu_state import phase_states
from harness.analysis.interval import median

LEAST_THROTTLED = 0.01  # of the steady phase, by the GPU's own counters
LEAST_MEMORY = 0.90  # peak over the memory there is
ALLOCATIONS = ("cudaMalloc", "cudaFree", "cuMemCreate", "cuMemUnmap")
LIMITS = {"LEAST_THROTTLED": LEAST_THROTTLED, "LEAST_MEMORY": LEAST_MEMORY}
WALL_PATH = "/chunks/*/wall_ms"
MORE_CLOCK = "a higher power limit or better cooling, if they are yours to set"
LESS_ENERGY = (
    "work that takes less energy (fewer bytes moved, a narrower type), or a higher power limit, if "
    "it is yours to set"
)


def compiling_again(subject: Subject) -> RootCause | None:
    """Graph breaks and recompiles, or compile work that reaches into the steady state."""
    chunks = steady_chunks(subject.result)
    working = [c for c in chunks if c.state is not None and c.state.compile_work]
    words = _broken(subject)
    if working:
        words += ["; " * bool(words)]
        words += [subject.read(len(working), "count", "/chunks/*/state/compile_work")]
        words += [" of ", subject.read(len(chunks), "count", "/chunks/*/phase")]
        words += [" steady chunks had something compiled"]
    if not words:
        return None
    ceiling = None
    calm = [chunk.wall_ms for chunk in chunks if chunk not in working]
    if subject.slot is not None and working and calm:
        lost_ms = sum(chunk.wall_ms - median(calm) for chunk in working) / len(chunks)
        ceiling = subject.ceiling(0.0, max(lost_ms, 0.0))
    return RootCause(
        id="compile",
        title="Recompilation and graph breaks",
        claim=("torch.compile met ", *words),
        ceiling=ceiling,
        ceiling_paths=(WALL_PATH, "/chunks/*/state/compile_work"),
        confidence="high" if working else "low",
        because="chunks that compile are told apart from those that do not"
        if working
        else "breaks split graphs; what that costs is not measured by counting them",
        fix="make shapes and control flow of the compiled parts static",
        experiment="run with TORCH_LOGS=recompiles,graph_breaks and remove the first reason",
        subject=subject,
    )


def _broken(subject: Subject) -> list[str | Measured]:
    """Breaks and recompiles of the case, or of the one that ran compiled beside it."""
    beside = (subject.compiled,) if subject.compiled is not None else ()
    for result in (subject.result, *beside, *subject.paired):
        stats = result.compile
        if stats is not None and (stats.graph_breaks or stats.recompiles):
            breaks = Measured(stats.graph_breaks, "count", (result,), ("/compile/graph_breaks",))
            again = Measured(stats.recompiles, "count", (result,), ("/compile/recompiles",))
            return [breaks, " graph breaks and ", again, " recompiles"]
    return []


def throttling(subject: Subject) -> RootCause | None:
    """The GPU held its clock back during the steady phase, by its power cap or by heat."""
    result = subject.result
    state = next((s for s in phase_states(result) if s.phase == "steady"), None)
    if state is None or not state.duration_s:
        return None
    held_s = {name: ns / 1e9 for name, ns in state.counters_ns.items()}
    if not held_s or max(held_s.values()) < LEAST_THROTTLED * state.duration_s:
        return None
    words: list[str | Measured] = ["the clock was held back in the steady phase:"]
    for position, (name, value_s) in enumerate(held_s.items()):
        words += [", " if position else " ", f"{name.removesuffix('_ns')} for "]
        words += [subject.read(value_s, "seconds", f"/gpu/counters/*/values/{name}")]
    power = case_power((result,), base_arm(result.case))
    capped = power is not None and power.held
    if power is not None and power.held:
        words += ["; ", *capped_words(power)]
    return RootCause(
        id="throttling",
        title="Power cap" if capped else "Throttling",
        claim=tuple(words),
        ceiling=_clock_ceiling(subject, power),
        ceiling_paths=(CLOCK, HIGHEST),
        confidence="medium",
        because="the counters say that it happened; the ceiling takes all work to follow the SM "
        "clock, which copies do not",
        fix=LESS_ENERGY if capped else MORE_CLOCK,
        experiment="compare cycles instead of times: they leave the clock out",
        subject=subject,
    )


def _clock_ceiling(subject: Subject, power: ArmPower | None) -> Ceiling | None:
    """Busy time at the sampled clock against the same at the highest clock."""
    if subject.slot is None or power is None or power.at_most is None:
        return None
    gained_ms = subject.busy_ms * power.at_most
    return subject.ceiling(gained_ms, gained_ms)


def memory_pressure(subject: Subject) -> RootCause | None:
    """Device memory near its end, or allocated and freed in a steady chunk."""
    words: list[str | Measured] = []
    memory, fact = subject.result.memory, subject.result.provenance.get("gpu.memory_total_bytes")
    peak = memory.device_peak_bytes if memory is not None else None
    total = fact.value if fact is not None else None
    if peak and isinstance(total, int) and 0 < LEAST_MEMORY * total <= peak:
        paths = ("/memory/device_peak_bytes", "/provenance/gpu.memory_total_bytes")
        words += ["peak memory is ", subject.read(peak / total, "share", *paths), " of the GPU's"]
    calls = {} if subject.slot is None else subject.slot.chunk.host_calls
    allocations = {name: calls[name] for name in ALLOCATIONS if calls.get(name)}
    for name, number in allocations.items():
        words += ["; " * bool(words), subject.in_chunk(number, "count", f"/host_calls/{name}")]
        words += [f" calls of {name} in a steady chunk"]
    if not words:
        return None
    return RootCause(
        id="memory",
        title="Memory pressure",
        claim=tuple(words),
        ceiling=None,
        ceiling_paths=(),
        confidence="medium" if allocations else "low",
        because="a steady chunk should take all memory from the allocator's cache"
        if allocations
        else "a high peak alone does not slow a chunk down",
        fix="a smaller size, or fewer clones of the cache",
        experiment="the same case with expandable segments, or at a smaller size",
        subject=subject,
    )

"""Root causes on the host: launches that come too late, waits for the GPU, other work beside it."""

from harness.analysis.chunks import steady_chunks
from harness.analysis.claims import Measured, RootCause, Subject, Words
from harness.analysis.interval import median
from harness.analysis.part_cells import ITEM_OPERATORS, reads_of
from harness.analysis.profile import LAUNCH_CAUSES
from harness.analysis.unprofiled import real_idle, waits_ms

LEAST_OTHER_CPU = 0.25  # busy share of all cores by other processes
LEAST_DRIFT = 0.10  # of a fixed piece of host work, between the fastest and the slowest block
RUN_QUEUE_PATH, CORES_PATH = "/chunks/*/state/run_queue", "/provenance/cpu.count/value"
GAP_PATH, ITEM_PATH = "/gaps/*/idle_ms", "/operators/*/calls"
LIMITS = {"LEAST_OTHER_CPU": LEAST_OTHER_CPU, "LEAST_DRIFT": LEAST_DRIFT}


def launch_overhead(subject: Subject) -> RootCause | None:
    """The GPU waits because the host is still on its way to the next launch."""
    slot = subject.slot
    if slot is None:
        return None
    idle = real_idle(subject.result, slot)
    gained_ms = sum(idle.get(cause, 0.0) for cause in LAUNCH_CAUSES)
    if not gained_ms:
        return None
    mean_us = 1e3 * slot.chunk.busy_ms / max(slot.chunk.kernels, 1)
    words: list[str | Measured] = ["the GPU waits ", subject.in_chunk(gained_ms, "ms", GAP_PATH)]
    words += [" of a chunk for launches, of "]
    words += [subject.in_chunk(slot.chunk.kernels, "count", "/kernels")]
    words += [" kernels and copies with a mean of "]
    words += [subject.in_chunk(mean_us, "us", "/kernels", "/busy_ms"), ": "]
    for position, cause in enumerate(c for c in LAUNCH_CAUSES if idle.get(c)):
        words += [", " * bool(position), f"{LAUNCH_WORDS[cause]} "]
        words += [subject.in_chunk(idle[cause], "ms", GAP_PATH)]
    return RootCause(
        id="launch",
        title="Kernel-launch overhead",
        claim=tuple(words),
        ceiling=subject.ceiling(0.0, gained_ms),
        ceiling_paths=subject.at(GAP_PATH),
        confidence="medium",
        because="the sum is that of unprofiled chunks; the split is of a profiled one, and does "
        "not tell which of it begins with a wait that left the queue empty",
        fix="capture the steady forwards in CUDA graphs, or launch fewer and larger kernels",
        experiment="a paired case whose second arm replays captured graphs: GPU-busy time must "
        "stay the same and wall time come down to it",
        subject=subject,
    )


LAUNCH_WORDS = {
    "launch": "inside launch calls",
    "operator": "inside operators between launches",
    "python": "in Python between operators",
}


def host_waits(subject: Subject) -> RootCause | None:
    """The host reads values from the device, waits for it, and starts again with an empty queue."""
    slot = subject.slot
    if slot is None:
        return None
    reads = reads_of(slot.chunk)
    if not reads:
        return None
    gained_ms = waits_ms(subject.result, slot)
    copies_ms = sum(o.device_ms for o in slot.chunk.operators if o.operator in ITEM_OPERATORS)
    words: list[str | Measured] = ["a chunk reads "]
    words += [subject.in_chunk(sum(reads.values()), "count", ITEM_PATH), " values by item calls"]
    words += [*_largest(subject, reads), *_spent(subject), _sites(subject)]
    return RootCause(
        id="sync",
        title="Device-to-host synchronisation",
        claim=tuple(words),
        ceiling=None if gained_ms is None else subject.ceiling(copies_ms, gained_ms + copies_ms),
        ceiling_paths=("/profile/reads_ms", *subject.at("/operators/*/device_ms")),
        confidence="medium",
        because="a host that never waits saves the time in its reads at most, and no more than "
        "the GPU idles; under the profiler it hardly waits, so the trace cannot tell",
        fix="keep the cache indices on the host, where they are known without asking the device",
        experiment="a paired case whose second arm keeps the indices as Python integers",
        subject=subject,
    )


def _spent(subject: Subject) -> Words:
    """What reads take of an unprofiled chunk, where that was taken."""
    profile = subject.result.profile
    if profile is None or profile.reads_ms is None or profile.reads is None:
        return ("; what they cost a chunk without the profiler was not taken",)
    return (
        "; without the profiler the host spends ",
        subject.read(profile.reads_ms, "ms", "/profile/reads_ms"),
        " of a chunk in ",
        subject.read(profile.reads, "count", "/profile/reads"),
        " reads of the device",
    )


def contention(subject: Subject) -> RootCause | None:
    """Other processes take the host's CPU, or fixed pieces of host work change their time."""
    states = [chunk.state for chunk in steady_chunks(subject.result) if chunk.state is not None]
    words: list[str | Measured] = []
    shares = [state.other_cpu_share for state in states if state.other_cpu_share is not None]
    if shares and median(shares) >= LEAST_OTHER_CPU:
        words += ["other processes take "]
        words += [subject.read(median(shares), "share", "/chunks/*/state/other_cpu_share")]
        words += [" of all cores"]
    queues = [state.run_queue for state in states if state.run_queue is not None]
    cores = subject.result.provenance.get("cpu.count")
    if queues and cores and isinstance(cores.value, int) and median(queues) > cores.value:
        words += ["; " * bool(words), subject.read(median(queues), "count", RUN_QUEUE_PATH)]
        words += [" tasks want to run on ", subject.read(cores.value, "count", CORES_PATH)]
        words += [" cores"]
    for field, label in FIXED_WORK.items():
        known = [value for state in states if (value := getattr(state, field)) is not None]
        if known and min(known) and max(known) / min(known) - 1 >= LEAST_DRIFT:
            drift = max(known) / min(known)
            words += ["; " * bool(words), f"{label} takes up to "]
            words += [subject.read(drift, "ratio", f"/chunks/*/state/{field}")]
            words += [" times its least"]
    if not words:
        return None
    walls_ms = [chunk.wall_ms for chunk in steady_chunks(subject.result)]
    lost_ms = median(walls_ms) - min(walls_ms)
    return RootCause(
        id="contention",
        title="Contention on the host",
        claim=("the host is not the case's alone: ", *words),
        ceiling=None if subject.slot is None else subject.ceiling(0.0, lost_ms),
        ceiling_paths=("/chunks/*/wall_ms",),
        confidence="low",
        because="that the host was disturbed is measured; the ceiling takes the fastest steady "
        "chunk for an undisturbed one, which it need not be",
        fix="measure on a host without other work",
        experiment="run the case again on an idle host and compare both runs",
        subject=subject,
    )


FIXED_WORK = {"loop_us": "a fixed loop of Python", "operator_us": "one small operator"}


def _largest(subject: Subject, reads: dict[str, int]) -> Words:
    if not reads:
        return ()
    part, calls = max(reads.items(), key=lambda item: item[1])
    return (", ", subject.in_chunk(calls, "count", ITEM_PATH), f" of them in {part or 'no part'}")


def _sites(subject: Subject) -> str:
    profile = subject.result.profile
    if profile is None or not profile.sync_sites:
        return ""
    worst = max(profile.sync_sites, key=lambda site: site.calls)
    # A line number is part of a place and no measured number.
    return f"; most waits come from {worst.location.partition(':')[0]}"

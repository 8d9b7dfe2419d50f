"""Two results cause by cause: what changed between their profiles, largest change first.

Wall time is device time and idle time of all parts, and what lies outside of the device's span. So
each difference of a cell belongs to one cause, and causes rank by the milliseconds they changed.
Counts (reads, kernels, compile work) name the cause of a cell's idle time where they changed: the
profiler does not blur them. Nothing is reported below the limits, which noise stays under.
"""

from collections.abc import Callable, Iterable, Mapping

from harness.analysis.change_ledger import Cause, ChangedCause, Ledger, open_ledger
from harness.analysis.chunks import steady_chunks
from harness.analysis.claims import Measured, Words
from harness.analysis.interval import median
from harness.analysis.part_cells import ITEM_OPERATORS, cells
from harness.analysis.part_groups import within
from harness.analysis.profile import IDLE_CAUSES
from harness.result import ChunkState, Result

LEAST_WORK = 0.005  # of A's wall time, that a part's device time changes by
LEAST_WORK_CHANGE = 0.05  # of the part's device time
LEAST_IDLE = 0.02  # of A's wall time, that idle time of one cause changes by
LEAST_IDLE_CHANGE = 0.2  # of that idle time
LEAST_HOST = 0.05  # of A's wall time, on a CPU, where a part's time is the host's
LEAST_HOST_CHANGE = 0.3
LEAST_COUNT = 5  # reads or kernels of a part
LEAST_COUNT_CHANGE = 0.02
LEAST_SLOWER = 1.25  # of fixed pieces of host work, B over A
LEAST_QUEUE = 0.75  # runnable tasks, by which the host's run queue changes
LEAST_CLOCK = 0.02
FIXED_WORK = {"loop_us": "a fixed loop", "operator_us": "one small operator"}
TINY_US = 10.0  # a mean below this: kernels were added for their launches, not for their work
CAUSE_OF_IDLE: dict[str, Cause] = {
    "sync": "sync",
    "copy": "sync",
    "launch": "launch",
    "operator": "launch",
    "python": "python",
    "queue": "queue",
}


def changed_causes(a: Result, b: Result) -> list[ChangedCause]:
    """What changed from A to B, the largest change of wall-relevant ms first; often nothing.

    Empty too where either has no profiled steady chunk.
    """
    fold = a.case.compiled != b.case.compiled
    before, after = cells(a, fold_vace=fold), cells(b, fold_vace=fold)
    if before is None or after is None or before.on_gpu != after.on_gpu:
        return []
    ledger = open_ledger(a, b, before, after)
    found = [
        *_reads(ledger),
        *_tiny_launches(ledger),
        *_compile(ledger),
        *_contention(ledger),
        *_idle(ledger),
        *_clock(ledger),
        *_work(ledger),
    ]
    return sorted(_merged(ledger, found), key=lambda change: -abs(change.change_ms))


def _count_changed(one: float, other: float) -> bool:
    size = abs(other - one)
    return size >= LEAST_COUNT and size >= LEAST_COUNT_CHANGE * max(one, other)


def _reads(ledger: Ledger) -> list[ChangedCause]:
    """Parts whose reads changed: all their idle time, since a read leaves the queue empty."""
    before, after = ledger.before.reads, ledger.after.reads
    found = []
    for part in dict.fromkeys((*before, *after)):
        one, other = before.get(part, 0), after.get(part, 0)
        if not _count_changed(one, other):
            continue
        _, a_ms, b_ms = ledger.take_idle(_in_part(part))
        if ledger.before.on_gpu:
            copies_a, copies_b = _copies(ledger, part)
            a_ms, b_ms = a_ms + copies_a, b_ms + copies_b
        elif part in ledger.work:
            a_ms, b_ms = ledger.take_work(part)
        words = ledger.numbers(one, other, "/operators/*/calls")
        found.append(ledger.found("sync", part, a_ms, b_ms, "reads: ", *words))
    return found


def _copies(ledger: Ledger, part: str) -> tuple[float, float]:
    """Device time of the copies behind a part's reads, taken out of its work."""
    taken = []
    for side in (ledger.before, ledger.after):
        copies_ms = sum(side.operator_ms.get((name, part), 0.0) for name in ITEM_OPERATORS)
        side.work_ms[part] = max(side.work_ms.get(part, 0.0) - copies_ms, 0.0)
        taken.append(copies_ms)
    return taken[0], taken[1]


def _tiny_launches(ledger: Ledger) -> list[ChangedCause]:
    """Parts with more or fewer kernels whose mean time is tiny."""
    before, after = ledger.before.kernels, ledger.after.kernels
    found = []
    for part in list(ledger.work):
        one, other = before.get(part, 0), after.get(part, 0)
        work_ms = ledger.after.work_ms.get(part, 0.0) - ledger.before.work_ms.get(part, 0.0)
        reads = (side.reads.get(part, 0) for side in (ledger.before, ledger.after))
        if not _count_changed(one, other) or _count_changed(*reads):
            continue
        if abs(1e3 * work_ms / (other - one)) > TINY_US:
            continue
        _, idle_a, idle_b = ledger.take_idle(_in_part(part))
        work_a, work_b = ledger.take_work(part)
        words = ledger.numbers(one, other, "/parts/*/kernels")
        a_ms, b_ms = work_a + idle_a, work_b + idle_b
        found.append(ledger.found("launch", part, a_ms, b_ms, "kernels: ", *words))
    return found


def _in_part(part: str) -> Callable[[str, str], bool]:
    return lambda _, place: place == part


def _compile(ledger: Ledger) -> list[ChangedCause]:
    """Compile counters that changed, with the idle time of the compiled parts."""
    labels = {"graph_breaks": "graph breaks", "recompiles": "recompiles", "graphs": "graphs"}
    words: list[str | Measured] = []
    if ledger.a.compile is not None and ledger.b.compile is not None:
        for field, label in labels.items():
            one, other = (getattr(side.compile, field) for side in (ledger.a, ledger.b))
            if one != other:
                words += ["; " * bool(words), f"{label}: "]
                words += [Measured(one, "count", (ledger.a,), (f"/compile/{field}",)), " before, "]
                words += [Measured(other, "count", (ledger.b,), (f"/compile/{field}",)), " after"]
    one, other = (_chunks_that_compile(side) for side in (ledger.a, ledger.b))
    if one != other:
        path = ("/chunks/*/state/compile_work",)
        words += ["; " * bool(words), "share of steady chunks that compile: "]
        words += [Measured(one, "share", (ledger.a,), path), " before, "]
        words += [Measured(other, "share", (ledger.b,), path), " after"]
    if not words:
        return []
    _, a_ms, b_ms = ledger.take_idle(lambda _, part: not part or within(part, "vace"))
    if not ledger.before.on_gpu:
        for part in [part for part in ledger.work if not part or within(part, "vace")]:
            one, other = ledger.take_work(part)
            a_ms, b_ms = a_ms + one, b_ms + other
    return [ledger.found("compile", None, a_ms, b_ms, *words)]


def _chunks_that_compile(result: Result) -> float:
    states = [chunk.state for chunk in steady_chunks(result)]
    working = sum(state is not None and state.compile_work > 0 for state in states)
    return working / len(states) if states else 0.0


def _contention(ledger: Ledger) -> list[ChangedCause]:
    """A slower host, or tasks that queue for its cores: then idle time is the host's everywhere."""
    words = _slower_host(ledger)
    if not words:
        return []
    _, a_ms, b_ms = ledger.take_idle(lambda cause, _: cause != "queue")
    outside_a, outside_b = ledger.take_outside()
    a_ms, b_ms = a_ms + outside_a, b_ms + outside_b
    if not ledger.before.on_gpu:
        for part in [part for part in ledger.work if not _calls_changed(ledger, part)]:
            one_ms, other_ms = ledger.take_work(part)
            a_ms, b_ms = a_ms + one_ms, b_ms + other_ms
    if not ledger.matters(a_ms, b_ms, LEAST_IDLE, LEAST_IDLE_CHANGE):
        return []
    return [ledger.found("contention", None, a_ms, b_ms, *words)]


def _slower_host(ledger: Ledger) -> Words:
    """Fixed work by its fastest block, as one disturbed block is no state of a host; run queue.

    Only what points the way that wall time went: a quicker host makes no chunk slower.
    """
    words: list[str | Measured] = []
    slower = ledger.after.wall_ms > ledger.before.wall_ms
    for field, label in FIXED_WORK.items():
        values = [_known(side, field) for side in (ledger.a, ledger.b)]
        if not all(values):
            continue
        one, other = (min(side) for side in values)
        if (other > one) == slower and max(one, other) >= LEAST_SLOWER * min(one, other):
            path = (f"/chunks/*/state/{field}",)
            words += ["; " * bool(words), f"{label}: "]
            words += [Measured(one, "us", (ledger.a,), path), " before, "]
            words += [Measured(other, "us", (ledger.b,), path), " after"]
    one, other = (_middle(side, "run_queue") or 0.0 for side in (ledger.a, ledger.b))
    if one and other and (other > one) == slower and abs(other - one) >= LEAST_QUEUE:
        path = ("/chunks/*/state/run_queue",)
        words += ["; " * bool(words), "tasks that want to run: "]
        words += [Measured(one, "ratio", (ledger.a,), path), " before, "]
        words += [Measured(other, "ratio", (ledger.b,), path), " after"]
    return tuple(words)


def _calls_changed(ledger: Ledger, part: str) -> bool:
    """Whether the number of operator calls in a part changed: then its time is its own."""
    sides = (ledger.before.operator_calls, ledger.after.operator_calls)
    one, other = (sum(n for key, n in side.items() if key[1] == part) for side in sides)
    return _count_changed(one, other)


def _middle(result: Result, field: str) -> float | None:
    known = _known(result, field)
    return median(known) if known else None


def _known(result: Result, field: str) -> list[float]:
    """A circumstance of the steady chunks, where it was read."""
    states = [chunk.state or ChunkState() for chunk in steady_chunks(result)]
    return [value for state in states if (value := getattr(state, field)) is not None]


def _idle(ledger: Ledger) -> list[ChangedCause]:
    """Idle time whose cause no count tells: by what the host did meanwhile."""
    found = []
    for cause in dict.fromkeys(CAUSE_OF_IDLE[idle] for idle in IDLE_CAUSES):
        change, a_ms, b_ms = ledger.take_idle(_of_cause(cause))
        if ledger.matters(a_ms, b_ms, LEAST_IDLE, LEAST_IDLE_CHANGE):
            part = max(change, key=lambda name: change[name] * (1 if b_ms > a_ms else -1))
            found.append(ledger.found(cause, part or None, a_ms, b_ms, "idle time of the GPU"))
    a_ms, b_ms = ledger.take_outside()
    if ledger.matters(a_ms, b_ms, LEAST_IDLE, LEAST_IDLE_CHANGE):
        found.append(ledger.found("outside", None, a_ms, b_ms, "wall time outside of the span"))
    return found


def _of_cause(cause: Cause) -> Callable[[str, str], bool]:
    return lambda idle, _: CAUSE_OF_IDLE[idle] == cause


def _clock(ledger: Ledger) -> list[ChangedCause]:
    """Another SM clock: all device time scales with it, and is taken back to A's clock."""
    one, other = (_middle(side, "sm_clock_mhz") for side in (ledger.a, ledger.b))
    if not one or not other or abs(one / other - 1) < LEAST_CLOCK or not ledger.before.on_gpu:
        return []
    a_ms = sum(ledger.before.work_ms.values())
    for part, after_ms in ledger.after.work_ms.items():
        ledger.after.work_ms[part] = after_ms * other / one
    words = (
        "SM clock over A's: ",
        Measured(other / one, "ratio", (ledger.a, ledger.b), ("/chunks/*/state/sm_clock_mhz",)),
    )
    return [ledger.found("clock", None, a_ms, a_ms * one / other, *words)]


def _work(ledger: Ledger) -> list[ChangedCause]:
    """Device time part by part; on a CPU the host's time."""
    share, change = LEAST_WORK, LEAST_WORK_CHANGE
    if not ledger.before.on_gpu:
        share, change = LEAST_HOST, LEAST_HOST_CHANGE
    found = []
    for part in list(ledger.work):
        a_ms, b_ms = ledger.take_work(part)
        if not ledger.matters(a_ms, b_ms, share, change):
            continue
        operator, calls_a, calls_b = _operator_of(ledger, part)
        cause: Cause = "work"
        if part.endswith("attention") and not within(part, "base/cross_attention/norm"):
            cause = "attention"
        elif not ledger.before.on_gpu and not _count_changed(calls_a, calls_b):
            cause = "python"
        words: Words = ()
        if operator:
            words = (f"most by {operator}, calls: ",)
            words += ledger.numbers(calls_a, calls_b, "/operators/*/calls")
        found.append(ledger.found(cause, part or None, a_ms, b_ms, *words))
    return found


def _operator_of(ledger: Ledger, part: str) -> tuple[str, int, int]:
    """The operator of a part whose device time changed most (calls on a CPU), and its calls."""
    before, after = ledger.before, ledger.after
    sides: tuple[Mapping[tuple[str, str], float], Mapping[tuple[str, str], float]]
    if before.on_gpu:
        sides = (before.operator_ms, after.operator_ms)
    else:
        sides = (before.operator_calls, after.operator_calls)
    names = dict.fromkeys(key for side in sides for key in side if key[1] == part)
    if not names:
        return "", 0, 0
    key = max(names, key=lambda name: abs(sides[1].get(name, 0.0) - sides[0].get(name, 0.0)))
    return key[0], before.operator_calls.get(key, 0), after.operator_calls.get(key, 0)


def _merged(ledger: Ledger, found: Iterable[ChangedCause]) -> list[ChangedCause]:
    """Entries of one cause about idle time as one; device time stays part by part."""
    together: dict[tuple[Cause, str | None], list[ChangedCause]] = {}
    for change in found:
        apart = change.part if change.cause in ("work", "attention") else None
        together.setdefault((change.cause, apart), []).append(change)
    merged = []
    for (cause, _), changes in together.items():
        largest = max(changes, key=lambda change: abs(change.change_ms))
        a_ms, b_ms = (sum(side) for side in zip(*((c.a_ms, c.b_ms) for c in changes), strict=True))
        merged.append(ledger.found(cause, largest.part, a_ms, b_ms, *largest.words))
    return merged

"""The count pass: one steady chunk under torch.profiler, never timed.

A kernel belongs to the operator that launched it. The two are joined through the launching runtime
call: kernel and call carry the same correlation id, and the call lies inside its operator's
interval on the host. So kernels that Triton launches without an operator are found too, by the
named range around them.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch.profiler import ProfilerActivity, profile

from harness.measure.bench import Bench
from harness.measure.busy import WAIT
from harness.record_parts import CountPass, Kernel, Operator

RUNTIME_CALL = re.compile(r"cu(da)?[A-Z]")
ROLE_PREFIX = "attention."
UNATTRIBUTED = "(no operator)"
COUNT_CHUNKS = 2  # one that prepares, one that is counted
NAME_CHARACTERS = 300
MS_DECIMALS = 4
# What the profiler writes about itself, and operators that only answer questions about a tensor.
OWN_EVENTS = (
    "[memory]", "[OutOfMemory]", "profiler::_record_function", "aten::is_leaf", "aten::output_nr",
    "aten::_version",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """What is used of an event of the profiler; times in ns."""

    name: str
    start_ns: int
    end_ns: int
    id: int = 0  # correlation
    on_device: bool = False
    is_user_annotation: bool = False


@dataclass(frozen=True)
class Launch:
    """The innermost operator around a runtime call, and the attention role that it serves."""

    operator: str
    role: str | None


def count_pass(bench: Bench) -> CountPass:
    """Profiles one chunk; the pipeline must be in steady state."""
    pipeline = bench.pipeline
    activities = [ProfilerActivity.CPU]
    if pipeline.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with pipeline.attention_ranges(compiled=bench.case.compiled):
        bench.run_block(1, "count")
        chunk = pipeline.chunk_index
        given = pipeline.prepare(chunk)
        bench.clock.synchronise()
        with profile(activities=activities) as profiler:
            pipeline.run(given)
            bench.clock.synchronise()
    return summarise(read_events(profiler), chunk=chunk, on_gpu=pipeline.device.type == "cuda")


def read_events(profiler: profile) -> list[Event]:
    """Events of the host, and of the device without waits, as the profiler itself holds them.

    `profiler.events()` makes more of each, which takes tens of seconds for a chunk.
    """
    inner = profiler.profiler
    assert inner is not None and inner.kineto_results is not None
    events = []
    for event in inner.kineto_results.events():
        name, start_ns = event.name(), event.start_ns()
        on_device = event.device_type().name != "CPU"
        if name.startswith(OWN_EVENTS) or (WAIT.search(name) if on_device else event.is_async()):
            continue
        events.append(
            Event(
                name=name,
                start_ns=start_ns,
                end_ns=start_ns + event.duration_ns(),
                id=event.correlation_id(),
                on_device=on_device,
                is_user_annotation=bool(event.is_user_annotation()),
            )
        )
    return events


def summarise(events: Sequence[Event], *, chunk: int, on_gpu: bool) -> CountPass:
    """Counts and device times of a profile; `device_ms` is None without a GPU."""
    host = [event for event in events if not event.on_device]
    ranges = {event.name for event in events if event.is_user_annotation}
    kernels = [event for event in events if event.on_device and event.name not in ranges]
    calls = Counter(event.name for event in host)
    launches = _launches(host)
    operator_ns: dict[str, int] = defaultdict(int)
    kernel_ns: dict[str, int] = defaultdict(int)
    roles: dict[str, set[str]] = {
        name.removeprefix(ROLE_PREFIX): set() for name in calls if name.startswith(ROLE_PREFIX)
    }
    for kernel in kernels:
        duration_ns = kernel.end_ns - kernel.start_ns
        launch = launches.get(kernel.id, Launch(UNATTRIBUTED, None))
        operator_ns[launch.operator] += duration_ns
        kernel_ns[kernel.name] += duration_ns
        calls[UNATTRIBUTED] += launch.operator == UNATTRIBUTED
        if launch.role is not None:
            roles[launch.role].add(kernel.name[:NAME_CHARACTERS])
    kernel_calls = Counter(kernel.name for kernel in kernels)
    return CountPass(
        chunk=chunk,
        operators=[
            Operator(
                name=name[:NAME_CHARACTERS],
                calls=count,
                device_ms=round(operator_ns[name] / 1e6, MS_DECIMALS) if on_gpu else None,
            )
            for name, count in sorted(calls.items(), key=lambda item: (-item[1], item[0]))
            if count
        ],
        kernels=[
            Kernel(
                name=name[:NAME_CHARACTERS],
                calls=kernel_calls[name],
                device_ms=round(time_ns / 1e6, MS_DECIMALS),
            )
            for name, time_ns in sorted(kernel_ns.items(), key=lambda item: -item[1])
        ],
        attention_kernels={role: sorted(names) for role, names in roles.items()},
    )


def _launches(host: Iterable[Event]) -> dict[int, Launch]:
    """Correlation id of each runtime call -> where it was launched.

    Walks all intervals by their begin and keeps a stack of the operators that are open. One thread
    does all the work of a chunk, so the intervals nest.
    """
    launches: dict[int, Launch] = {}
    stack: list[Event] = []
    ordered = sorted(host, key=lambda event: (event.start_ns, -event.end_ns))
    for event in ordered:
        while stack and stack[-1].end_ns < event.start_ns:
            stack.pop()
        if RUNTIME_CALL.match(event.name) is None:
            stack.append(event)
        else:
            launches.setdefault(event.id, _launch(stack))
    return launches


def _launch(stack: list[Event]) -> Launch:
    role = next((e.name for e in reversed(stack) if e.name.startswith(ROLE_PREFIX)), None)
    return Launch(
        operator=stack[-1].name if stack else UNATTRIBUTED,
        role=None if role is None else role.removeprefix(ROLE_PREFIX),
    )

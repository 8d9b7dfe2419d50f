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
from typing import Protocol

from torch.profiler import ProfilerActivity, profile

from harness.measure.bench import Bench
from harness.result import CountPass, Kernel, Operator
from harness.workload.attention import USES

RUNTIME_CALL = re.compile(r"cu(da)?[A-Z]")
ROLE_PREFIX = "attention."
UNATTRIBUTED = "(no operator)"
COUNT_CHUNKS = 2  # one that prepares, one that is counted
NAME_CHARACTERS = 300
MS_DECIMALS = 4


class Interval(Protocol):
    """Begin and end in microseconds."""

    start: float
    end: float


class DeviceKind(Protocol):
    """CPU or CUDA, by its name."""

    name: str


class Event(Protocol):
    """What is used of torch's FunctionEvent."""

    id: int
    name: str
    device_type: DeviceKind
    is_async: bool
    is_user_annotation: bool | None
    time_range: Interval


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
    # Ranges inside compiled blocks would compile them anew; the base blocks stay eager.
    pipeline.attention.trace(*(("cached_self",) if bench.case.compiled else USES))
    try:
        bench.run_block(1, "count")
        chunk = pipeline.chunk_index
        pixels, mask = bench.inputs(chunk)
        bench.clock.synchronise()
        with profile(activities=activities) as profiler:
            pipeline.run_chunk(pixels, mask)
            bench.clock.synchronise()
    finally:
        pipeline.attention.trace()
    events = profiler.events() or []
    return summarise(events, chunk=chunk, on_gpu=pipeline.device.type == "cuda")


def summarise(events: Sequence[Event], *, chunk: int, on_gpu: bool) -> CountPass:
    """Counts and device times of a profile; `device_ms` is None without a GPU."""
    host = [event for event in events if _on_host(event) and not event.is_async]
    ranges = {event.name for event in events if event.is_user_annotation}
    kernels = [event for event in events if not _on_host(event) and event.name not in ranges]
    calls = Counter(event.name for event in host)
    launches = _launches(host)
    operator_us: dict[str, float] = defaultdict(float)
    kernel_us: dict[str, float] = defaultdict(float)
    roles: dict[str, set[str]] = {
        name.removeprefix(ROLE_PREFIX): set() for name in calls if name.startswith(ROLE_PREFIX)
    }
    for kernel in kernels:
        duration_us = kernel.time_range.end - kernel.time_range.start
        launch = launches.get(kernel.id, Launch(UNATTRIBUTED, None))
        operator_us[launch.operator] += duration_us
        kernel_us[kernel.name] += duration_us
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
                device_ms=round(operator_us[name] / 1e3, MS_DECIMALS) if on_gpu else None,
            )
            for name, count in sorted(calls.items(), key=lambda item: (-item[1], item[0]))
            if count
        ],
        kernels=[
            Kernel(
                name=name[:NAME_CHARACTERS],
                calls=kernel_calls[name],
                device_ms=round(time_us / 1e3, MS_DECIMALS),
            )
            for name, time_us in sorted(kernel_us.items(), key=lambda item: -item[1])
        ],
        attention_kernels={role: sorted(names) for role, names in roles.items()},
    )


def _on_host(event: Event) -> bool:
    return event.device_type.name == "CPU"


def _launches(host: Iterable[Event]) -> dict[int, Launch]:
    """Correlation id of each runtime call -> where it was launched.

    Walks all intervals by their begin and keeps a stack of the operators that are open. One thread
    does all the work of a chunk, so the intervals nest.
    """
    launches: dict[int, Launch] = {}
    stack: list[Event] = []
    ordered = sorted(host, key=lambda event: (event.time_range.start, -event.time_range.end))
    for event in ordered:
        while stack and stack[-1].time_range.end < event.time_range.start:
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

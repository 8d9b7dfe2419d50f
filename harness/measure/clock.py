"""One clock for chunks and their stages: host time always, device time through CUDA events.

Inside a timed block the clock only notes: a host time, and on a GPU an event recorded on the
current stream. It never synchronises and makes no event (they come from a pool). `finish` ends a
block with one synchronisation and reads everything afterwards.

    clock.start(chunk=4)        chunk 4 begins
    clock.mark("prepare")       a stage begins (the workload's `Mark`)
    clock.start(chunk=5)        chunk 4 ends and chunk 5 begins
    timings = clock.finish()    synchronise, read, one ChunkTiming a chunk

Host times are of CLOCK_MONOTONIC, the axis that the GPU sampler uses too.
"""

import itertools
import time
from dataclasses import dataclass

import torch

FALLBACK_STAGE = "chunk"  # of a workload that marks nothing


@dataclass(frozen=True)
class ChunkTiming:
    """One chunk. Stages follow each other without gap: `stage_ms` sums up to the device's time.

    The wall time ends when the device has done the chunk, or later, when the host has called all of
    it: a host that runs ahead (a CUDA graph a chunk) would otherwise have its chunks in the first
    part of the block and the waiting for all of them in its last.
    """

    chunk: int
    start_s: float
    wall_ms: float
    event_ms: float | None  # None on a CPU
    stage_ms: dict[str, float]  # device time; on a CPU the host's
    stage_host_ms: dict[str, float]


@dataclass(frozen=True)
class _Note:
    """A chunk's begin (`chunk` set) or a stage's begin (`stage` set), at a host time."""

    chunk: int | None
    stage: str | None
    host_ns: int


class StageClock:
    """Times the chunks of one block at a time; reusable, its events are pooled."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = device.type == "cuda"
        self._events: list[torch.cuda.Event] = []
        self._notes: list[_Note] = []
        self.most_notes_per_chunk = 1

    def reserve(self, notes: int) -> None:
        """Makes events ahead of a block. torch creates one at its first record, so record it."""
        while self._cuda and len(self._events) < notes:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._events.append(event)

    def start(self, chunk: int) -> None:
        """A chunk begins here, and the one before it ends."""
        self._note(chunk, None)

    def mark(self, stage: str) -> None:
        """A stage begins here, and the one before it ends."""
        self._note(None, stage)

    def finish(self) -> list[ChunkTiming]:
        """Ends the block: synchronises, then reads the events. The clock is empty afterwards."""
        self._record(len(self._notes))
        self.synchronise()
        end_ns = time.monotonic_ns()
        notes, self._notes = self._notes, []
        device_ms = self._device_ms(len(notes))
        host_ns = [*(note.host_ns for note in notes), end_ns]
        done_ns = _done_ns(host_ns, device_ms)
        bounds = [index for index, note in enumerate(notes) if note.chunk is not None]
        timings = []
        for first, after in zip(bounds, [*bounds[1:], len(notes)], strict=True):
            part_device = device_ms[first:after] if device_ms is not None else None
            part_host = host_ns[first : after + 1]
            bounds_ns = (done_ns[first], done_ns[after])
            timings.append(_timing(notes[first:after], bounds_ns, part_host, part_device))
            self.most_notes_per_chunk = max(self.most_notes_per_chunk, after - first)
        return timings

    def synchronise(self) -> None:
        """Waits for the device; nothing to wait for on a CPU."""
        if self._cuda:
            torch.cuda.synchronize(self._device)

    def _note(self, chunk: int | None, stage: str | None) -> None:
        self._record(len(self._notes))
        self._notes.append(_Note(chunk, stage, time.monotonic_ns()))

    def _record(self, index: int) -> None:
        if not self._cuda:
            return
        if index < len(self._events):
            self._events[index].record()
        else:  # warm-up: the pool is not yet sized
            self.reserve(index + 1)

    def _device_ms(self, count: int) -> list[float] | None:
        """Milliseconds from each note to the next."""
        if not self._cuda:
            return None
        events = self._events[: count + 1]
        return [
            max(before.elapsed_time(after), 0.0) for before, after in itertools.pairwise(events)
        ]


def _done_ns(host_ns: list[int], device_ms: list[float] | None) -> list[int]:
    """When all before each note was called and done, on the host's axis.

    A block begins with an idle device, so its first event is done when the host notes it; its end
    is that of the synchronisation.
    """
    if device_ms is None:
        return host_ns
    since_ms = itertools.accumulate(device_ms, initial=0.0)
    device_ns = [host_ns[0] + round(ms * 1e6) for ms in since_ms]
    later = (max(pair) for pair in zip(host_ns, device_ns, strict=True))
    return [min(one, host_ns[-1]) for one in later]


def _timing(
    notes: list[_Note],
    bounds_ns: tuple[int, int],
    host_ns: list[int],
    device_ms: list[float] | None,
) -> ChunkTiming:
    """Adds up one chunk: `notes` begins with the chunk's own, `host_ns` has one more entry."""
    host_ms = [(after - before) / 1e6 for before, after in itertools.pairwise(host_ns)]
    first_stage = notes[1].stage if len(notes) > 1 else FALLBACK_STAGE
    names = [note.stage or first_stage or FALLBACK_STAGE for note in notes]
    chunk = notes[0].chunk
    assert chunk is not None, "a block begins with start()"
    return ChunkTiming(
        chunk=chunk,
        start_s=bounds_ns[0] / 1e9,
        wall_ms=(bounds_ns[1] - bounds_ns[0]) / 1e6,
        event_ms=sum(device_ms) if device_ms is not None else None,
        stage_ms=_sums(names, host_ms if device_ms is None else device_ms),
        stage_host_ms=_sums(names, host_ms),
    )


def _sums(names: list[str], parts_ms: list[float]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name, part_ms in zip(names, parts_ms, strict=True):
        sums[name] = sums.get(name, 0.0) + part_ms
    return sums

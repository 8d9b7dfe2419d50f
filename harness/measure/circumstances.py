"""The circumstances of every chunk: what GPU and host did while it ran, from the sampler's file."""

from collections.abc import Sequence

import msgspec

from harness.measure.series import Sample
from harness.measure.telemetry import Telemetry
from harness.record_parts import ChunkSample, ChunkState

STATE_FIELDS = (
    "sm_clock_mhz",
    "power_mw",
    "temperature_c",
    "run_queue",
    "other_cpu_share",
    "core_mhz",
)
DECIMALS = 4


def with_states(
    chunks: Sequence[ChunkSample], telemetry: Telemetry, *, shared: bool
) -> list[ChunkSample]:
    """The same chunks, each with its state. Dynamo's work is kept as the bench noted it."""
    blocks = _block_bounds(chunks)
    described = []
    for chunk in chunks:
        before = chunk.state or ChunkState()
        means = state_means(chunk, telemetry)
        state = msgspec.structs.replace(
            before,
            **means,
            throttled_ns=telemetry.throttled_ns(*blocks[_block_key(chunk)]),
            gpu_shared=shared,
        )
        described.append(msgspec.structs.replace(chunk, state=state))
    return described


def samples_of(chunk: ChunkSample, telemetry: Telemetry) -> list[Sample]:
    """Samples taken during a chunk."""
    return telemetry.samples_between(chunk.start_s, chunk.start_s + chunk.wall_ms / 1e3)


def state_means(chunk: ChunkSample, telemetry: Telemetry) -> dict[str, float | None]:
    """Mean of each field over the chunk's samples, else its nearest reading, else None.

    A chunk may be shorter than the interval at which a field is read.
    """
    taken = samples_of(chunk, telemetry)
    middle_s = chunk.start_s + chunk.wall_ms / 2e3
    means: dict[str, float | None] = {}
    for name in STATE_FIELDS:
        values = [value for sample in taken if (value := sample.get(name)) is not None]
        mean = sum(values) / len(values) if values else telemetry.nearest(name, middle_s)
        means[name] = None if mean is None else round(mean, DECIMALS)
    return means


BlockKey = tuple[str, int | None, str | None, float]


def _block_key(chunk: ChunkSample) -> BlockKey:
    """Chunks of a timed block belong together; outside of blocks each stands for itself."""
    alone_s = chunk.start_s if chunk.block is None else 0.0
    return chunk.phase, chunk.block, chunk.arm, alone_s


def _block_bounds(chunks: Sequence[ChunkSample]) -> dict[BlockKey, tuple[float, float]]:
    bounds: dict[BlockKey, tuple[float, float]] = {}
    for chunk in chunks:
        start_s, end_s = chunk.start_s, chunk.start_s + chunk.wall_ms / 1e3
        first_s, last_s = bounds.get(_block_key(chunk), (start_s, end_s))
        bounds[_block_key(chunk)] = min(first_s, start_s), max(last_s, end_s)
    return bounds

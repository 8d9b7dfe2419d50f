"""Samples as the sampler writes them, a line each, and as a record keeps them, a column a field."""

from collections.abc import Sequence

import msgspec

from harness.measure.gpu_probe import SAMPLE_FIELDS
from harness.measure.host_load import HOST_FIELDS
from harness.record_parts import GpuSeries, HostSeries

SAMPLER_FIELD = "sampler_ms"  # how long one turn of the sampler took
SILENT = "no reading succeeded"

Sample = dict[str, float | None]


def read_sample(line: bytes) -> Sample | None:
    """A line of the samples file; None where it is none."""
    try:
        sample = msgspec.json.decode(line, type=dict[str, int | float | None])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return sample if sample.get("t_s") is not None else None


def mean_clock_mhz(samples: Sequence[Sample]) -> float | None:
    """Mean SM clock of some samples; None where none was read."""
    clocks = [clock for sample in samples if (clock := sample.get("sm_clock_mhz")) is not None]
    return sum(clocks) / len(clocks) if clocks else None


def gpu_series(samples: Sequence[Sample]) -> tuple[GpuSeries, dict[str, str]]:
    """The GPU's columns, and the reason of each field that was never read."""
    columns = {
        name: [_compact(sample.get(name)) for sample in samples]
        for name in SAMPLE_FIELDS
        if any(sample.get(name) is not None for sample in samples)
    }
    silent = {name: SILENT for name in SAMPLE_FIELDS if samples and name not in columns}
    return GpuSeries(t_s=_times_s(samples), fields=columns), silent


def host_series(samples: Sequence[Sample]) -> HostSeries | None:
    """The host's columns; None if nothing was sampled."""
    if not samples:
        return None
    names = (*HOST_FIELDS, SAMPLER_FIELD)
    columns = {name: [sample.get(name) for sample in samples] for name in names}
    known = {name: col for name, col in columns.items() if any(v is not None for v in col)}
    silent = {name: SILENT for name in names if name not in known}
    return HostSeries(t_s=_times_s(samples), fields=known, unsupported=silent)


def _times_s(samples: Sequence[Sample]) -> list[float]:
    return [round(sample["t_s"] or 0.0, 3) for sample in samples]


def _compact(value: float | None) -> float | None:
    """Whole numbers without their decimals: a third of the record's size."""
    return int(value) if value is not None and value == int(value) else value

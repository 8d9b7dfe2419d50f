"""Plain-text tables of a case's profile, for a terminal: by stage or by part."""

from collections import defaultdict
from collections.abc import Iterator

from harness.analysis.interval import median
from harness.measure.tables import Row, table
from harness.profiled import Profile, ProfiledChunk
from harness.result import Result


def profile_tables(result: Result, kind: str) -> Iterator[str]:
    """`kind` is "stages" or "torch"; nothing without a profile."""
    if result.profile is None:
        return
    yield from _stages(result, result.profile) if kind == "stages" else _parts(result.profile)
    for problem in result.profile.problems:
        yield f"problem: {problem}"


def _stages(result: Result, profile: Profile) -> Iterator[str]:
    """The host's clock without and with synchronisation, beside events and the trace."""
    steady = [chunk for chunk in result.chunks if chunk.phase == "steady"]
    traced = _steady(profile)
    rows: list[Row] = []
    for stage, synchronised_ms in profile.stages_synchronised_ms.items():
        event_ms = median(chunk.stage_ms.get(stage, 0.0) for chunk in steady)
        busy_ms = median(
            sum(part.device_ms for part in chunk.parts if part.stage == stage) for chunk in traced
        )
        host_ms = profile.stages_host_ms.get(stage, 0.0)
        values = (host_ms, synchronised_ms, event_ms, busy_ms)
        rows.append((stage, *(f"{value:.2f}" for value in values)))
    head = ("stage", "host ms", "synchronised ms", "marks ms", "trace, device ms")
    yield from table("Stages of a steady chunk", head, rows)


def _parts(profile: Profile) -> Iterator[str]:
    """Every part over all stages, the largest first."""
    chunks = _steady(profile)
    device_ms: dict[str, float] = defaultdict(float)
    host_ms: dict[str, float] = defaultdict(float)
    kernels: dict[str, int] = defaultdict(int)
    for chunk in chunks:
        for part in chunk.parts:
            device_ms[part.part] += part.device_ms / len(chunks)
            host_ms[part.part] += part.host_ms / len(chunks)
            kernels[part.part] += part.kernels
    ordered = sorted(device_ms, key=lambda name: (-device_ms[name], -host_ms[name]))
    rows: list[Row] = [
        (
            name or "(no part)",
            f"{device_ms[name]:.2f}",
            f"{host_ms[name]:.2f}",
            str(kernels[name] // len(chunks)),
        )
        for name in ordered
    ]
    head = ("part", "device ms", "host ms", "kernels")
    yield from table("Parts of a steady chunk", head, rows)


def _steady(profile: Profile) -> list[ProfiledChunk]:
    return [chunk for chunk in profile.chunks if chunk.kind == "steady"]

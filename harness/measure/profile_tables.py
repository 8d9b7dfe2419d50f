"""Plain-text tables of a case's profile, for a terminal: by stage or by part."""

from collections import defaultdict
from collections.abc import Iterator

from harness.analysis.interval import median
from harness.measure.tables import Row, table
from harness.profile_checks import MOST_DISTORTION
from harness.profile_witness import MOST_DEVIATION, witnessed
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
    rows: list[Row] = []
    for seen in witnessed(profile):
        event_ms = median(chunk.stage_ms.get(seen.stage, 0.0) for chunk in steady)
        values = (seen.host_ms, seen.synchronised_ms, event_ms, seen.busy_ms, seen.traced_ms)
        apart = f"{100 * seen.deviation:+.1f}{'' if seen.agrees else ' !'}"
        rows.append((seen.stage, *(f"{value:.2f}" for value in values), apart))
    head = ("stage", "host ms", "synchronised ms", "marks ms", "device ms", "traced ms", "apart %")
    yield from table("Stages of a steady chunk", head, rows)
    if profile.steady_wall_ms and profile.wall_median_ms:
        factor = median(profile.steady_wall_ms) / profile.wall_median_ms
        target = f"target: at most {MOST_DISTORTION}"
        yield f"Under the profiler a chunk takes {factor:.2f} times as long ({target})."
    yield f"! more than {MOST_DEVIATION:.0%} apart, the chunk's own factor taken out"


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

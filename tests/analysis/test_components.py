import pytest

from harness.analysis.components import component_times, residual, vace_overhead
from harness.record_parts import Component
from harness.result import Result
from tests import samples

CALLS_AND_MS = {
    "vae_encode_single": (0, 9.0),
    "context_encode": (1, 17.2),
    "vace_patch_embedding": (4, 0.09),
    "vace_forward": (4, 38.9),
    "vae_decode": (1, 14.0),
}
LOOP_MS = {"encode": 17.2, "denoise.0": 500.0, "hints.0": 155.96, "clean": 48.0, "decode": 14.0}


def component(name: str, calls: int, median_ms: float) -> Component:
    return Component(
        name=name,
        variant="eager",
        calls_per_chunk=calls,
        calls_per_sample=10,
        block=[0, 0, 0],
        start_s=[1.0, 2.0, 3.0],
        wall_ms=[median_ms - 0.01, median_ms, median_ms + 0.01],
        event_ms=None,
    )


def isolated(**changed_ms: float) -> Result:
    components = [
        component(name, calls, changed_ms.get(name, median_ms))
        for name, (calls, median_ms) in CALLS_AND_MS.items()
    ]
    return samples.result(samples.case(kind="isolated"), components=components, chunks=[])


def whole_chunk(stage_ms: dict[str, float] | None = None) -> Result:
    stages = stage_ms or LOOP_MS
    chunk = samples.result().chunks[0]
    fields = {name: getattr(chunk, name) for name in chunk.__struct_fields__}
    fields |= {"stage_ms": stages, "stage_host_ms": stages, "wall_ms": sum(stages.values())}
    return samples.result(chunks=[type(chunk)(**fields)])


def test_share_is_median_times_calls_over_the_chunk() -> None:
    times = {item.name: item for item in component_times(isolated(), 735.0)}
    assert times["vace_forward"].per_chunk_ms == pytest.approx(4 * 38.9)
    assert times["vace_forward"].share == pytest.approx(4 * 38.9 / 735)
    assert times["vae_encode_single"].per_chunk_ms == 0.0


def test_without_a_chunk_there_is_no_share() -> None:
    assert all(item.share is None for item in component_times(isolated(), None))


def test_published_figures_with_all_four_forwards_give_the_corrected_share() -> None:
    cost = vace_overhead(component_times(isolated(), 735.0), 735.0, 560.0)
    assert cost.bottom_up_ms == pytest.approx(173.16)
    assert cost.bottom_up_share == pytest.approx(0.2356, abs=1e-4)
    assert cost.top_down_ms == pytest.approx(175.0)
    assert cost.top_down_share == pytest.approx(175 / 735)


def test_overhead_with_a_part_missing_is_unknown() -> None:
    times = [item for item in component_times(isolated(), None) if item.name != "context_encode"]
    cost = vace_overhead(times, None, None)
    assert (cost.bottom_up_ms, cost.bottom_up_share, cost.top_down_ms) == (None, None, None)


def test_residual_stays_quiet_where_components_add_up() -> None:
    whole = whole_chunk()
    rest = residual(component_times(isolated(), None), whole, sum(LOOP_MS.values()))
    assert rest is not None
    assert abs(rest.share) < 1e-9
    assert not rest.named


def test_residual_is_named_over_five_percent_with_the_largest_gap_first() -> None:
    whole = whole_chunk(LOOP_MS | {"hints.0": 255.96})
    rest = residual(component_times(isolated(), None), whole, 835.16)
    assert rest is not None
    assert rest.share == pytest.approx(100 / 835.16)
    assert rest.named
    assert rest.gaps[0].name == "hints"
    assert rest.gaps[0].difference_ms == pytest.approx(100.0)


def test_residual_needs_every_component() -> None:
    times = [item for item in component_times(isolated(), None) if item.name != "vae_decode"]
    assert residual(times, whole_chunk(), 735.0) is None


def test_residual_needs_the_stages() -> None:
    assert residual(component_times(isolated(), None), whole_chunk({"chunk": 735.0}), 735.0) is None


def test_a_component_without_samples_is_refused() -> None:
    empty = Component(
        name="vae_decode",
        variant="eager",
        calls_per_chunk=1,
        calls_per_sample=1,
        block=[],
        start_s=[],
        wall_ms=[],
        event_ms=None,
    )
    with pytest.raises(ValueError, match="vae_decode"):
        component_times(samples.result(components=[empty]), None)

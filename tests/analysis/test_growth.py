"""harness.analysis.growth and cold_start on made-up runs whose truth is known."""

import math
import statistics
from pathlib import Path

import msgspec
import pytest

from harness.analysis.cold_start import cold_starts
from harness.analysis.growth import (
    Axis,
    Tendency,
    growth_axes,
    is_own_point,
    predicted_ms,
    tendency,
    with_place,
)
from harness.report.material import Material
from harness.result import Result
from harness.store import RunFolder
from tests.report import made_limit

RECORDED = Path(__file__).parents[2] / "reports" / "nvidia-h200" / "20261128-181142-growth"


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return Material(RunFolder(made_limit.run(tmp_path_factory.mktemp("reports"))).load())


@pytest.fixture(scope="module")
def axes(material: Material) -> dict[tuple[str, str], Axis]:
    return {(axis.name, axis.variant): axis for axis in growth_axes(material.results)}


def test_baseline_and_stack_have_three_axes_in_order_of_cost(
    axes: dict[tuple[str, str], Axis],
) -> None:
    variants = ("baseline", "lossless", "fastest")
    assert set(axes) == {(name, v) for name in ("size", "steps", "window") for v in variants}
    steps = axes["steps", "lossless"]
    assert [point.case.steps for point in steps.points] == [1, 4, 8]
    assert steps.anchor.case.steps == 4 and len(steps.others) == 2
    sizes = [point.case.width_px for point in axes["size", "baseline"].points]
    assert sizes == [320, 512, 832, 1024]


def test_the_error_is_that_of_the_truth(axes: dict[tuple[str, str], Axis]) -> None:
    assert axes["size", "baseline"].wall_error.mean < 0.01
    window = axes["window", "baseline"]
    assert window.wall_error.at.case.window == 24
    assert window.wall_error.worst == pytest.approx(1 / made_limit.LONG_WINDOW - 1, abs=0.01)
    assert window.wall_error.mean == pytest.approx(-window.wall_error.worst / 2, abs=0.01)
    assert window.anchor.error == window.anchor.busy_error == 0


def test_gpu_busy_time_has_an_error_of_its_own(axes: dict[tuple[str, str], Axis]) -> None:
    busy = axes["window", "baseline"].busy_error
    assert busy is not None and 0 < busy.mean < 0.01 and abs(busy.worst) < 0.01


def test_the_error_by_busy_time_is_unknown_where_a_point_has_none(material: Material) -> None:
    results = [_without_busy(one, one.case.window == 24) for one in material.results]
    found = {(axis.name, axis.variant): axis for axis in growth_axes(results)}
    assert found["window", "baseline"].busy_error is None
    assert found["size", "baseline"].busy_error is not None
    assert not tendency(list(found.values())).by_busy
    results = [_without_busy(one, is_own_point(one.case)) for one in material.results]
    (size, *_) = growth_axes(results)
    assert size.busy_error is None and size.points[0].busy_ms is not None


def test_the_tendency_counts_points_on_either_side_of_the_own(material: Material) -> None:
    larger = {"1024x1024", "832x480", "steps8", "window24"}
    smaller = {"320x320", "steps1", "window3"}
    results = [
        _busy_times(one, 0.9 if _has(one, larger) else 1.1 if _has(one, smaller) else 1.0)
        for one in material.results
    ]
    assert tendency(growth_axes(results)) == Tendency(True, 12, 12, 9, 9)
    results = [_busy_times(one, 1.5 if _has(one, {"lossless-steps8"}) else 1.0) for one in results]
    assert tendency(growth_axes(results)) == Tendency(True, 12, 11, 9, 9)


def test_the_recorded_run_errs_by_its_own_gpu_busy_times() -> None:
    results = Material(RunFolder(RECORDED).load()).results
    axis = growth_axes(results)[0]
    assert (axis.name, axis.variant) == ("size", "baseline")
    small, own = axis.points[:2]
    at = {one.case_id: one for one in results}
    wall, busy = (
        [
            statistics.median(values(at[f"e2e-inpainting-eager{place}"]))
            for place in ("-320x320-warm", "")
        ]
        for values in (_steady_ms, _busy_ms)
    )
    assert (small.busy_ms, own.busy_ms) == pytest.approx(busy)
    # Both predictions take the same ratio of arithmetic, each times its own anchor.
    arithmetic = (1 + small.error) * wall[0] / wall[1]
    assert small.busy_error == pytest.approx(arithmetic * busy[1] / busy[0] - 1)
    assert small.error < -0.7 and small.busy_error > -0.25


def test_two_points_are_no_axis_and_no_anchor_no_prediction(material: Material) -> None:
    results = [r for r in material.results if r.case.kind == "e2e"]
    assert growth_axes([r for r in results if r.case.steps != 8 and r.case.window == 12]) != []
    only = [r for r in results if r.case.window == 12 and r.case.width_px == 512]
    assert growth_axes([r for r in only if r.case.steps != 8]) == []
    assert growth_axes([r for r in results if r.case.warm_cache]) == []


def test_merged_adapters_are_not_predicted_to_cost(material: Material) -> None:
    base, stack = (
        next(r for r in material.results if r.case_id == f"e2e-inpainting-eager{name}")
        for name in ("", "-lossless")
    )
    for result in (base, stack):
        twice = with_place(result.case, size=(512, 512), steps=8)
        assert 1.6 < predicted_ms(result, twice) / predicted_ms(result, result.case) < 1.9
    empty = msgspec.structs.replace(base, chunks=[])
    with pytest.raises(ValueError, match="no steady chunk"):
        predicted_ms(empty, base.case)


def test_a_cold_start_is_preparing_compiling_and_capturing(material: Material) -> None:
    base, *others = cold_starts(material.results)
    assert base.chunks_to_pay is None and base.prepared_s is None
    variants = [start.result.case.variant for start in others]
    assert variants == ["lossless", "fastest", "tae-compiled", "compiled-blocks", "graph-chunk"]
    start = others[0]
    assert start.prepared_s == made_limit.PREPARED_S
    assert start.compile_s == pytest.approx(made_limit.COMPILE_S, rel=0.05)
    assert start.capture_s == pytest.approx(made_limit.CAPTURE_S, rel=0.05)
    saved_s = (base.steady_ms - start.steady_ms) / 1e3
    assert start.chunks_to_pay == math.ceil((start.whole_s - base.whole_s) / saved_s)


def test_what_saves_nothing_never_pays_and_a_warm_cache_is_no_cold_start(
    material: Material,
) -> None:
    cold = [r for r in material.results if r.case_id in COLD]
    slower = [_slower(r) if r.case.variant != "baseline" else r for r in cold]
    assert [start.chunks_to_pay for start in cold_starts(slower)] == [None, None]
    warm = [
        msgspec.structs.replace(r, case=msgspec.structs.replace(r.case, warm_cache=True))
        for r in cold
    ]
    assert cold_starts(warm) == [] == cold_starts(cold[:1])


COLD = ("e2e-inpainting-eager", "e2e-inpainting-eager-lossless")


def _slower(result: Result) -> Result:
    chunks = [msgspec.structs.replace(c, wall_ms=c.wall_ms * 10) for c in result.chunks]
    return msgspec.structs.replace(result, chunks=chunks)


def _has(result: Result, places: set[str]) -> bool:
    return any(place in result.case_id for place in places)


def _busy_times(result: Result, factor: float) -> Result:
    busy = [msgspec.structs.replace(one, busy_ms=one.busy_ms * factor) for one in result.busy]
    return msgspec.structs.replace(result, busy=busy)


def _without_busy(result: Result, gone: bool) -> Result:
    return msgspec.structs.replace(result, busy=[]) if gone else result


def _steady_ms(result: Result) -> list[float]:
    return [chunk.wall_ms for chunk in result.chunks if chunk.phase == "steady"]


def _busy_ms(result: Result) -> list[float]:
    return [sample.busy_ms for sample in result.busy]

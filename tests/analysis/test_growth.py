"""harness.analysis.growth and cold_start on made-up runs whose truth is known."""

import math

import msgspec
import pytest

from harness.analysis.cold_start import cold_starts
from harness.analysis.growth import Axis, growth_axes, predicted_ms, with_place
from harness.report.material import Material
from harness.result import Result
from harness.store import RunFolder
from tests.report import made_limit


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
    assert axes["size", "baseline"].mean_error < 0.01
    window = axes["window", "baseline"]
    assert window.worst.case.window == 24
    assert window.worst.error == pytest.approx(1 / made_limit.LONG_WINDOW - 1, abs=0.01)
    assert window.anchor.error == 0


def test_a_rate_holds_up_to_a_point(axes: dict[tuple[str, str], Axis]) -> None:
    axis = axes["size", "lossless"]
    fps = [point.fps for point in axis.points]
    assert fps == sorted(fps, reverse=True)
    last, first = axis.holds((fps[1] + fps[2]) / 2)
    assert (last, first) == (axis.points[1], axis.points[2])
    assert axis.holds(fps[-1] / 2) == (axis.points[-1], None)
    assert axis.holds(2 * fps[0]) == (None, axis.points[0])


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

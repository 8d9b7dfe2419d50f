"""harness.analysis.leave_out: gains in the stack are those of the truth, interactions are named."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis.comparisons import TimeMeasure
from harness.analysis.experiment import Ratio, Verdict, verdict
from harness.analysis.fixes import measured_fixes
from harness.analysis.leave_out import (
    LeftOut,
    alone_of,
    gain_of,
    interaction,
    left_out_fixes,
    net_alone,
    net_brings,
)
from harness.matrices_limit import LEFT_OUT_OF_FASTEST
from harness.store import RunFolder
from harness.variants import STACKS
from tests.report import made_fixes, made_limit
from tests.report.made_fixes import LEFT, arm_ms


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LeftOut]:
    path = made_limit.run(tmp_path_factory.mktemp("reports"), name="leave-one-out")
    found = left_out_fixes(RunFolder(path).load().processes)
    lossless = [one for one in found if one.bundle == "lossless"]
    fastest = found[len(lossless) :]
    for own in (lossless, fastest):
        assert [one.gain for one in own] == sorted((one.gain for one in own), reverse=True)
    assert {one.bundle for one in fastest} == {"fastest"}
    assert {one.fix for one in fastest} == set(LEFT_OUT_OF_FASTEST)
    return {one.fix: one for one in lossless}


def test_every_fix_of_the_stack_has_its_gain_in_it(left: dict[str, LeftOut]) -> None:
    pairs = {", ".join(one.named) for one in left.values() if len(one.named) > 1}
    assert set(left) - pairs == set(STACKS["lossless"]) and len(pairs) == 3
    for fix, one in left.items():
        if fix in pairs:
            continue
        without = arm_ms(f"lossless-without-{fix}", LEFT)[0]
        assert one.gain == pytest.approx(1 - arm_ms("lossless", LEFT)[0] / without, abs=3e-3)
    assert left["ring-cache"].with_it == ("graph-chunk",)
    assert left["ring-cache"].brings.against == "lossless-without-ring-cache"


def test_the_section_of_fixes_leaves_these_cases_to_that_of_the_limit(tmp_path: Path) -> None:
    path = made_limit.run(tmp_path, processes=1)
    assert measured_fixes(RunFolder(path).load().processes) is None


def test_what_comes_with_a_fix_is_taken_out_of_both_gains(
    left: dict[str, LeftOut], tmp_path: Path
) -> None:
    fixes = measured_fixes(RunFolder(made_fixes.run(tmp_path)).load().processes)
    others = list(left.values())

    assert fixes is not None
    singles = fixes.singles

    def gains(fix: str, measure: TimeMeasure = "wall") -> tuple[float | None, float | None]:
        found = (net_alone(singles, fix, measure), net_brings(left[fix], others, measure))
        one, two = (None if v is None else 1 - v.ratio.value for v in found)
        return one, two

    # once: without graph-chunk, which needs it; fused-qkv alone: without lora-merged.
    assert gains("once") == pytest.approx((0.03, 0.03), abs=3e-3)
    assert gains("once", "busy") == pytest.approx((0.02, 0.02), abs=3e-3)
    assert gains("fused-qkv") == pytest.approx((0.0, 0.0), abs=3e-3)
    assert gains("lean-clean") == pytest.approx((0.0, 0.0), abs=3e-3)
    # Two fixes need rope-real, and were left out together too; compiled-blocks needs two.
    assert gains("rope-real") == pytest.approx((0.07, 0.07), abs=5e-3)
    assert gains("rope-real", "busy") == pytest.approx((0.08, 0.08), abs=5e-3)
    assert gains("compiled-blocks")[0] == pytest.approx(0.2, abs=5e-3)
    assert net_brings(left["rope-real"], [left["rope-real"]], "wall") is None
    assert net_alone([], "once", "wall") is None and alone_of([], "once") is None
    one = net_brings(left["once"], others, "wall")
    assert one is not None and one.ratio.low is not None and one.ratio.high is not None
    assert one.ratio.low < one.ratio.value < one.ratio.high
    assert interaction(net_alone(singles, "once", "wall"), one) == "none seen"


def test_what_a_fix_does_to_the_stack_is_called_as_elsewhere(left: dict[str, LeftOut]) -> None:
    assert left["lora-merged"].call == "faster"
    assert left["lean-clean"].call == "same"
    # The graph takes no GPU time off: its wall time decides.
    assert left["graph-chunk"].call == "faster"
    assert gain_of(left["graph-chunk"].brings, "busy") == pytest.approx(0, abs=3e-3)
    assert left["graph-chunk"].by_itself and not left["once"].by_itself
    one = left["lora-merged"]
    brings = replace(one.brings, results=one.brings.results[:2])
    assert replace(one, brings=brings).call == "undecided"
    with pytest.raises(ValueError, match="has no busy time"):
        gain_of(replace(one.brings, busy_change=None), "busy")


def test_two_processes_name_no_interaction() -> None:
    told = verdict(Ratio(0.70, 0.69, 0.71, (2, 2), True, 0.001, 1.0))
    assert interaction(made(0.90, 0.01), told) == "too few processes"


def made(value: float, half: float | None) -> Verdict:
    low, high = (None, None) if half is None else (value - half, value + half)
    known = (None, None) if half is None else (half / 4.3, 2.0)
    return verdict(Ratio(value, low, high, (3, 3), True, *known))


@pytest.mark.parametrize(
    ("alone", "brings", "named"),
    [
        (made(0.90, 0.01), made(0.905, 0.01), "none seen"),
        (made(0.90, 0.01), made(0.98, 0.01), "less than alone: others cover it"),
        (made(0.90, 0.01), made(0.70, 0.01), "more than alone: others bare it"),
        (made(0.90, 0.01), made(1.10, 0.01), "turns around"),
        (made(0.90, None), made(1.10, 0.01), "too few processes"),
        (None, made(1.10, 0.01), "not measured by itself"),
    ],
)
def test_an_interaction_is_named_where_the_intervals_are_apart(
    alone: Verdict | None, brings: Verdict, named: str
) -> None:
    assert interaction(alone, brings) == named

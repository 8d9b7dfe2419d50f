"""harness.analysis.leave_out: gains in the stack are those of the truth, calls heed cycles."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis.fixes import measured_fixes
from harness.analysis.leave_out import LeftOut, call_of, gain_of, left_out_fixes
from harness.matrices_limit import LEFT_OUT_OF_FASTEST
from harness.store import RunFolder
from harness.variants import STACKS
from tests.analysis.clocks import clocks_of
from tests.report import made_limit
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


def test_a_gain_is_of_one_time(left: dict[str, LeftOut]) -> None:
    # The graph takes no GPU time off, only wall time.
    assert gain_of(left["graph-chunk"].brings, "busy") == pytest.approx(0, abs=3e-3)
    assert gain_of(left["graph-chunk"].brings, "wall") > 0.02
    assert left["graph-chunk"].by_itself and not left["once"].by_itself
    with pytest.raises(ValueError, match="has no busy time"):
        gain_of(replace(left["lora-merged"].brings, busy_change=None), "busy")


def test_cycles_that_say_another_thing_leave_a_call_open(left: dict[str, LeftOut]) -> None:
    one = left["lora-merged"]
    assert call_of(one, "busy") == "faster"
    kept = [list(result.busy) for result in one.brings.results]
    for result in one.brings.results:
        clocks_of(result, {"lossless": 2500})
    assert call_of(one, "busy") == "undecided"
    for result in one.brings.results:  # not sampled: time alone decides
        clocks_of(result, dict.fromkeys(result.case.arms))
    assert call_of(one, "busy") == "faster"
    for result, samples in zip(one.brings.results, kept, strict=True):
        result.busy[:] = samples

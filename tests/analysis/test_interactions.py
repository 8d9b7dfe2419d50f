"""harness.analysis.interactions: savings are those of the truth, interactions are named."""

import pytest

from harness.analysis.comparisons import TIMES, TimeMeasure
from harness.analysis.fixes import SingleFix, measured_fixes
from harness.analysis.interactions import (
    Interaction,
    alone_of,
    interaction,
    interaction_of,
    net_alone,
    net_brings,
)
from harness.analysis.leave_out import LeftOut, left_out_fixes
from harness.analysis.saved_time import Saved
from harness.store import RunFolder
from tests.analysis.clocks import clocks_of
from tests.report import made_fixes, made_limit
from tests.report.made_fixes import LEFT, arm_ms


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LeftOut]:
    path = made_limit.run(tmp_path_factory.mktemp("reports"), name="leave-one-out")
    found = left_out_fixes(RunFolder(path).load().processes)
    return {one.fix: one for one in found if one.bundle == "lossless"}


@pytest.fixture(scope="module")
def singles(tmp_path_factory: pytest.TempPathFactory) -> tuple[SingleFix, ...]:
    path = made_fixes.run(tmp_path_factory.mktemp("reports"))
    fixes = measured_fixes(RunFolder(path).load().processes)
    assert fixes is not None
    return tuple(fixes.singles)


def ms(arm: str, measure: TimeMeasure) -> float:
    return arm_ms(arm, LEFT)[0 if measure == "wall" else 1]


@pytest.mark.parametrize("measure", TIMES)
@pytest.mark.parametrize(
    ("fix", "needs", "comes_with"),
    [
        ("lean-clean", "base", ""),
        ("attention-cudnn", "base", ""),
        ("fused-qkv", "lora-merged", ""),
        ("once", "base", "-without-graph-chunk"),
        # Two fixes need rope-real, and were left out together too; compiled-blocks needs two.
        ("rope-real", "base", "-without-compiled-blocks-without-graph-chunk"),
        ("compiled-blocks", "rope-real+hint-list", ""),
    ],
)
def test_what_comes_with_a_fix_is_taken_out_of_both_savings(
    left: dict[str, LeftOut],
    singles: tuple[SingleFix, ...],
    measure: TimeMeasure,
    fix: str,
    needs: str,
    comes_with: str,
) -> None:
    alone = net_alone(singles, fix, measure)
    brings = net_brings(left[fix], list(left.values()), measure)
    assert alone is not None and brings is not None
    assert alone.value == pytest.approx(ms(needs, measure) - ms(fix, measure), abs=2.5)
    rest = f"lossless{comes_with}"
    less = ms(f"lossless-without-{fix}", measure) - ms(rest, measure)
    assert brings.value == pytest.approx(less, abs=2.5)


def test_what_was_not_measured_by_itself_has_no_savings_of_its_own(
    left: dict[str, LeftOut],
) -> None:
    assert net_brings(left["rope-real"], [left["rope-real"]], "wall") is None
    assert net_alone([], "once", "wall") is None and alone_of([], "once") is None


def made(value: float, half: float, processes: int = 3) -> Saved:
    return Saved(value, processes, half / 4.303, processes - 1)


@pytest.mark.parametrize(
    ("alone", "brings", "named"),
    [
        (made(40, 1), made(39, 1), "same"),
        (made(40, 0.1), made(39, 0.1), "same"),  # told apart, and of no interest
        (made(40, 4), made(38, 4), "undecided"),
        (made(40, 3), made(36, 3), "undecided"),
        (made(40, 4), made(10, 4), "less than alone"),
        (made(40, 4), made(70, 4), "more than alone"),
        (made(-8, 2), made(0, 2), "costs less than alone"),
        (made(-8, 2), made(-20, 2), "costs more than alone"),
        (made(40, 4), made(-10, 4), "turns around"),
        (made(-10, 4), made(40, 4), "turns around"),
        # Not shown to be faster alone, or slower in the stack.
        (made(1, 3), made(-8, 1), "less than alone"),
        (made(8, 1), made(-1, 3), "less than alone"),
        (made(40, 4), made(-10, 4, processes=2), "too few processes"),
        (Saved(40, 1, None, 0), made(-10, 4), "too few processes"),
        (None, made(10, 4), "not measured by itself"),
    ],
)
def test_an_interaction_is_named_by_the_difference(
    alone: Saved | None, brings: Saved, named: Interaction
) -> None:
    assert interaction(alone, brings, 4.0) == named


def test_cycles_that_say_another_thing_leave_an_interaction_open(
    left: dict[str, LeftOut], singles: tuple[SingleFix, ...]
) -> None:
    one, others = left["lora-merged"], list(left.values())
    before = interaction_of(one, others, singles, "busy")
    assert before in ("same", "less than alone")
    kept = [list(result.busy) for result in one.brings.results]
    for result in one.brings.results:
        clocks_of(result, {"lossless-without-lora-merged": 5000})
    assert interaction_of(one, others, singles, "busy") == "undecided"
    for result in one.brings.results:  # not sampled: time alone decides
        clocks_of(result, dict.fromkeys(result.case.arms))
    assert interaction_of(one, others, singles, "busy") == before
    for result, samples in zip(one.brings.results, kept, strict=True):
        result.busy[:] = samples

"""stacks.svg: bars, intervals with a dot a process, and the targets' lines."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.report.figures_fixes import stacks_svg
from harness.report.material import Material
from harness.report.plots import LIMIT
from harness.report.plots_fixes import BUSY, WALL
from harness.report.plots_stacks import (
    WIDEST_INTERVAL,
    StackArm,
    TargetLine,
    _end,
    stacks_figure,
)
from harness.store import RunFolder
from tests.records import build
from tests.report import made_limit

ARMS = [
    StackArm("base", 600.0, 480.0, 760.0, (550.0, 600.0, 660.0), 435.0, 20.0, False),
    StackArm("fastest", 155.0, 147.0, 163.0, (150.0, 155.0, 160.0), 150.0, 77.4, False),
]
TARGETS = [TargetLine("must", 170.0, "met"), TargetLine("aim", 130.0, "missed")]


def drawn(figure: bytes, colour: str, style: str = "fill") -> int:
    return len(re.findall(rf'style="[^"]*{style}: {colour}', figure.decode()))


def words(figure: bytes) -> list[str]:
    """Texts of the figure, which are drawn as paths."""
    return re.findall(r"<!-- (.*) -->", figure.decode())


def height(figure: bytes, text: str) -> float:
    """Where a text stands, in points below the upper edge."""
    found = re.search(rf"<!-- {text} -->.*?translate\([\d.]+ ([\d.]+)\)", figure.decode(), re.S)
    assert found is not None
    return float(found[1])


def test_the_figure_is_the_same_every_time() -> None:
    assert stacks_figure(ARMS, TARGETS) == stacks_figure(ARMS, TARGETS)
    assert "nan" not in stacks_figure(ARMS, TARGETS).decode()


def test_times_rates_and_targets_are_written() -> None:
    found = words(stacks_figure(ARMS, TARGETS))
    assert {"600.0 ms, 20.0 FPS", "155.0 ms, 77.4 FPS"} <= set(found)
    assert {"must: at most 170.0 ms, met", "aim: at most 130.0 ms, missed"} <= set(found)
    failed = words(stacks_figure([ARMS[0], replace(ARMS[1], fails=True)], TARGETS))
    assert "fastest (output fails)" in failed and "fastest" not in failed


def test_every_arm_has_a_bar_and_on_a_gpu_busy_time_inside() -> None:
    figure = stacks_figure(ARMS, TARGETS)
    assert drawn(figure, WALL) == drawn(figure, BUSY) == len(ARMS) + 1  # the legend's
    cpu = stacks_figure([replace(arm, busy_ms=None) for arm in ARMS], TARGETS)
    assert drawn(cpu, WALL) == len(ARMS) + 1 and drawn(cpu, BUSY) == 0


def test_every_process_has_a_dot() -> None:
    fewer = [ARMS[0], replace(ARMS[1], each_ms=(150.0, 155.0))]
    marks = [stacks_figure(arms, TARGETS).count(b"<use ") for arms in (ARMS, fewer)]
    assert marks[0] == marks[1] + 1


@pytest.mark.parametrize("alone", [False, True])
def test_the_legend_names_an_interval_where_there_is_one(alone: bool) -> None:
    one = [replace(arm, low_ms=None, high_ms=None, each_ms=(arm.wall_ms,)) for arm in ARMS]
    found = words(stacks_figure(one if alone else ARMS, TARGETS))
    assert ("95 % interval over processes" in found) != alone


def test_an_interval_far_beyond_the_times_ends_in_an_arrow() -> None:
    wide = [replace(ARMS[0], high_ms=90_000.0), ARMS[1]]
    assert _end(ARMS, TARGETS) == 760.0
    assert _end(wide, TARGETS) == WIDEST_INTERVAL * 660.0
    marks = [stacks_figure(arms, TARGETS).count(b"<use ") for arms in (ARMS, wide)]
    assert marks[1] > marks[0]


@pytest.mark.parametrize(("shrink", "upper"), [(1.0, "aim"), (0.2, "must")])
def test_no_words_of_a_target_are_crossed_by_the_other_line(shrink: float, upper: str) -> None:
    """Words run to the right where the limits lie left of the middle, else to the left; the line
    that they would meet there ends below them.
    """
    arms = [
        replace(arm, wall_ms=shrink * arm.wall_ms, low_ms=None, high_ms=None, each_ms=())
        for arm in ARMS
    ]
    figure = stacks_figure(arms, TARGETS)
    heights = {one.kind: height(figure, f"{one.kind}: at most .*?") for one in TARGETS}
    assert min(heights, key=lambda kind: heights[kind]) == upper
    assert drawn(figure, LIMIT, "stroke") == len(TARGETS)


def test_the_figure_of_a_run_shows_its_first_case(tmp_path: Path) -> None:
    figure = stacks_svg(Material(RunFolder(made_limit.run(tmp_path, fp8_error=0.3)).load()))
    assert figure is not None
    found = words(figure)
    assert {"base", "lossless", "fastest (output fails)"} <= set(found)
    assert "fastest, must: at most 170.0 ms, output not proven" in found


def test_a_run_without_the_fastest_stack_has_none(tmp_path: Path) -> None:
    assert stacks_svg(Material(RunFolder(build.gpu_run(tmp_path)).load())) is None

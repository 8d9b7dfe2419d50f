import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.report.figures_fixes import alone_svg, fixes_svg
from harness.report.material import Material
from harness.report.plots import Percent
from harness.report.plots_alone import ROOM, AloneRow, _span, alone_figure
from harness.store import RunFolder
from tests.records import build
from tests.report import made_fixes

ROWS = [
    AloneRow("ring-cache", Percent(12.0, -140.0, 67.0), (), Percent(3.5, 3.4, 3.6), 6.0, False),
    AloneRow("once", Percent(-3.0, -4.0, -2.0), (), Percent(0.7, 0.5, 0.8), None, False),
    AloneRow("a fix", Percent(20.0, None, None), (), None, 9.0, True),
]


def marks(figure: bytes) -> int:
    return len(re.findall("<use ", figure.decode()))


def test_the_figure_is_the_same_every_time() -> None:
    assert alone_figure(ROWS) == alone_figure(ROWS)
    assert "nan" not in alone_figure(ROWS).decode()


def test_the_axis_holds_values_and_ceilings_but_not_the_widest_intervals() -> None:
    assert _span(ROWS) == (-3.0 - ROOM, 20.0 + ROOM)
    wide = [AloneRow("x", Percent(1.0, 0.0, 2.0), (), Percent(1.0, -30.0, 40.0), 70.0, False)]
    assert _span(wide) == (-30.0 - ROOM, 70.0 + ROOM)


def test_every_process_has_a_mark_and_lies_on_the_axis() -> None:
    (row,) = (one for one in ROWS if one.label == "once")
    several = replace(row, each=(-9.0, 30.0))
    assert _span([several]) == (-9.0 - ROOM, 30.0 + ROOM)
    one_more = replace(row, each=(-9.0, 10.0, 30.0))
    assert marks(alone_figure([one_more])) == marks(alone_figure([several])) + 1


def test_an_interval_beyond_the_axis_ends_in_an_arrow() -> None:
    inside = [
        AloneRow("ring-cache", Percent(12.0, 11.0, 13.0), (), Percent(3.5, 3.4, 3.6), 6.0, False)
    ]
    assert marks(alone_figure([ROWS[0]])) == marks(alone_figure(inside)) + 2


def test_a_run_without_fixes_has_neither_figure(tmp_path: Path) -> None:
    material = Material(RunFolder(build.gpu_run(tmp_path)).load())
    assert alone_svg(material) is None and fixes_svg(material) is None


@pytest.mark.parametrize("worse", [{}, {"ring-cache": 5.0}])
def test_a_run_of_fixes_shows_each_alone(tmp_path: Path, worse: dict[str, float]) -> None:
    figure = alone_svg(Material(RunFolder(made_fixes.run(tmp_path, worse=worse)).load()))
    assert figure is not None
    text = figure.decode()
    assert ("ring-cache (output worse)" in text) == bool(worse) and "lora-merged" in text

"""harness.report.plots_limit: the panels that a run has values for, and intervals that stay in."""

import re

from harness.report.plots_limit import Dot, SavedPair, SavedRow, leave_out_figure

WIDE = Dot(20.0, -250.0, 82.0)
NARROW = Dot(10.0, 9.0, 11.0)
UNKNOWN = SavedPair(None, None)


def test_gpu_busy_time_has_a_panel_where_it_was_measured() -> None:
    both = leave_out_figure([SavedRow("once", SavedPair(NARROW, WIDE), SavedPair(None, NARROW))])
    assert b"Wall time saved" in both and b"GPU-busy time saved" in both and b"once" in both
    alone = leave_out_figure([SavedRow("once", SavedPair(NARROW, WIDE), UNKNOWN)])
    assert b"Wall time saved" in alone and b"GPU-busy" not in alone


def test_a_wide_interval_is_cut_off_and_does_not_set_the_scale() -> None:
    drawn, same = (
        leave_out_figure([SavedRow("once", SavedPair(NARROW, one), UNKNOWN)])
        for one in (WIDE, Dot(20.0, 19.0, 21.0))
    )
    ticks = re.findall(rb"<!-- (\d+) -->", drawn)
    assert ticks and ticks == re.findall(rb"<!-- (\d+) -->", same)
    assert max(map(int, ticks)) < 30 and b"cut off" in drawn

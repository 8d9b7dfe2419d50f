import re
import warnings
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import matplotlib
import pytest

from harness.analysis.part_groups import GROUPS
from harness.analysis.profile import IDLE_CAUSES
from harness.report.plots import (
    BUCKETS,
    CaseTrack,
    Percent,
    component_figure,
    gpu_figure,
    stage_figure,
)
from harness.report.plots_profile import FAMILY_COLOURS, IDLE_COLOURS, idle_figure, parts_figure
from harness.report.plots_trust import ArmRow, trust_figure

ARMS = [
    ArmRow("delay5", 5.0, {"busy": Percent(5.0, 4.9, 5.1), "wall": Percent(4.0, 1.0, 7.0)}),
    ArmRow("again", None, {"wall": Percent(0.1, None, None)}),
]
BARS = [("Inpainting", {"encode": 17.0, "denoise": 268.0}), ("Text-only", {"denoise": 268.0})]


def track(samples: int) -> CaseTrack:
    times = tuple(0.1 * index for index in range(samples))
    return CaseTrack(
        label="Inpainting, eager",
        length_s=0.1 * samples,
        phases=(("load", 0.0, 1.0), ("steady", 1.0, 0.1 * samples)),
        t_s=times,
        fields={
            "sm_clock_mhz": tuple(1980.0 - index % 7 for index in range(samples)),
            "power_mw": tuple(None if index % 3 else 560e3 for index in range(samples)),
        },
    )


@pytest.mark.parametrize(
    "blob",
    [
        stage_figure(BARS),
        component_figure([("VAE decode", 14.0, 1)]),
        gpu_figure([track(100), track(50)]),
        trust_figure(ARMS, {"busy": [0.0, 0.1], "wall": [-1.0, 1.0]}, 2.0),
        trust_figure(ARMS[1:], {"busy": [], "wall": [0.0]}, 2.0),
        parts_figure([("RoPE", "RoPE", [("base/rope", 45.0), ("", 0.01)])]),
        idle_figure([("Depth", {"busy": 400.0, "launch": 20.0}), ("Text-only", {"busy": 1.0})]),
    ],
    ids=["stages", "components", "gpu", "trust", "trust of one process", "parts", "idle"],
)
def test_figures_are_plain_svg(blob: bytes) -> None:
    root = ElementTree.fromstring(blob)
    assert root.tag.endswith("svg")
    text = blob.decode()
    assert "<date>" not in text
    assert matplotlib.__version__ not in text
    assert "<script" not in text
    assert "\r" not in text
    assert not re.search(r"[ \t]\n", text)


def test_every_family_and_every_cause_has_a_colour() -> None:
    assert {group.family for group in GROUPS} <= FAMILY_COLOURS.keys()
    assert {"busy", *IDLE_CAUSES} == IDLE_COLOURS.keys()


def test_the_users_own_settings_change_nothing() -> None:
    plain = stage_figure(BARS)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.hashsalt": "x"}):
        assert stage_figure(BARS) == plain


def test_drawing_leaves_the_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    stage_figure(BARS)
    assert dict(matplotlib.rcParams) == before


def test_a_long_run_stays_a_small_file() -> None:
    short, long = gpu_figure([track(BUCKETS)]), gpu_figure([track(30 * BUCKETS)])
    assert len(long) < 2 * len(short)


def test_a_field_that_was_never_read_leaves_its_panel_empty() -> None:
    assert b"svg" in gpu_figure([track(20)])  # no temperature at all


def test_long_names_of_cases_have_a_line_each() -> None:
    """Two side by side would not fit the figure."""

    def heights(label: str) -> list[float]:
        blob = gpu_figure([replace(track(50), label=label)] * 2).decode()
        found = re.findall(r"<!-- \d  .*?translate\([\d.]+ ([\d.]+)\)", blob, re.DOTALL)
        return [float(at) for at in found]

    short, long = heights("Inpainting, eager"), heights("Inpainting, " + "variant fastest, " * 4)
    assert len(short) == len(long) == 2
    assert short[0] == short[1] and long[0] != long[1]


def test_a_key_of_many_cases_leaves_the_panels_their_room() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns where panels have no height left
        long = gpu_figure([replace(track(20), label="a long name of a case" * 4)] * 33)
    assert b"33" in long

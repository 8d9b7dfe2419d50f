"""The page of one GPU and the figures over runs: what stands for a run, and what stays out."""

from pathlib import Path

from harness.analysis.experiment import location
from harness.report.gpu_page import _point, gpu_view
from harness.report.index import eager_inpainting, index_view
from harness.report.material import Material
from harness.report.plots_runs import GpuBar, RunPoint, gpus_figure, trend_figure
from harness.report.render import render_index
from harness.run import Run
from harness.store import RunFolder
from tests.records import build
from tests.report.made_runs import EAGER, PAIRED, run
from tests.report.test_render import row_of


def loaded(*paths: Path) -> list[Run]:
    return [RunFolder(path).load() for path in paths]


def test_runs_newest_first_with_both_times(tmp_path: Path) -> None:
    run(tmp_path, "20261124-080000-full", only=(EAGER,), times=1.1)
    run(tmp_path, "20261125-080000-full", only=(EAGER,), busy=False)
    pages = render_index(tmp_path)
    text = pages[0].read_text()
    assert text.startswith("# Runs on NVIDIA H200\n")
    rows = [row for row in text.splitlines() if "report.md" in row]
    assert [row.split("](")[1].split("/")[0] for row in rows] == [
        "20261125-080000-full",
        "20261124-080000-full",
    ]
    newest, oldest = (row.strip("| ").split(" | ") for row in rows)
    assert newest[8] == "3" and newest[9] == "–"
    assert newest[5] == "–" and float(oldest[6]) > 1.09 * float(newest[6])
    assert oldest[9] != "–"
    assert "![Wall and GPU-busy time of a chunk, run by run](trend.svg)" in text
    assert (pages[0].parent / "trend.svg").is_file() and (tmp_path / "gpus.svg").is_file()


def test_a_paired_case_stands_for_a_run_without_an_end_to_end_one(tmp_path: Path) -> None:
    alone = Material(*loaded(run(tmp_path, "20261124-080000-full", only=(PAIRED,))))
    found = eager_inpainting(alone)
    assert found is not None and found.case.kind == "paired"
    assert alone.fact_cell("gpu.name").text == "NVIDIA H200"
    both = Material(*loaded(run(tmp_path, "20261125-080000-full")))
    chosen = eager_inpainting(both)
    assert chosen is not None and chosen.case.kind == "e2e"


def test_the_figure_shows_the_workload_as_it_is_alone(tmp_path: Path) -> None:
    plain = run(tmp_path, "20261124-080000-full", only=(EAGER,))
    changed = run(tmp_path, "20261125-080000-full", only=(EAGER,), case={"variant": "lossless"})
    small = run(
        tmp_path, "20261126-080000-full", only=(EAGER,), case={"width_px": 256, "height_px": 256}
    )
    assert gpu_view(loaded(plain, changed, small)).figure is None
    rows = gpu_view(loaded(changed)).rows
    assert rows is not None and "`lossless`" in [one.__html__() for one in rows.rows[0]]
    again = run(tmp_path, "20261127-080000-full", only=(EAGER,))
    assert gpu_view(loaded(plain, changed, small, again)).figure is not None


def test_functional_checks_have_no_bar_and_say_what_they_are(tmp_path: Path) -> None:
    cpu = build.cpu_run(tmp_path)
    assert index_view(loaded(cpu)).figure is None
    text = render_index(tmp_path)[0].read_text()
    assert "Functional checks, not performance results" in text
    assert row_of(text, "[20261123-070000-quick](20261123-070000-quick/report.md)")[7:10] == [
        "–", "1", "–",
    ]  # fmt: skip


def test_a_figure_that_no_run_backs_is_removed(tmp_path: Path) -> None:
    build.cpu_run(tmp_path)
    (tmp_path / "gpus.svg").write_text("old")
    render_index(tmp_path)
    assert not (tmp_path / "gpus.svg").exists()


def test_figures_are_the_same_bytes_every_time() -> None:
    times = location([500.0, 510.0, 505.0])
    one = location([500.0])
    points = [RunPoint("2026-11-24", times, one), RunPoint("2026-11-25", one, None)]
    assert trend_figure(points) == trend_figure(points)
    assert trend_figure(5 * points) != trend_figure(4 * points)
    bars = [GpuBar("NVIDIA H200", times)]
    assert gpus_figure(bars) == gpus_figure(bars)
    assert gpus_figure(bars) != gpus_figure([GpuBar("NVIDIA H200", times, changed=True)])


def test_marks_of_a_trend_are_told_apart_by_their_runs(tmp_path: Path) -> None:
    path = run(tmp_path, "20261124-080000-full", only=(EAGER,))
    point = _point(Material(*loaded(path)))
    assert point is not None and point.label == "20261124-080000\nfull"

"""The section that holds WanVAE against TAE: both times, what decides, and what is not known."""

import shutil
from pathlib import Path

import msgspec

from harness.report.render import render_run
from tests.report import made_limit
from tests.report.test_render import row_of, section

NAME = "Down to the limit"
RECORDED = Path(__file__).parents[2] / "reports" / "nvidia-h200" / "20261128-180243-vae"
WAN = "as it is, `base` | WanVAE"


def test_the_recorded_autoencoders_by_wall_time_and_by_gpu_busy_time(tmp_path: Path) -> None:
    copy = tmp_path / RECORDED.parent.name / RECORDED.name
    shutil.copytree(RECORDED, copy)
    text = section(render_run(copy).read_text(), NAME)
    wan, stack = row_of(text, WAN), row_of(text, "in the stack, `lossless-wanvae` | WanVAE")
    assert wan[8:11] == ["1.657 (1.301 to 2.110)", "1.714 (1.708 to 1.720)", "slower"]
    assert wan[2:4] == ["974.2", "745.2"] and wan[5:7] == ["176.0", "161.2"]
    assert stack[8:11] == ["2.191 (2.164 to 2.218)", "2.172 (2.144 to 2.201)", "slower"]
    assert row_of(text, "in the stack, `lossless` | TAE")[5:11] == [
        "–",
        "–",
        "66.7 % (59.6 % to 72.5 %)",
        "–",
        "–",
        "–",
    ]
    assert row_of(text, "compiled, `wan-compiled`")[7] == "9.0 % (-1.8 % to 18.7 %)"
    told = "as it is 1.657 (1.301 to 2.110) and 1.714 (1.708 to 1.720), slower; compiled 1.531 ("
    assert told in text
    assert (copy / "figures" / "vae.svg").is_file()


def test_gpu_busy_time_decides_between_autoencoders_where_wall_time_does_not(
    tmp_path: Path,
) -> None:
    made = made_limit.run(tmp_path, name="vae")
    for number, record in enumerate(sorted((made / "cases").glob("*.json"))):
        told = msgspec.json.decode(record.read_bytes())
        for chunk in told["chunks"]:  # a busy host: every process draws another time
            chunk["wall_ms"] *= 1 + 0.4 * (number % 3)
        record.write_bytes(msgspec.json.encode(told))
    text = section(render_run(made).read_text(), NAME)
    assert row_of(text, WAN)[10] == "undecided; GPU-busy slower"
    assert "), undecided; GPU-busy slower; compiled 1." in text


def test_without_gpu_busy_times_the_autoencoders_are_told_by_wall_time(tmp_path: Path) -> None:
    made = made_limit.run(tmp_path, name="vae")
    for record in (made / "cases").glob("*.json"):
        told = msgspec.json.decode(record.read_bytes())
        record.write_bytes(msgspec.json.encode({**told, "busy": []}))
    text = section(render_run(made).read_text(), NAME)
    row = row_of(text, WAN)
    assert (row[3], row[9], row[10]) == ("–", "–", "slower")
    assert "one with the TAE, by wall time, each with its 95 % interval: as it is 1.2" in text


def test_of_one_process_each_no_interval_and_no_verdict_is_told(tmp_path: Path) -> None:
    text = render_run(made_limit.run(tmp_path, name="vae", processes=1)).read_text()
    row = row_of(section(text, NAME), WAN)
    assert row[8].startswith("1.2") and "to" not in row[8] and row[10] == "too few processes"

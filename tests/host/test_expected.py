from pathlib import Path

from harness.host.expected import START_S, default_seconds, expected_seconds
from harness.record_parts import PhaseMark
from harness.result import encode
from tests.samples import case, result


def test_recorded_times_come_before_the_table(tmp_path: Path) -> None:
    known, unknown = case(mode="depth"), case(mode="text")
    cases = tmp_path / "cpu" / "run" / "cases"
    cases.mkdir(parents=True)
    phases = [
        PhaseMark(name="load", start_s=100.0, end_s=101.0),
        PhaseMark(name="count", start_s=130.0, end_s=142.0),
    ]
    (cases / f"{known.id}.json").write_bytes(encode(result(known, phases=phases)))
    (cases / f"{unknown.id}.failed-1.json").write_text("damaged")
    expected = expected_seconds([known, unknown], tmp_path, "cpu")
    assert expected == {known.id: 42.0 + START_S, unknown.id: default_seconds(unknown)}
    assert expected_seconds([known], tmp_path, None)[known.id] == default_seconds(known)


def test_another_preset_s_record_says_nothing(tmp_path: Path) -> None:
    full = case(mode="depth", preset="full")
    cases = tmp_path / "cpu" / "run" / "cases"
    cases.mkdir(parents=True)
    (cases / f"{full.id}.json").write_bytes(encode(result(full)))
    tiny = case(mode="depth")
    assert expected_seconds([tiny], tmp_path, "cpu")[tiny.id] == default_seconds(tiny)


def test_compiling_takes_longer() -> None:
    assert default_seconds(case(compiled=True)) > default_seconds(case())

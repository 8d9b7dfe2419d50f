from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.measure.__main__ import main, parser
from harness.measure.people import Wish, plan
from harness.measure.tables import tables
from harness.record_parts import ChunkSample, CompileStats, Component
from harness.result import Record, Result
from tests.samples import case, result


def wish(*arguments: str) -> Wish:
    return Wish.from_options(parser().parse_args(arguments))


def ids(*arguments: str) -> list[str]:
    return [case.id for case in plan(wish(*arguments), "cpu")]


def test_modes_choose_the_cases_and_compare_adds_compiled_ones() -> None:
    whole = ["e2e-inpainting-eager", "e2e-depth-eager", "e2e-text-eager"]
    assert ids("--mode", "e2e") == whole
    assert ids("--mode", "isolated") == ["isolated-inpainting-eager"]
    assert ids("--mode", "all", "--compare") == [
        "isolated-inpainting-eager",
        *whole,
        "isolated-inpainting-compiled",
        "e2e-inpainting-compiled",
    ]


def test_options_reach_the_cases() -> None:
    chosen = wish("--mode", "isolated", "--size", "48x32", "--chunks", "3", "--blocks", "4")
    (measured,) = plan(chosen, "cpu")
    assert (measured.width_px, measured.height_px) == (48, 32)
    assert (measured.chunks_per_block, measured.blocks) == (3, 4)
    assert measured.preset == "tiny"
    assert plan(wish("--mode", "isolated"), "cuda")[0].preset == "full"


def timed(wall_ms: float, **changes: Any) -> Result:
    chunks = [
        ChunkSample(
            chunk=number,
            phase="steady" if number else "warmup",
            block=0 if number else None,
            start_s=float(number),
            frames=12,
            wall_ms=wall_ms,
            event_ms=None,
            stage_ms={},
            stage_host_ms={},
        )
        for number in range(4)
    ]
    return result(case(**changes), chunks=chunks, flags=[])


def component(variant: Any, wall_ms: float) -> Component:
    return Component(
        name="vace_forward",
        variant=variant,
        calls_per_chunk=4,
        calls_per_sample=1,
        block=[0, 0, 0],
        start_s=[0.0, 1.0, 2.0],
        wall_ms=[wall_ms] * 3,
        event_ms=None,
    )


def lines_with(text: str, results: list[Result]) -> list[list[str]]:
    return [line.split() for line in tables(results) if text in line]


def test_a_chunk_is_told_with_its_rate() -> None:
    (row,) = lines_with("e2e-depth", [timed(240.0, mode="depth")])
    assert row == ["e2e-depth-eager", "240.00", "0.0%", "3", "50.00", "0.24", "-"]


def test_a_component_is_told_with_its_calls() -> None:
    isolated = result(case(kind="isolated"), components=[component("eager", 10.0)], chunks=[])
    (row,) = lines_with("vace_forward", [isolated])
    assert row == ["vace_forward", "eager", "10.000", "0.0%", "3", "4", "40.00"]


def test_speed_ups_pair_eager_and_compiled() -> None:
    stats = CompileStats(
        cold_s={"vace_forward": 31.0},
        graphs=16,
        graph_breaks=2,
        break_reasons=[],
        recompiles=1,
        recompile_reasons=[],
    )
    isolated = result(
        case(kind="isolated", compiled=True),
        components=[component("eager", 10.0), component("compiled", 8.0)],
        chunks=[],
        compile=stats,
    )
    whole = [timed(240.0), timed(200.0, compiled=True)]
    rows = [line for line in lines_with("x  ", [isolated, *whole]) if "1.2" in " ".join(line)]
    assert rows[0] == ["vace_forward", "10.000", "8.000", "1.250x", "31.0", "2", "1"]
    assert rows[1][:5] == ["chunk,", "inpainting", "240.000", "200.000", "1.200x"]


def test_a_whole_comparison_runs_and_keeps_its_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    target = tmp_path / "records.json"
    arguments = ["--mode", "isolated", "--device", "cpu", "--size", "32x32"]
    effort = ["--chunks", "1", "--blocks", "1", "--json", str(target)]
    assert main([*arguments, *effort]) == 0
    captured = capsys.readouterr()
    assert "not a performance result" in captured.out
    assert "vace_forward" in captured.out
    assert "[1/1] isolated-inpainting-eager-32x32 on cpu" in captured.err
    (record,) = msgspec.json.decode(target.read_bytes(), type=list[Record])
    assert isinstance(record, Result)
    assert len(record.components) == 5

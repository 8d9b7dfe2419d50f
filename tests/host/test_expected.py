from pathlib import Path

import msgspec
import pytest

from harness.host.expected import START_S, default_seconds, expected_seconds
from harness.matrix import Case
from harness.record_parts import PhaseMark
from harness.result import encode
from harness.store import RunFolder, result_name
from tests.samples import case, result

REPORTS = Path(__file__).resolve().parents[2] / "reports"


def recorded(reports: Path, run: str, known: Case, spent_s: list[float]) -> Path:
    """A run with a process of the case for each time, and the folder of its records."""
    cases = reports / "cpu" / run / "cases"
    cases.mkdir(parents=True, exist_ok=True)
    for number, spent in enumerate(spent_s):
        phases = [
            PhaseMark(name="load", start_s=100.0, end_s=101.0),
            PhaseMark(name="count", start_s=101.0, end_s=100.0 + spent),
        ]
        name = result_name(known.id, number)
        (cases / name).write_bytes(encode(result(known, phases=phases)))
    return cases


def test_recorded_times_come_before_the_table(tmp_path: Path) -> None:
    known, unknown = case(mode="depth"), case(mode="text")
    cases = recorded(tmp_path, "run", known, [42.0])
    (cases / f"{unknown.id}.failed-1.json").write_text("damaged")
    expected = expected_seconds([known, unknown], tmp_path, "cpu")
    assert expected == {known.id: 42.0 + START_S["cpu"], unknown.id: default_seconds(unknown)}
    assert expected_seconds([known], tmp_path, None)[known.id] == default_seconds(known)


def test_another_preset_s_record_says_nothing(tmp_path: Path) -> None:
    full = case(mode="depth", preset="full")
    cases = tmp_path / "cpu" / "run" / "cases"
    cases.mkdir(parents=True)
    (cases / f"{full.id}.json").write_bytes(encode(result(full)))
    tiny = case(mode="depth")
    assert expected_seconds([tiny], tmp_path, "cpu")[tiny.id] == default_seconds(tiny)


def test_one_slow_start_does_not_set_the_pace(tmp_path: Path) -> None:
    known = case(mode="depth")
    recorded(tmp_path, "20261127-000000-older", known, [10.0])
    recorded(tmp_path, "20261128-000000-newer", known, [40.0, 41.0, 230.0])
    assert expected_seconds([known], tmp_path, "cpu")[known.id] == 41.0 + START_S["cpu"]


@pytest.mark.parametrize(
    "compiling",
    [
        case(compiled=True),
        case(variant="lossless"),
        case(variant="fastest-without-graph-chunk"),
        case(kind="paired", arms=("base", "lossless")),
        case(kind="paired", arms=("base", "compiled")),
    ],
    ids=lambda one: str(one.id),
)
def test_compiling_takes_longer(compiling: Case) -> None:
    arms = ("base", "again") if compiling.arms else ()
    alike = msgspec.structs.replace(compiling, compiled=False, variant="baseline", arms=arms)
    assert default_seconds(compiling) > default_seconds(alike)


def test_a_longer_proof_takes_longer() -> None:
    proof = case(kind="quality", arms=("base", "lossless"))
    longer = msgspec.structs.replace(proof, stretch=60)
    assert default_seconds(longer) > 3 * default_seconds(proof)


def test_each_kind_of_halves_is_compiled_once() -> None:
    one = case(kind="paired", arms=("base", "lossless", "lossless-without-tae-compiled"))
    two = msgspec.structs.replace(one, arms=("base", "lossless", "lossless-without-fused-qkv"))
    warm = msgspec.structs.replace(two, warm_cache=True, processes=2)
    compile_s = default_seconds(two) - default_seconds(one)
    assert compile_s > 0
    assert default_seconds(two) - default_seconds(warm) == compile_s


def test_fewer_timed_chunks_take_less() -> None:
    few = case(blocks=2, chunks_per_block=4)
    more = msgspec.structs.replace(few, blocks=3)
    assert default_seconds(few) < default_seconds(more) <= default_seconds(case(blocks=5))
    assert default_seconds(few) < default_seconds(msgspec.structs.replace(few, profile=True))


WHOLE_RUNS = (
    *("20261127-162601-fixes", "20261128-142440-quick", "20261128-174746-fastest"),
    *("20261128-175804-floors", "20261128-180243-vae", "20261127-154409-planted"),
)


@pytest.mark.parametrize("run", WHOLE_RUNS)
def test_the_table_is_near_what_stored_runs_took(run: str) -> None:
    """Of whole runs: a process alone may take half as much again, by its host."""
    stored = RunFolder.find(REPORTS, run).load()
    spent_s = [
        one.phases[-1].end_s - one.phases[0].start_s + START_S["cuda"] for one in stored.finished
    ]
    table_s = sum(default_seconds(one.case) for one in stored.finished)
    assert 0.7 < sum(spent_s) / table_s < 1.3

import itertools
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.analysis import simulation
from harness.analysis.experiment import unpaired_ratio
from harness.analysis.simulation import (
    CHUNK_SD,
    LOOKS,
    PROCESS_SDS,
    SCENARIOS,
    Row,
    Scenario,
    Setting,
    Simulation,
    arms,
    bootstrap,
    judge,
    noise,
    process_medians,
    settings,
    simulate,
    table,
    with_table,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"
QUIET, NOISY = PROCESS_SDS
COVERAGE = (0.93, 0.97)
ALARMS = 0.05
FOUND = 0.95


@pytest.fixture(scope="module")
def committed() -> Simulation:
    return msgspec.json.decode((DOCS / "simulation.json").read_bytes(), type=Simulation)


@pytest.fixture(scope="module")
def small() -> Simulation:
    return simulate(200, 7)


def planned(rows: list[Row], process_sd: float, change: float | None = None) -> list[Row]:
    """The rows that must hold what is promised of the plan."""
    found = [
        row
        for row in rows
        if (row.setting.design, row.setting.process_sd) == ("unpaired", process_sd)
        and row.setting.scenario in SCENARIOS
        and change in (None, row.setting.change)
    ]
    assert len(found) == len(SCENARIOS) * (2 if change is None else 1)
    return found


def names(rows: list[Row]) -> list[Setting]:
    """What a failed assertion shows: the settings of the rows that break a limit."""
    return [row.setting for row in rows]


def alarms(row: Row) -> float:
    return row.calls["slower"] + row.calls["faster"]


def false_share(row: Row) -> float:
    assert row.false_verdicts is not None
    wrong = ("same", "faster") if row.setting.change else ("slower", "faster")
    assert row.false_verdicts.value == pytest.approx(sum(row.calls[call] for call in wrong))
    return row.false_verdicts.value


def lower_bound_of_false(row: Row) -> float:
    assert row.false_verdicts is not None
    return row.false_verdicts.low


def test_the_committed_table_is_of_this_code(committed: Simulation) -> None:
    assert (committed.experiments, committed.seed) == (1000, 20261124)
    assert [row.setting for row in committed.rows] == settings()
    assert (committed.blocks, committed.chunks_per_block, committed.chunk_sd) == (5, 10, CHUNK_SD)
    text = (DOCS / "statistics.md").read_text()
    assert with_table(text, committed) == text


def test_a_quiet_machine_holds_the_limits_outright(committed: Simulation) -> None:
    low, high = COVERAGE
    rows = planned(committed.rows, QUIET)
    assert names([row for row in rows if not low <= row.coverage.value <= high]) == []
    equal, slower = (planned(committed.rows, QUIET, change) for change in (0.0, 0.03))
    assert names([row for row in equal if alarms(row) > ALARMS]) == []
    assert names([row for row in slower if row.calls["slower"] < FOUND]) == []


def test_a_noisy_machine_is_mostly_undecided_and_seldom_wrong(committed: Simulation) -> None:
    rows = planned(committed.rows, NOISY)
    assert names([row for row in rows if row.calls["undecided"] < 0.5]) == []
    assert names([row for row in rows if false_share(row) > ALARMS]) == []


def test_pairs_decide_on_a_noisy_machine(committed: Simulation) -> None:
    low, high = COVERAGE
    rows = [row for row in committed.rows if row.setting.design == "paired"]
    assert {row.setting.looks for row in rows} == {(3,), (5,)}
    assert names([row for row in rows if not low <= row.coverage.value <= high]) == []
    assert names([row for row in rows if false_share(row) > ALARMS]) == []
    assert names([row for row in rows if row.calls["undecided"] > 1 - FOUND]) == []


def test_the_limits_of_the_method_are_as_the_document_says(committed: Simulation) -> None:
    coverage = {
        (row.setting.design, row.setting.scenario): row.coverage.value for row in committed.rows
    }
    assert coverage["unpaired", "strong drift"] > COVERAGE[1]
    assert 0.9 < coverage["unpaired", "uneven processes"] < 0.95
    assert coverage["bootstrap", "normal"] < 0.85


def test_200_experiments_agree_within_their_binomial_error(small: Simulation) -> None:
    """With another seed. A limit counts as broken where Wilson's 95 % interval lies beyond it."""
    low, high = COVERAGE
    quiet, noisy = planned(small.rows, QUIET), planned(small.rows, NOISY)
    outside = [row for row in quiet if row.coverage.low > high or row.coverage.high < low]
    assert names(outside) == []
    assert names([row for row in quiet + noisy if lower_bound_of_false(row) > ALARMS]) == []
    # 184 of 200 is the least number whose Wilson interval reaches 0.95; 87 that which reaches 0.5.
    slower = planned(small.rows, QUIET, 0.03)
    assert names([row for row in slower if row.calls["slower"] < 184 / 200]) == []
    assert names([row for row in noisy if row.calls["undecided"] < 87 / 200]) == []


def test_200_experiments_are_enough_to_see_a_bootstrap_fail(small: Simulation) -> None:
    rows = [row for row in small.rows if row.setting.design == "bootstrap"]
    assert len(rows) == 2
    assert all(row.coverage.high < COVERAGE[0] for row in rows)


def test_the_same_seed_gives_the_same_table_and_another_one_does_not() -> None:
    assert simulate(10, 3) == simulate(10, 3)
    assert simulate(10, 3).rows != simulate(10, 4).rows


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_chunks_of_a_process_have_the_stated_spread(scenario: Scenario) -> None:
    draws = noise(scenario, np.random.default_rng(5), (400, 5, 500))
    assert float(draws.std()) == pytest.approx(1.0, abs=0.05)  # a t with 3 freedoms settles slowly
    if scenario == "correlated":
        lagged = np.corrcoef(draws[..., 1:].ravel(), draws[..., :-1].ravel())[0, 1]
        assert lagged == pytest.approx(simulation.CORRELATION, abs=0.01)


def test_variants_alternate_in_the_order_abba() -> None:
    unpaired = arms(Setting("unpaired", "normal", QUIET, 0.0))
    assert "".join("AB"[int(process[0])] for process in unpaired) == "ABBAABBAAB"
    assert (unpaired == unpaired[:, :1]).all()
    paired = arms(Setting("paired", "normal", QUIET, 0.0, (3,)))[:, ::10]
    rows = ["".join("AB"[int(block)] for block in process) for process in paired]
    assert rows == ["ABBAABBAAB", "BAABBAABBA", "ABBAABBAAB"]


def test_medians_carry_the_change_the_drift_and_the_shared_effect() -> None:
    rng = np.random.default_rng(9)
    a, b = process_medians(Setting("paired", "normal", NOISY, 0.03), rng, 400)
    assert a.shape == b.shape == (400, max(LOOKS))
    assert float(np.log(a).std()) == pytest.approx(NOISY, rel=0.1)
    assert float(np.log(b / a).mean()) == pytest.approx(np.log(1.03), abs=5e-4)
    assert float(np.log(b / a).std()) < NOISY / 4
    a, b = process_medians(Setting("unpaired", "strong drift", 0.0, 0.0), rng, 400)
    first, last = float(np.log(a[:, 0]).mean()), float(np.log(b[:, -1]).mean())
    assert last - first == pytest.approx(0.02 * 0.9, abs=5e-4)  # middles of the outer processes


def test_a_second_look_is_taken_only_where_the_first_was_undecided() -> None:
    plan = Setting("unpaired", "normal", QUIET, 0.0)
    slower = judge(plan, [400.0, 400.4, 400.8, 900.0, 900.0], [440.0, 440.5, 441.0, 1.0, 1.0])
    assert (slower.call, slower.ratio.processes, slower.looks) == ("slower", (3, 3), 2)
    wide = judge(plan, [400.0, 420.0, 380.0, 401.0, 399.0], [402.0, 425.0, 379.0, 400.0, 398.0])
    assert (wide.call, wide.ratio.processes) == ("undecided", (5, 5))


def test_the_bootstrap_is_that_of_many_random_resamples() -> None:
    a, b = [400.0, 404.0, 397.0], [409.0, 411.0, 403.0]
    rng = np.random.default_rng(2)
    changes = [
        float(np.log(rng.choice(b, 3)).mean() - np.log(rng.choice(a, 3)).mean())
        for _ in range(20_000)
    ]
    assert bootstrap(a, b) == pytest.approx(np.exp(np.quantile(changes, (0.025, 0.975))), abs=1e-3)
    exact, student = bootstrap(a, b), unpaired_ratio(a, b).interval(0.95)
    assert student is not None
    assert student[0] < exact[0] and exact[1] < student[1]


def test_a_document_without_a_place_for_the_table_is_refused(small: Simulation) -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        with_table("# Statistics\n", small)


def test_the_command_writes_rows_and_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, document = tmp_path / "rows.json", tmp_path / "text.md"
    document.write_text("# T\n<!-- simulation: begin -->\nold\n<!-- simulation: end -->\nend\n")
    options = ["--experiments", "5", "--seed", "1", "--out", str(rows), "--table", str(document)]
    monkeypatch.setattr(sys, "argv", ["simulation", *options])
    simulation.main()
    stored = msgspec.json.decode(rows.read_bytes(), type=Simulation)
    assert stored == simulate(5, 1)
    assert capsys.readouterr().out == table(stored)
    begin, end = "# T\n<!-- simulation: begin -->\n", "<!-- simulation: end -->\nend\n"
    assert document.read_text() == begin + table(stored) + end
    widths = {line.count("|") for line in table(stored).splitlines()}
    assert len(widths) == 1
    assert len(table(stored).splitlines()) == len(settings()) + 2


def test_every_scenario_is_simulated_at_every_setting() -> None:
    found = {(s.scenario, s.process_sd, s.change) for s in settings() if s.design == "unpaired"}
    assert found >= set(itertools.product(SCENARIOS, PROCESS_SDS, (0.0, 0.03)))

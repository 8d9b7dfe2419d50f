"""The committed table: every kind, enough moments, nothing lost, wrong or left."""

from collections import Counter

import pytest

from tests.faults import nvml_codes, table
from tests.faults.kills import KILLS
from tests.faults.outcome import Outcome
from tests.faults.singles import SINGLES

KINDS = 25
MOMENTS = 20
ENGINE_KILLS = (("engine killed, then started", "private"), ("engine restarted", "private"))


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return table.load()


def test_nothing_was_lost_wrong_or_left(outcomes: list[Outcome]) -> None:
    assert outcomes
    assert [one for one in outcomes if one.lost or one.wrong or one.orphans] == []


def test_every_kind_is_in_the_table_and_every_kill_often(outcomes: list[Outcome]) -> None:
    times = Counter((one.kind, one.where) for one in outcomes)
    assert len({kind for kind, _ in times}) >= KINDS
    assert set(times) >= {(single.name, single.place) for single in SINGLES}
    kills = [*((kill.name, kill.place) for kill in KILLS), *ENGINE_KILLS]
    assert {key: times[key] for key in kills if times[key] < MOMENTS} == {}


def test_the_kills_came_at_all_times_of_a_run(outcomes: list[Outcome]) -> None:
    during = {one.during for one in outcomes if one.moment_s is not None}
    assert "before the first line" in during
    assert any("started" in line for line in during)
    assert any(line.endswith("report.md") or "finished" in line for line in during)


def test_the_document_is_made_from_the_record(outcomes: list[Outcome]) -> None:
    made = table.document(outcomes, (nvml_codes.count(), len(nvml_codes.wrong())))
    assert table.DOCUMENT.read_text() == made

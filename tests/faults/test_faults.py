"""Each kind of fault, injected: nothing finished is lost, no report is wrong, nothing is left.

They start whole benches, so they run only where VACE_BENCH_FAULT_MOMENTS says how many random
moments of each kill to try; the seed is in the test's output. The record of many more is
tests/faults/table.jsonl.
"""

import os
import random

import pytest

from tests.faults.conftest import CASES, MOMENTS
from tests.faults.kills import KILLS, Kill, engine_kills, inject
from tests.faults.outcome import Outcome
from tests.faults.private_engine import SWITCH, PrivateEngine, why_not
from tests.faults.single import Single
from tests.faults.singles import SINGLES
from tests.faults.stage import Stage

TRIES = 10
# The real measured process in the loop of a whole run takes half a minute each; what these show is
# tested piece by piece in tests/measure, and whole in the committed table.
REAL = {
    "CUDA out of memory",
    "CUDA sticky error",
    "GPU lost",
    "GPU lost by a daemon-reload",
    "clock set back during a case",
    "everything frozen for a while",
    "host sleeps",
    "temporary folder full",
}


def check(outcome: Outcome) -> None:
    assert outcome.lost == 0, outcome
    assert outcome.wrong == [], outcome
    assert outcome.orphans == [], outcome


def kill_at_random(kill: Kill, stage: Stage, run_s: float, moments: int = MOMENTS) -> None:
    for _ in range(moments):
        seed = random.randrange(1 << 30)
        chance = random.Random(seed)
        print(f"{kill.name} ({kill.place}), seed {seed}")
        for _ in range(TRIES):
            with stage.world(kill.place) as world:
                setting = stage.setting(world, kill.place, real=kill.real, cases=CASES)
                outcome = inject(kill, world, setting, chance.uniform(0.0, run_s))
            if outcome is not None:
                check(outcome)
                break
        else:
            pytest.fail(f"the run was over before each of {TRIES} moments")


def kills(place: str) -> list[Kill]:
    return [kill for kill in KILLS if kill.place == place and not kill.real]


def singles(place: str) -> list[Single]:
    return [single for single in SINGLES if single.place == place and single.name not in REAL]


def name_of(kind: Kill | Single) -> str:
    return kind.name


@pytest.mark.parametrize("kill", kills("local"), ids=name_of)
def test_a_kill_of_a_local_run(kill: Kill, local_stage: Stage, local_run_s: float) -> None:
    kill_at_random(kill, local_stage, local_run_s)


@pytest.mark.docker
@pytest.mark.parametrize("kill", kills("docker"), ids=name_of)
def test_a_kill_of_a_run_in_containers(
    kill: Kill, docker_stage: Stage, docker_run_s: float
) -> None:
    kill_at_random(kill, docker_stage, docker_run_s)


@pytest.mark.slow
def test_a_killed_sampler_costs_the_rest_of_the_telemetry(local_stage: Stage) -> None:
    (kill,) = (one for one in KILLS if one.real and one.place == "local")
    with local_stage.world("local") as world:
        setting = local_stage.setting(world, "local", real=True, cases=1)
        outcome = inject(kill, world, setting, 0.0)
    assert outcome is not None
    check(outcome)


@pytest.mark.parametrize("single", singles("local"), ids=name_of)
def test_a_fault_of_a_local_run(single: Single, local_stage: Stage) -> None:
    if single.root and os.geteuid() != 0:
        pytest.skip("mounts a file system, which needs root")
    check(single.inject(single, local_stage))


@pytest.mark.docker
@pytest.mark.parametrize("single", singles("docker"), ids=name_of)
def test_a_fault_of_a_run_in_containers(single: Single, docker_stage: Stage) -> None:
    check(single.inject(single, docker_stage))


@pytest.mark.docker
@pytest.mark.parametrize("single", singles("private"), ids=name_of)
def test_a_fault_of_the_engine(single: Single, private_stage: Stage) -> None:
    check(single.inject(single, private_stage))


@pytest.mark.docker
@pytest.mark.parametrize("number", [0, 1], ids=["killed", "restarted"])
def test_a_kill_of_the_engine(number: int, private_stage: Stage, docker_run_s: float) -> None:
    assert private_stage.private is not None
    kill_at_random(engine_kills(private_stage.private)[number], private_stage, docker_run_s)


def test_without_the_switch_no_engine_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    reason = why_not()
    assert reason is not None and SWITCH in reason


def test_a_private_engine_has_nothing_of_the_users(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    engine = PrivateEngine(tmp_path_factory.mktemp("private") / "engine")
    assert engine.address.startswith("unix:///") and "/var/run/docker.sock" not in engine.address

from pathlib import Path

import msgspec
import pytest

from harness.analysis.proofs_beside import may_prove, proofs_of, unproven
from harness.result import Fact, Result
from harness.run import Run
from harness.store import RunFolder
from tests.records import build
from tests.report import made_fixes

OTHER = "20261127-080000-fixes"
FACT = "workload.fixes.fused-qkv"


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = made_fixes.run(tmp_path_factory.mktemp("timed"), only="paired-*", processes=1)
    return RunFolder(path).load()


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Run:
    reports: Path = tmp_path_factory.mktemp("proof")
    return RunFolder(made_fixes.run(reports, only="quality-inpainting-alone*")).load()


def told(result: Result, fixes: str | None) -> Result:
    reason = None if fixes is not None else "not recorded"
    fact = Fact(value=fixes, reason=reason)
    return build.change(result, provenance={**result.provenance, FACT: fact})


def names(run: Run, wanted: dict[str, list[Result]]) -> set[str]:
    return {found.arm for found in proofs_of(run.processes, wanted, OTHER)}


def test_arms_that_the_run_proves_itself_are_not_wanted(timed: Run, proof: Run) -> None:
    assert {"ring-cache", "lossless", "stack-2"} <= unproven(timed.processes).keys()
    both = unproven({**timed.processes, **proof.processes})
    assert "ring-cache" not in both and "lossless" in both


def test_only_wanted_arms_are_taken_and_each_names_its_run(timed: Run, proof: Run) -> None:
    wanted = unproven(timed.processes)
    found = proofs_of(proof.processes, {"once": wanted["once"]}, OTHER)
    assert [(one.arm, one.run) for one in found] == [("once", OTHER)]
    assert names(proof, {"stack-2": wanted["stack-2"]}) == set()


def test_a_proof_of_another_workload_is_not_taken(timed: Run, proof: Run) -> None:
    wanted = unproven(timed.processes)
    assert may_prove(proof.manifest.cases, wanted)
    for changes in ({"dtype": "float16"}, {"preset": "tiny"}, {"weights": "checkpoint"}):
        other = {
            arm: [build.change(r, case=msgspec.structs.replace(r.case, **changes)) for r in results]
            for arm, results in wanted.items()
        }
        assert not may_prove(proof.manifest.cases, other)
        assert names(proof, other) == set()


@pytest.mark.parametrize(
    ("timed_of", "proven_of", "taken"),
    [
        ("lora-merged, fused-qkv", "lora-merged, fused-qkv", True),
        ("lora-merged, fused-qkv", None, True),
        (None, "lora-merged, fused-qkv", True),
        ("lora-merged, fused-qkv", "fused-qkv, rope-real", False),
    ],
)
def test_records_that_contradict_each_other_on_an_arm_prove_nothing(
    timed: Run, proof: Run, timed_of: str | None, proven_of: str | None, *, taken: bool
) -> None:
    wanted = {
        "fused-qkv": [told(r, timed_of) for r in unproven(timed.processes)["fused-qkv"]],
        "once": unproven(timed.processes)["once"],
    }
    processes = {name: [told(r, proven_of) for r in rs] for name, rs in proof.processes.items()}
    found = {one.arm for one in proofs_of(processes, wanted, OTHER)}
    assert ("fused-qkv" in found) == taken
    assert "once" in found

"""harness.measure.provenance: what a record says of checkpoints."""

import hashlib
from pathlib import Path

import torch

from harness.analysis.pooled import STACK_FACTS
from harness.job import Job
from harness.measure.devices import workload_config
from harness.measure.findings import Findings
from harness.measure.provenance import CHECKPOINT_FILES, VAE_FILES, Context, collect
from harness.variants import resolve
from tests.measure.cases import SALT, small_case


def test_every_checkpoint_of_a_case_is_hashed(tmp_path: Path) -> None:
    case = small_case(weights="checkpoint")
    names = [*CHECKPOINT_FILES, VAE_FILES[case.vae]]
    for name in names[1:]:
        (tmp_path / name).write_bytes(name.encode())
    facts = collect(
        Context(
            job=Job(case=case, salt=SALT, weights_dir=str(tmp_path)),
            config=workload_config(case, None),
            device=torch.device("cpu"),
            gpu=None,
            telemetry=None,
            findings=Findings(lambda progress: None),
        )
    )
    assert facts["weights.source"].value == "checkpoint"
    for name in names[1:]:
        expected = hashlib.sha256(name.encode()).hexdigest()
        assert facts[f"weights.sha256.{name}"].value == expected
    missing = facts[f"weights.sha256.{names[0]}"]
    assert missing.value is None and "cannot be read" in str(missing.reason)


def test_what_the_name_of_a_stack_stands_for_is_kept() -> None:
    case = small_case(kind="paired", arms=("base", "ring-cache", "stack-3", "ring-cache+once"))
    facts = collect(
        Context(
            job=Job(case=case, salt=SALT),
            config=workload_config(case, None),
            device=torch.device("cpu"),
            gpu=None,
            telemetry=None,
            findings=Findings(lambda progress: None),
        )
    )
    told = {name: fact.value for name, fact in facts.items() if name.startswith(STACK_FACTS)}
    assert told == {
        "workload.fixes.stack-3": ", ".join(fix.name for fix in resolve("stack-3")),
        "workload.fixes.ring-cache+once": "ring-cache, once",
    }

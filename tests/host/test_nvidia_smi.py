import os
from pathlib import Path

import pytest

from harness.host.nvidia_smi import NO_SMI, MigInstance, Smi, SmiGpu, ask, parse_instances
from tests.host.trees import FIRST_INSTANCE, MACHINES, SECOND_INSTANCE, SECOND_UUID, UUID, smi

PROGRAM = """#!/bin/sh
case "$1" in
  -L) cat {folder}/smi-mig-two.list;;
  -q) cat {folder}/smi-mig-two.xml;;
  *) cat {folder}/smi-mig-two.query;;
esac
"""


def program(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An nvidia-smi that says what it is told to."""
    path = folder / "nvidia-smi"
    path.write_text(text)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_gpus_and_their_instances() -> None:
    answer = smi("mig-two")
    assert answer.driver == "580.159.04"
    assert answer.gpus == (SmiGpu(0, UUID, mig=True), SmiGpu(1, SECOND_UUID, mig=False))
    assert answer.instances == (
        MigInstance(0, 0, "3g.40gb", FIRST_INSTANCE, 2, 0),
        MigInstance(0, 1, "1g.10gb", SECOND_INSTANCE, 9, 0),
    )
    assert answer.split_gpu(None) == answer.split_gpu("0") == answer.gpus[0]
    assert answer.split_gpu("1") is None


def test_instances_without_their_ids_are_still_named() -> None:
    listed = (MACHINES / "smi-mig-two.list").read_text()
    first = parse_instances(listed, "not XML")[0]
    assert (first.uuid, first.gpu_instance) == (FIRST_INSTANCE, -1)


def test_a_gpu_that_cannot_be_split_is_in_no_mig_mode() -> None:
    assert not smi("wsl").gpus[0].mig


def test_it_is_asked_for_instances_only_in_mig_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, PROGRAM.format(folder=MACHINES), monkeypatch)
    assert ask() == smi("mig-two")
    text = f'#!/bin/sh\n[ "$1" = -L ] && exit 9\ncat {MACHINES}/smi-wsl.query\n'
    program(tmp_path, text, monkeypatch)
    assert ask() == smi("wsl")


def test_a_mismatch_of_versions_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"#!/bin/sh\ncat {MACHINES}/smi-mismatch.txt\nexit 18\n"
    program(tmp_path, text, monkeypatch)
    answer = ask()
    assert answer.is_mismatched
    assert answer.failure == "Failed to initialize NVML: Driver/library version mismatch"


def test_another_failure_is_kept_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "#!/bin/sh\necho No devices were found >&2\nexit 6\n", monkeypatch)
    answer = ask()
    assert answer.failure == "No devices were found" and not answer.is_mismatched
    program(tmp_path, "#!/bin/sh\nexit 6\n", monkeypatch)
    assert ask().failure == "nvidia-smi failed and said nothing"


def test_without_it_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask() == ask(tmp_path) == NO_SMI == Smi(is_there=False)


def test_it_is_only_ever_asked() -> None:
    source = (Path(__file__).parents[2] / "harness/host/nvidia_smi.py").read_text()
    for option in ("-pl", "-pm", "-lgc", "-mig", "-cgi", "-dgi", "-r", "-c", "-e"):
        assert f'"{option}"' not in source

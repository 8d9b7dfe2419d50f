"""The golden files of tests/golden pass, and the check notices what it must notice."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from harness.workload.conformance import check_file, main

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.safetensors"))


@pytest.mark.parametrize("name", NAMES)
def test_every_stored_output_is_reproduced(name: str) -> None:
    verdict = check_file(GOLDEN / f"{name}.safetensors")
    assert verdict.problems == []
    compared, _, stored = (
        verdict.line.partition(" outputs")[0].rpartition(": ")[2].split(" ", 2)[0:3]
    )
    assert compared == stored.removeprefix("of ").strip()


def rewrite(source: str, folder: Path, *, name: str = "", **changes: torch.Tensor | None) -> Path:
    """A copy of a golden file with tensors changed (or left out: None), beside its weights."""
    for weights in GOLDEN.glob("weights_*"):
        shutil.copy(weights, folder)
    with safe_open(GOLDEN / f"{source}.safetensors", "pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for key, value in changes.items():
        if value is None:
            del tensors[key]
        else:
            tensors[key] = value
    target = folder / f"{name or source}.safetensors"
    save_file(tensors, target, metadata)
    return target


def stored(source: str, key: str) -> torch.Tensor:
    with safe_open(GOLDEN / f"{source}.safetensors", "pt") as file:
        return file.get_tensor(key)


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("units", "rope/hd32/out_start9"),
        ("units", "time_sinusoid/dim256/vace_wrapper_f32"),
        ("dit_vace_unpadded", "hint0"),
        ("lora_unit", "r4_a4/y"),
        ("scheduler", "t500/x0"),
    ],
)
def test_one_changed_value_fails_and_is_named(
    source: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = stored(source, key)
    value.view(-1)[value.numel() // 2] += 1e-3
    rewrite(source, tmp_path, **{key: value})
    assert main([str(tmp_path)]) == 1
    problems = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert len(problems) == 1
    assert f"{source}.safetensors" in problems[0]
    assert key in problems[0]


def test_a_missing_optional_output_is_no_failure(tmp_path: Path) -> None:
    path = rewrite("dit_vace_unpadded", tmp_path, hint1=None)
    assert check_file(path).problems == []


def test_an_output_that_nobody_compares_fails(tmp_path: Path) -> None:
    path = rewrite("units", tmp_path, **{"rope2/hd32/out": torch.zeros(2)})
    assert any("not compared" in problem for problem in check_file(path).problems)


def test_a_non_finite_or_misshapen_output_fails(tmp_path: Path) -> None:
    value = stored("lora_unit", "r4_a4/y")
    path = rewrite("lora_unit", tmp_path, **{"r4_a4/y": value[:, :-1].contiguous()})
    assert check_file(path).problems
    value[0, 0, 0] = float("nan")
    path = rewrite("lora_unit", tmp_path, **{"r4_a4/y": value})
    assert check_file(path).problems


def test_an_unknown_file_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite("lora_unit", tmp_path, name="something_else")
    assert main([str(tmp_path)]) == 1
    assert "something_else.safetensors: not recognised" in capsys.readouterr().out


def test_a_file_without_its_weights_fails(tmp_path: Path) -> None:
    path = rewrite("dit_vace_unpadded", tmp_path)
    (tmp_path / "weights_vace_tiny.safetensors").unlink()
    assert "cannot be checked" in check_file(path).line


def test_a_damaged_file_fails(tmp_path: Path) -> None:
    path = tmp_path / "units.safetensors"
    path.write_bytes((GOLDEN / "units.safetensors").read_bytes()[:5000])
    assert "cannot be checked" in check_file(path).line


def test_an_empty_folder_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no golden file" in capsys.readouterr().err

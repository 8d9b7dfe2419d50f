"""Checkpoints by their published names: loaded, and refused with the key named."""

import re
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from harness.errors import WeightsError
from harness.presets import PRESETS, WorkloadConfig
from harness.workload import weights
from harness.workload.attention import Attention
from harness.workload.build import base_state, build_pipeline, check_weights
from harness.workload.lora import add_lora
from harness.workload.rollout import Pipeline
from harness.workload.transformer import CausalTransformer
from harness.workload.vace import Vace

CPU = torch.device("cpu")


@pytest.fixture
def checkpoints(pipeline: Pipeline, tmp_path: Path) -> Path:
    """The tiny model's weights in the five files' form."""
    base = {f"model.{key}": value for key, value in base_state(pipeline.transformer).items()}
    torch.save({"generator": base}, tmp_path / weights.GENERATOR_FILE)
    adapters = weights.lora_state(pipeline.transformer)
    prefixed = {f"{weights.LORA_PREFIX}{key}": value for key, value in adapters.items()}
    torch.save({"generator_lora": prefixed}, tmp_path / weights.LORA_FILE)
    branch = dict(pipeline.vace.named_parameters()) | {"unrelated.weight": torch.zeros(2)}
    save_file(branch, tmp_path / weights.VACE_FILE)
    torch.save(pipeline.vae.state_dict(), tmp_path / weights.TAE_FILE)  # type: ignore[attr-defined]
    return tmp_path


def test_a_pipeline_from_checkpoints_equals_the_seeded_one(
    config: WorkloadConfig, pipeline: Pipeline, checkpoints: Path
) -> None:
    loaded = build_pipeline(config, device=CPU, weights_dir=checkpoints)
    frames = torch.rand(1, 3, 12, 32, 48) * 2 - 1
    assert torch.equal(loaded.run_chunk(frames, None), pipeline.run_chunk(frames, None))


def test_the_published_names_are_all_there(checkpoints: Path) -> None:
    keys = set(weights.read_generator(checkpoints))
    assert {"blocks.3.self_attn.norm_q.weight", "head.modulation", "time_projection.1.bias"} <= keys
    lora = torch.load(checkpoints / weights.LORA_FILE)["generator_lora"]
    assert "base_model.model.blocks.0.ffn.2.lora_B.weight" in lora


def test_the_full_model_has_the_published_tensors() -> None:
    model = PRESETS["full"].model
    with torch.device("meta"):
        base, vace = CausalTransformer(model, Attention({})), Vace(model, Attention({}))
    own = {name: list(value.shape) for name, value in base.named_parameters()}
    branch = {name: list(value.shape) for name, value in vace.named_parameters()}
    with torch.device("meta"):
        add_lora(base.blocks, model.lora_rank, model.lora_alpha)
    adapters = {name: list(value.shape) for name, value in weights.lora_state(base).items()}
    assert (len(own), len(adapters)) == (825, 600)
    assert base_state(base).keys() == own.keys()
    expected = {
        "patch_embedding.weight": [1536, 16, 1, 2, 2],
        "text_embedding.0.weight": [1536, 4096],
        "time_embedding.0.weight": [1536, 256],
        "time_projection.1.weight": [9216, 1536],
        "blocks.29.modulation": [1, 6, 1536],
        "blocks.0.self_attn.norm_q.weight": [1536],
        "blocks.0.norm3.bias": [1536],
        "blocks.7.ffn.2.weight": [1536, 8960],
        "head.modulation": [1, 2, 1536],
        "head.head.weight": [64, 1536],
    }
    assert {name: own[name] for name in expected} == expected
    assert branch["vace_patch_embedding.weight"] == [1536, 96, 1, 2, 2]
    assert branch["vace_blocks.14.after_proj.bias"] == [1536]
    assert [name for name in branch if "before_proj.weight" in name] == [
        "vace_blocks.0.before_proj.weight"
    ]
    assert adapters["blocks.3.ffn.0.lora_A.weight"] == [256, 1536]
    assert adapters["blocks.3.ffn.0.lora_B.weight"] == [8960, 256]


def test_a_checkpoint_of_the_older_form_is_read(
    config: WorkloadConfig, pipeline: Pipeline, checkpoints: Path
) -> None:
    state = pipeline.vae.state_dict()  # type: ignore[attr-defined]
    path = checkpoints / weights.TAE_FILE
    torch.save(state, path, _use_new_zipfile_serialization=False)
    check_weights(config, checkpoints)


def test_a_missing_file_is_named(config: WorkloadConfig, checkpoints: Path) -> None:
    (checkpoints / weights.VACE_FILE).unlink()
    with pytest.raises(WeightsError, match=weights.VACE_FILE):
        check_weights(config, checkpoints)


@pytest.mark.parametrize(
    "name",
    [weights.GENERATOR_FILE, weights.LORA_FILE, weights.VACE_FILE, weights.TAE_FILE],
)
def test_a_truncated_file_is_named(config: WorkloadConfig, checkpoints: Path, name: str) -> None:
    path = checkpoints / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match=f"{name} is truncated") as error:
        check_weights(config, checkpoints)
    assert "\n" not in error.value.line


def test_a_wrong_shape_a_missing_and_an_unknown_key_are_named(
    config: WorkloadConfig, checkpoints: Path
) -> None:
    path = checkpoints / weights.GENERATOR_FILE
    stored = torch.load(path)["generator"]
    good = stored["model.blocks.2.ffn.0.weight"]
    for broken, message in (
        ({"model.blocks.2.ffn.0.weight": good[:, :-1]}, r"blocks\.2\.ffn\.0\.weight.*expected"),
        ({"model.blocks.9.ffn.0.weight": good}, r"unknown tensor 'blocks\.9"),
    ):
        torch.save({"generator": stored | broken}, path)
        with pytest.raises(WeightsError, match=message):
            check_weights(config, checkpoints)
    torch.save({"generator": {k: v for k, v in stored.items() if "head.head" not in k}}, path)
    with pytest.raises(WeightsError, match=r"lacks 'head\.head"):
        check_weights(config, checkpoints)


def test_a_pickle_that_is_no_checkpoint_is_refused(
    config: WorkloadConfig, checkpoints: Path
) -> None:
    path = checkpoints / weights.TAE_FILE
    torch.save([1, 2, 3], path)
    with pytest.raises(WeightsError, match="not a dictionary of tensors"):
        check_weights(config, checkpoints)


class Planted:
    """Unpickled freely, it would create the file that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    proof, path = tmp_path / "proof", tmp_path / "evil.pth"
    for zipped in (True, False):
        torch.save({"w": Planted(proof)}, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(WeightsError, match=r"evil\.pth"):
            weights.read_pickle(path, None)
    assert not proof.exists()
    torch.load(path, weights_only=False)  # the same file does it where code is let in
    assert proof.exists()


def test_a_packed_checkpoint_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    good, path = tmp_path / "good.pth", tmp_path / "bomb.pth"
    torch.save({"w": torch.zeros(1 << 22)}, good)
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            new.writestr(item.filename, old.read(item))
    assert path.stat().st_size < good.stat().st_size / 100
    with pytest.raises(WeightsError, match=r"bomb\.pth is a packed archive"):
        weights.read_pickle(path, None)


def test_no_checkpoint_is_loaded_with_code() -> None:
    """Every torch.load of the harness says weights_only; there is no other unpickling."""
    for file in Path(weights.__file__).parents[1].rglob("*.py"):
        text = file.read_text()
        assert not re.search(r"^\s*(import|from) (pickle|dill|shelve|marshal)\b", text, re.M), file
        for call in re.findall(r"torch\.load\((.*)\)", text):
            assert "weights_only=True" in call, file


def test_seeded_values_depend_on_name_and_seed_only() -> None:
    def filled(seed: int, names: list[str]) -> dict[str, torch.Tensor]:
        parameters = {name: torch.empty(8, 8) for name in names}
        weights.seed_parameters(parameters.items(), seed)
        return parameters

    first, second = filled(1, ["a", "b"]), filled(1, ["b", "a"])
    assert torch.equal(first["a"], second["a"])
    assert not torch.equal(first["a"], first["b"])
    assert not torch.equal(first["a"], filled(2, ["a"])["a"])

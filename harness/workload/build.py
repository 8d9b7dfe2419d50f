"""Builds a pipeline: modules on the device, filled from checkpoints or from seeded values."""

from pathlib import Path

import torch
from torch import Tensor, nn

from harness.presets import WorkloadConfig
from harness.workload import weights
from harness.workload.attention import Attention
from harness.workload.autoencoder import Tae, adapt_tae_state
from harness.workload.lora import add_lora
from harness.workload.prompt import seeded_prompt
from harness.workload.rollout import Parts, Pipeline
from harness.workload.transformer import CausalTransformer
from harness.workload.vace import Vace
from harness.workload.vae import Vae
from harness.workload.wan_vae import WanVae
from harness.workload.weights_vae import seed_vae


def build_pipeline(
    config: WorkloadConfig, *, device: torch.device, weights_dir: Path | None
) -> Pipeline:
    """The baseline workload with a prompt set, on `device`.

    Without `weights_dir` all weights are seeded random values. Raises WeightsError for a
    checkpoint that does not fit and CaseError for an attention backend that cannot run here.
    """
    attention = Attention.load(config.attention, device=device, head_dim=config.model.head_dim)
    return _build(config, attention, device, weights_dir)


def seeded_pipeline(
    config: WorkloadConfig, attention: Attention, *, device: torch.device
) -> Pipeline:
    """A pipeline with seeded weights around given attention kernels."""
    return _build(config, attention, device, None)


def _build(
    config: WorkloadConfig, attention: Attention, device: torch.device, weights_dir: Path | None
) -> Pipeline:
    dtype: torch.dtype = getattr(torch, config.dtype)
    with torch.device("meta"):
        transformer, vace = (
            CausalTransformer(config.model, attention),
            Vace(config.model, attention),
        )
        add_lora(transformer.blocks, config.model.lora_rank, config.model.lora_alpha)
    for module in (transformer, vace):
        module.to(dtype).to_empty(device=device)
        module.requires_grad_(False)
    transformer.make_table(device)
    if weights_dir is None:
        weights.seed_parameters(transformer.named_parameters("transformer"), config.seed)
        weights.seed_parameters(vace.named_parameters("vace"), config.seed)
    else:
        check_weights(config, weights_dir)
        weights.assign(base_state(transformer), weights.read_generator(weights_dir))
        weights.assign(weights.lora_state(transformer), weights.read_lora(weights_dir))
        weights.assign(dict(vace.named_parameters()), weights.read_vace(weights_dir))
    vae = _build_vae(config, device, dtype, weights_dir)
    pipeline = Pipeline(config, Parts(transformer, vace, vae, attention), device=device)
    pipeline.set_prompt(seeded_prompt(config.model, config.seed).to(device, dtype))
    return pipeline


def check_weights(config: WorkloadConfig, weights_dir: Path) -> None:
    """Raises WeightsError naming the file and key that is missing, truncated or misshapen."""
    attention = Attention({})
    with torch.device("meta"):
        transformer, vace = (
            CausalTransformer(config.model, attention),
            Vace(config.model, attention),
        )
    base = dict(transformer.named_parameters())
    weights.check_shapes(weights.read_generator(weights_dir), base, weights.GENERATOR_FILE)
    with torch.device("meta"):
        add_lora(transformer.blocks, config.model.lora_rank, config.model.lora_alpha)
    adapters = weights.lora_state(transformer)
    weights.check_shapes(weights.read_lora(weights_dir), adapters, weights.LORA_FILE)
    branch = dict(vace.named_parameters())
    weights.check_shapes(weights.read_vace(weights_dir), branch, weights.VACE_FILE)
    name, vae, state = _vae_checkpoint(config, weights_dir)
    weights.check_shapes(state, dict(vae.named_parameters()), name)


def base_state(transformer: CausalTransformer) -> dict[str, Tensor]:
    """The transformer's own parameters by the checkpoint's names, adapters left out."""
    return {
        name.replace(".base.", "."): parameter
        for name, parameter in transformer.named_parameters()
        if ".lora_" not in name
    }


def _build_vae(
    config: WorkloadConfig, device: torch.device, dtype: torch.dtype, weights_dir: Path | None
) -> Vae:
    vae = Tae() if config.vae == "tae" else WanVae(config.wan_vae_dim)
    if weights_dir is not None:
        _, _, state = _vae_checkpoint(config, weights_dir)
        vae.load_state_dict(state)
    else:
        seed_vae(vae, config.seed)
    vae.requires_grad_(False)
    return vae.to(device, dtype)


def _vae_checkpoint(
    config: WorkloadConfig, weights_dir: Path
) -> tuple[str, nn.Module, dict[str, Tensor]]:
    """File name, a module of the expected shapes on the meta device, and the file's tensors."""
    tae = config.vae == "tae"
    name = weights.TAE_FILE if tae else weights.WAN_VAE_FILE
    state = weights.read_pickle(weights_dir / name, None)
    with torch.device("meta"):
        vae: nn.Module = Tae() if tae else WanVae(config.wan_vae_dim)
    return name, vae, adapt_tae_state(state) if tae else state

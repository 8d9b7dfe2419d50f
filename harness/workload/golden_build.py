"""Modules and pipelines as a golden file's metadata asks for them, with the weights it names."""

import torch
from safetensors.torch import load_file
from torch import Tensor

from harness.presets import CPU_ATTENTION, ModelConfig, WorkloadConfig
from harness.workload import weights
from harness.workload.attention import Attention
from harness.workload.autoencoder import Tae
from harness.workload.golden import GoldenFile
from harness.workload.lora import add_lora
from harness.workload.recipe import load_recipe
from harness.workload.rollout import Parts, Pipeline
from harness.workload.transformer import CausalTransformer
from harness.workload.vace import Vace
from harness.workload.wan_vae import WanVae

CPU = torch.device("cpu")


def golden_config(file: GoldenFile) -> WorkloadConfig:
    """Sizes from the file's metadata."""
    sizes = file.json("config")
    model = ModelConfig(
        **{key: sizes[key] for key in ("dim", "ffn_dim", "freq_dim", "text_dim", "text_len")},
        num_heads=sizes["num_heads"],
        num_layers=sizes["num_layers"],
        in_channels=sizes["in_dim"],
        out_channels=sizes["out_dim"],
        eps=sizes["eps"],
        vace_channels=file.json("vace_in_dim"),
        vace_layers=tuple(file.json("vace_layers")),
        lora_rank=file.json("lora_rank"),
        lora_alpha=file.json("lora_alpha"),
        local_attn_frames=int(file.metadata.get("local_attn_size", 12)),
        sink_frames=int(file.metadata.get("sink_size", 3)),
        frames_per_chunk=int(file.metadata.get("frames_per_chunk", 3)),
    )
    height, width = file.json("latent_hw")
    steps = tuple(step for step in file.json("timesteps") if step > 0)
    return WorkloadConfig(
        model=model,
        height_px=8 * height,
        width_px=8 * width,
        dtype=file.metadata["dtype"].removeprefix("torch."),
        attention=CPU_ATTENTION,
        vae=file.metadata.get("vae", "tae"),
        steps=steps,
        context_scale=float(file.metadata.get("vace_context_scale", 1.0)),
    )


def golden_state(file: GoldenFile, kind: str) -> dict[str, Tensor]:
    """The stored weights of a kind (generator, vace, lora) that the file names."""
    names = [name for name in file.json("weight_files") if name.startswith(f"weights_{kind}")]
    if len(names) != 1:
        raise ValueError(f"{file.path.name} names {len(names)} weight files of kind {kind}")
    return load_file(file.folder / f"{names[0]}.safetensors")


def names_weights(file: GoldenFile, kind: str) -> bool:
    """Whether the file asks for weights of this kind."""
    return any(name.startswith(f"weights_{kind}") for name in file.json("weight_files"))


def golden_vace(file: GoldenFile, config: WorkloadConfig) -> Vace:
    """The VACE branch with the file's weights."""
    attention = Attention.load(CPU_ATTENTION, device=CPU, head_dim=config.model.head_dim)
    vace = Vace(config.model, attention)
    if names_weights(file, "vace"):
        vace.load_state_dict(golden_state(file, "vace"))
    return vace.to(getattr(torch, config.dtype))


def golden_transformer(file: GoldenFile, config: WorkloadConfig) -> CausalTransformer:
    """The base transformer with the file's weights, and its LoRA where it is applied."""
    attention = Attention.load(CPU_ATTENTION, device=CPU, head_dim=config.model.head_dim)
    loaded = names_weights(file, "vace")
    transformer = CausalTransformer(config.model, attention, vace_loaded=loaded)
    transformer.load_state_dict(golden_state(file, "generator"))
    if file.metadata["lora"].lower() == "true":
        add_lora(transformer.blocks, config.model.lora_rank, config.model.lora_alpha)
        adapters = weights.lora_state(transformer)
        weights.assign(adapters, weights.lora_names(golden_state(file, "lora")))
    transformer.make_table(CPU)
    return transformer.to(getattr(torch, config.dtype))


def golden_vae(file: GoldenFile) -> Tae | WanVae:
    """The autoencoder that the file names, with the weights of its recipe.

    A WanVAE's width stands in the metadata of the folder's `wanvae` file; without one it is full.
    """
    vae: Tae | WanVae
    if file.metadata.get("vae", "tae") == "tae":
        vae = Tae()
        load_recipe(vae, "tae")
    else:
        siblings = sorted(file.folder.glob("wanvae*.safetensors"))
        vae = WanVae(GoldenFile.load(siblings[0]).json("config")["dim"]) if siblings else WanVae()
        load_recipe(vae, "wanvae")
    return vae.to(getattr(torch, file.metadata["dtype"].removeprefix("torch.")))


def golden_pipeline(file: GoldenFile, vae: Tae | WanVae, device: torch.device = CPU) -> Pipeline:
    """The whole pipeline with the file's weights around an autoencoder."""
    config = golden_config(file)
    transformer, vace = golden_transformer(file, config), golden_vace(file, config)
    for module in (transformer, vace, vae):
        module.to(device)
    transformer.make_table(device)
    attention = Attention.load(CPU_ATTENTION, device=device, head_dim=config.model.head_dim)
    return Pipeline(config, Parts(transformer, vace, vae, attention), device=device)

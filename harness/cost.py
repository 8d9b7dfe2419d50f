"""What a chunk costs by arithmetic alone: FLOPs a part, parameters, the KV cache. No torch.

Source: section 16 of the workload specification. One multiply and one add count as 2 FLOPs. The
linear and convolution formulas match a counter exactly; attention counts both matrix products.
"""

from harness.presets import ModelConfig, WorkloadConfig

TAE_ENCODE_FLOPS_PER_PIXEL = 0.95e12 / 2 / (12 * 512 * 512)  # per stream, per input pixel
TAE_DECODE_FLOPS_PER_PIXEL = 1.07e12 / (12 * 512 * 512)
WAN_ENCODE_FLOPS_PER_PIXEL = 15.81e12 / (12 * 512 * 512)  # width 96
WAN_DECODE_FLOPS_PER_PIXEL = 26.64e12 / (12 * 512 * 512)
TAE_PARAMETERS = 11_315_539
WAN_VAE_PARAMETERS = 126_892_531  # width 96


def attended_frames(model: ModelConfig, chunk: int) -> int:
    """Latent frames that a chunk's queries attend to: the cache fills, then stays full."""
    return min((chunk + 1) * model.frames_per_chunk, model.local_attn_frames)


def chunk_flops(config: WorkloadConfig, mode: str, *, chunk: int) -> dict[str, float]:
    """FLOPs of one chunk by part, for mode 'inpainting', 'depth' or 'text'."""
    model = config.model
    d, ffn = model.dim, model.ffn_dim
    forwards = len(config.steps) + 1
    hinted = 0 if mode == "text" else len(config.steps)
    n = model.frames_per_chunk * config.tokens_per_frame
    keys = attended_frames(model, chunk) * config.tokens_per_frame
    base_calls = forwards * model.num_layers
    vace_calls = hinted * len(model.vace_layers)
    cross = (base_calls + vace_calls) * 4 * n * model.text_len * d
    vace_linears = vace_calls * (2 * n * (7 * d * d + 2 * d * ffn) + 4 * model.text_len * d * d)
    return {
        "base linears": base_calls * 2.0 * n * (6 * d * d + 2 * d * ffn),
        "LoRA": base_calls * 2.0 * n * model.lora_rank * (12 * d + 2 * (d + ffn)),
        "VACE linears": float(vace_linears + hinted * 2 * n * d * d),
        "self-attention": base_calls * 4.0 * n * keys * d,
        "VACE self-attention": vace_calls * 4.0 * n * n * d,
        "cross-attention": float(cross),
        "embeddings and head": _embedding_flops(config, forwards, hinted),
        **_vae_flops(config, conditioned=hinted > 0),
    }


def _embedding_flops(config: WorkloadConfig, forwards: int, hinted: int) -> float:
    model = config.model
    d = model.dim
    frames = model.frames_per_chunk
    n = frames * config.tokens_per_frame
    text = 2 * model.text_len * (model.text_dim * d + d * d)
    time = 2 * frames * (model.freq_dim * d + d * d + 6 * d * d)
    patch_and_head = 2 * n * 4 * d * (model.in_channels + model.out_channels)
    vace_patch = 2 * n * 4 * d * model.vace_channels
    return float(forwards * (text + time + patch_and_head) + hinted * vace_patch)


def _vae_flops(config: WorkloadConfig, *, conditioned: bool) -> dict[str, float]:
    pixels = config.model.pixel_frames_per_chunk * config.height_px * config.width_px
    if config.vae == "tae":
        encode, decode = TAE_ENCODE_FLOPS_PER_PIXEL, TAE_DECODE_FLOPS_PER_PIXEL
    else:
        scale = (config.wan_vae_dim / 96) ** 2
        encode, decode = WAN_ENCODE_FLOPS_PER_PIXEL * scale, WAN_DECODE_FLOPS_PER_PIXEL * scale
    return {
        "VAE encode": 2 * encode * pixels if conditioned else 0.0,
        "VAE decode": decode * pixels,
    }


def parameters(config: WorkloadConfig) -> dict[str, int]:
    """Parameters of the transformer, the VACE branch, the LoRA adapters and the VAE."""
    model = config.model
    d, ffn = model.dim, model.ffn_dim
    attention = 4 * (d * d + d) + 2 * d
    block = 2 * attention + 2 * d * ffn + ffn + d + 2 * d + 6 * d  # ffn, norm3, modulation
    embeddings = (
        model.in_channels * 4 * d
        + d
        + (model.text_dim * d + d + d * d + d)
        + (model.freq_dim * d + d + d * d + d)
        + (6 * d * d + 6 * d)
    )
    head = 2 * d + model.out_channels * 4 * (d + 1)
    vace_blocks = len(model.vace_layers)
    vace_extra = vace_blocks * (d * d + d) + (d * d + d)
    adapted = 8 * (d + d) + 2 * (d + ffn)
    vae = TAE_PARAMETERS
    if config.vae == "wanvae":
        vae = int(WAN_VAE_PARAMETERS * (config.wan_vae_dim / 96) ** 2)
    return {
        "transformer": model.num_layers * block + embeddings + head,
        "vace": vace_blocks * block + vace_extra + model.vace_channels * 4 * d + d,
        "lora": model.num_layers * adapted * model.lora_rank,
        "vae": vae,
    }


def kv_cache_bytes(config: WorkloadConfig) -> int:
    """Bytes of the self-attention cache of all blocks."""
    model = config.model
    tokens = model.local_attn_frames * config.tokens_per_frame
    return 2 * model.num_layers * tokens * model.dim * itemsize(config)


def itemsize(config: WorkloadConfig) -> int:
    """Bytes of one element of weights and activations."""
    return 4 if config.dtype == "float32" else 2

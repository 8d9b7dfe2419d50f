"""How many bytes a chunk moves by arithmetic alone, part by part. No torch.

Source: the traffic estimates of section 16 of the workload specification, and the operations that
its sections 7 to 9 and 14 list. Every operation reads its inputs and writes its result once, in
device memory. A cache that keeps a tensor between two operations moves less, so a part can come out
faster than its bytes allow. The VAE counts weights, input and output only.
"""

from harness.cost import attended_frames, itemsize, parameters
from harness.presets import WorkloadConfig

FLOAT32_BYTES, FLOAT64_BYTES = 4, 8
BASE_LINEAR_OUTPUTS = 7  # x dim: q, k, v, o, cross q, cross o, second ffn layer
HINT_OPERATIONS = 5  # tensors that hint * scale, and its addition, read and write
GATE_OPERATIONS = 5  # the same for y * gate and x + y
MODULATE_OPERATIONS = 6  # norm, scale, shift: one read and one write each
RESIDUAL_OPERATIONS = 3


def chunk_bytes(config: WorkloadConfig, mode: str, chunk: int) -> dict[str, float]:
    """Bytes read and written by one chunk, by part; the names of `chunk_flops` and the rest.

    Parts without arithmetic worth counting (RoPE, copies of the cache, norms) are only here.
    """
    hinted, base_calls, vace_calls = _calls(config, mode)
    return {
        **_linears(config, base_calls, vace_calls, hinted),
        **_attention(config, base_calls, vace_calls, chunk),
        **_cache(config, base_calls, chunk),
        **_branch(config, hinted),
        "RoPE": 2.0 * (base_calls + vace_calls) * _rope_call(config),
        "modulation and norms": base_calls * _norms(config, text_keys=False)
        + vace_calls * _norms(config, text_keys=True),
        **_vae(config, conditioned=hinted > 0),
    }


def least_rope_bytes(config: WorkloadConfig, mode: str) -> float:
    """Bytes that RoPE of a chunk cannot do without: q and k read and written once."""
    _, base_calls, vace_calls = _calls(config, mode)
    return 2 * (base_calls + vace_calls) * 2 * _activation(config)


def _calls(config: WorkloadConfig, mode: str) -> tuple[int, int, int]:
    """Forwards with hints, calls of base blocks, calls of VACE blocks in a chunk."""
    hinted = 0 if mode == "text" else len(config.steps)
    base_calls = (len(config.steps) + 1) * config.model.num_layers
    return hinted, base_calls, hinted * len(config.model.vace_layers)


def _tokens(config: WorkloadConfig) -> int:
    return config.model.frames_per_chunk * config.tokens_per_frame


def _activation(config: WorkloadConfig) -> float:
    """Bytes of one tensor [tokens, dim] of the chunk."""
    return float(_tokens(config) * config.model.dim * itemsize(config))


def _block_linears(config: WorkloadConfig) -> float:
    """The executed linears of a block: weights once, inputs and outputs; the activation between.

    Cross-attention's k and v are not among them.
    """
    model, size = config.model, itemsize(config)
    weights = (6 * model.dim**2 + 2 * model.dim * model.ffn_dim) * size
    wide = _tokens(config) * model.ffn_dim * size
    return weights + 2 * BASE_LINEAR_OUTPUTS * _activation(config) + 4.0 * wide


def _linears(
    config: WorkloadConfig, base_calls: int, vace_calls: int, hinted: int
) -> dict[str, float]:
    model, size, n = config.model, itemsize(config), _tokens(config)
    widths = BASE_LINEAR_OUTPUTS * model.dim + model.ffn_dim  # of all inputs, and of all outputs
    scale_and_add = 5 * n * widths * size
    products = (2 * n * widths + 2 * 8 * n * model.lora_rank) * size
    adapters = 2 * model.lora_rank * widths * size
    keys = (2 * model.dim**2 + 4 * model.text_len * model.dim) * size  # k and v of the text
    after = model.dim**2 * size + 2 * _activation(config)
    forwards = base_calls // model.num_layers
    embeddings = (model.text_dim * model.dim + 9 * model.dim**2) * size
    tokens = 2 * _activation(config)  # written by the patch embedding, read by the head
    return {
        "base linears": base_calls * _block_linears(config),
        "LoRA": float(base_calls * (scale_and_add + products + adapters)),
        "VACE linears": vace_calls * (_block_linears(config) + keys + after) + hinted * after,
        "embeddings and head": forwards * (embeddings + tokens) + hinted * _activation(config),
    }


def _attention(
    config: WorkloadConfig, base_calls: int, vace_calls: int, chunk: int
) -> dict[str, float]:
    """Queries, keys and values read once, the result written once."""
    model, one = config.model, _activation(config)
    keys = attended_frames(model, chunk) * config.tokens_per_frame * model.dim * itemsize(config)
    text = model.text_len * model.dim * itemsize(config)
    return {
        "self-attention": base_calls * (2 * one + 2.0 * keys),
        "VACE self-attention": vace_calls * 4 * one,
        "cross-attention": (base_calls + vace_calls) * (2 * one + 2.0 * text),
    }


def _cache(config: WorkloadConfig, base_calls: int, chunk: int) -> dict[str, float]:
    """Clones and windows of k and v, both writes of the new tokens, both moves of a roll."""
    model = config.model
    frame = config.tokens_per_frame * model.dim * itemsize(config)
    whole = model.local_attn_frames * frame
    window = attended_frames(model, chunk) * frame
    rolls = (chunk + 1) * model.frames_per_chunk > model.local_attn_frames
    rolled = (model.local_attn_frames - model.frames_per_chunk - model.sink_frames) * frame
    return {
        "cache clone and window": base_calls * 2 * 2.0 * (whole + window),
        "cache writes": base_calls * 2 * 2 * 2.0 * model.frames_per_chunk * frame,
        # Cloned and written, k and v, in the clone and in the cache; in the first forward only.
        "cache roll": float(rolls) * model.num_layers * 2 * 2 * 4 * rolled,
    }


def _branch(config: WorkloadConfig, hinted: int) -> dict[str, float]:
    """What the VACE branch copies beside its arithmetic."""
    model, one = config.model, _activation(config)
    padded = one / _tokens(config) * max(model.vace_padded_tokens, _tokens(config))
    stacked = sum(block + 2 for block in range(len(model.vace_layers)))
    return {
        "padding": hinted * ((padded - one) + 2 * padded + 2 * padded),  # zeros, inner, outer
        "hint stacking": hinted * stacked * 2 * one,
        "hint injection": hinted * len(model.vace_layers) * HINT_OPERATIONS * one,
    }


def _rope_call(config: WorkloadConfig) -> float:
    """One call: cast to float64, multiply, join with the empty tail, stack, cast back."""
    elements = _tokens(config) * config.model.dim
    wide, narrow = elements * FLOAT64_BYTES, elements * itemsize(config)
    table = _tokens(config) * config.model.head_dim * FLOAT64_BYTES  # complex, half as many
    return float((narrow + wide) + 3 * 2 * wide + (wide + narrow) + table)


def _rms_norm(elements: int, size: int) -> float:
    """To float32; square; mean; times rsqrt; back; times weight."""
    wide, narrow = elements * FLOAT32_BYTES, elements * size
    return float((narrow + wide) + 2 * wide + wide + 2 * wide + (wide + narrow) + 2 * narrow)


def _norms(config: WorkloadConfig, *, text_keys: bool) -> float:
    """Norms, modulation, gates and residuals of one block; VACE blocks norm the text's keys too."""
    model, size, one = config.model, itemsize(config), _activation(config)
    operations = 2 * (MODULATE_OPERATIONS + GATE_OPERATIONS) + 2 + RESIDUAL_OPERATIONS
    keys = _rms_norm(model.text_len * model.dim, size) if text_keys else 0.0
    return operations * one + 3 * _rms_norm(_tokens(config) * model.dim, size) + keys


def _vae(config: WorkloadConfig, *, conditioned: bool) -> dict[str, float]:
    pixels = config.model.pixel_frames_per_chunk * config.height_px * config.width_px
    moved = float((parameters(config)["vae"] / 2 + 3 * pixels) * itemsize(config))
    return {"VAE encode": 2 * moved if conditioned else 0.0, "VAE decode": moved}

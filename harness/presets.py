"""The numbers of the workload: model sizes and presets. No torch, no behaviour.

Source: the reference pipeline's configuration (LongLive-1.3B + VACE-1.3B + TAE, 512x512).
"""

from dataclasses import dataclass, replace
from typing import Final

VAE_TIME_FACTOR = 4
VAE_SPACE_FACTOR = 8
SIZE_MULTIPLE_PX = 16  # VAE factor 8 times the transformer's patch of 2
FIRST_TIMESTEP = 1000  # of every step list
DEFAULT_STEPS = 4
DEFAULT_DTYPE: Final = "bfloat16"
GENERATED_CHUNKS = 8  # of a clip that is made, not fed


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of the transformer, its VACE branch, LoRA and KV cache."""

    dim: int
    ffn_dim: int
    num_heads: int
    num_layers: int
    freq_dim: int
    text_dim: int
    text_len: int
    vace_layers: tuple[int, ...]
    lora_rank: int
    lora_alpha: float
    in_channels: int = 16
    out_channels: int = 16
    vace_channels: int = 96
    eps: float = 1e-6
    local_attn_frames: int = 12
    sink_frames: int = 3
    frames_per_chunk: int = 3  # latent frames
    rope_positions: int = 1024
    vace_padded_tokens: int = 32_760

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.dim // self.num_heads

    @property
    def pixel_frames_per_chunk(self) -> int:
        """Pixel frames that one chunk of latent frames covers."""
        return self.frames_per_chunk * VAE_TIME_FACTOR


@dataclass(frozen=True, kw_only=True)
class AttentionChoice:
    """Which kernel serves each use of attention; every name is a backend of workload.attention."""

    cached_self: str  # "sage" | "sdpa" | "flex"
    cross: str  # "sdpa"
    vace_self: str  # "flex" | "sdpa"


@dataclass(frozen=True, kw_only=True)
class WorkloadConfig:
    """Everything that builds one pipeline, apart from where its weights come from."""

    model: ModelConfig
    height_px: int
    width_px: int
    dtype: str  # "bfloat16" | "float16" | "float32"
    attention: AttentionChoice
    vae: str = "tae"  # "tae" | "wanvae"
    wan_vae_dim: int = 96
    steps: tuple[int, ...] = (1000, 750, 500, 250)  # timestep_list(DEFAULT_STEPS)
    shift: float = 5.0
    context_scale: float = 1.0
    seed: int = 42

    @property
    def latent_height(self) -> int:
        """Rows of the latent."""
        return self.height_px // VAE_SPACE_FACTOR

    @property
    def latent_width(self) -> int:
        """Columns of the latent."""
        return self.width_px // VAE_SPACE_FACTOR

    @property
    def tokens_per_frame(self) -> int:
        """Tokens of one latent frame after the (1, 2, 2) patch embedding."""
        return (self.latent_height // 2) * (self.latent_width // 2)


def timestep_list(count: int) -> tuple[int, ...]:
    """Timesteps of `count` denoising steps: evenly spaced from 1000, as the reference's four are.

    The reference has lists of four alone; other counts are ours, to see how cost grows.
    """
    return tuple(round(FIRST_TIMESTEP * (1 - index / count)) for index in range(count))


def with_window(model: ModelConfig, frames: int) -> ModelConfig:
    """The model with a KV cache of that many latent frames, sink and current chunk included.

    The sink keeps its frames where the chunk leaves room for them. Raises ValueError for a cache
    that is no whole number of chunks.
    """
    if frames < model.frames_per_chunk or frames % model.frames_per_chunk:
        raise ValueError(f"a window of {frames} latent frames is no whole number of chunks")
    sink = min(model.sink_frames, frames - model.frames_per_chunk)
    return replace(model, local_attn_frames=frames, sink_frames=sink)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named model with its default size."""

    name: str
    model: ModelConfig
    height_px: int
    width_px: int
    wan_vae_dim: int


LONGLIVE_1_3B = ModelConfig(
    dim=1536,
    ffn_dim=8960,
    num_heads=12,
    num_layers=30,
    freq_dim=256,
    text_dim=4096,
    text_len=512,
    vace_layers=tuple(range(0, 30, 2)),
    lora_rank=256,
    lora_alpha=256,
)

TINY = ModelConfig(
    dim=64,
    ffn_dim=128,
    num_heads=2,
    num_layers=4,
    freq_dim=32,
    text_dim=32,
    text_len=16,
    vace_layers=(0, 2),
    lora_rank=4,
    lora_alpha=4,
)

PRESETS: dict[str, Preset] = {
    "full": Preset(
        name="full",
        model=LONGLIVE_1_3B,
        height_px=512,
        width_px=512,
        wan_vae_dim=96,
    ),
    "tiny": Preset(
        name="tiny",
        model=TINY,
        height_px=64,
        width_px=64,
        wan_vae_dim=8,
    ),
}

# Default attention backends by CUDA compute capability, newest first; the first row whose
# capability is not above the device's applies. The device's name is never consulted.
ATTENTION_DEFAULTS: tuple[tuple[tuple[int, int], AttentionChoice], ...] = (
    ((8, 0), AttentionChoice(cached_self="sage", cross="sdpa", vace_self="flex")),
    ((0, 0), AttentionChoice(cached_self="sdpa", cross="sdpa", vace_self="sdpa")),
)
CPU_ATTENTION = AttentionChoice(cached_self="sdpa", cross="sdpa", vace_self="sdpa")


def default_attention(capability: tuple[int, int] | None) -> AttentionChoice:
    """The stated default for a compute capability; None stands for a CPU."""
    if capability is None:
        return CPU_ATTENTION
    return next(choice for floor, choice in ATTENTION_DEFAULTS if capability >= floor)

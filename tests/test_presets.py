"""harness.presets: the numbers fit together."""

import pytest

from harness.presets import (
    ATTENTION_DEFAULTS,
    CPU_ATTENTION,
    PRESETS,
    SIZE_MULTIPLE_PX,
    Preset,
    WorkloadConfig,
    default_attention,
    timestep_list,
    with_window,
)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_a_preset_is_consistent(preset: Preset) -> None:
    model = preset.model
    assert PRESETS[preset.name] is preset
    assert model.dim % model.num_heads == 0
    assert model.head_dim % 2 == 0  # RoPE turns pairs
    assert max(model.vace_layers) < model.num_layers
    assert list(model.vace_layers) == sorted(set(model.vace_layers))
    assert preset.width_px % SIZE_MULTIPLE_PX == preset.height_px % SIZE_MULTIPLE_PX == 0
    assert model.pixel_frames_per_chunk == 12


def test_the_full_preset_is_longlive_with_vace() -> None:
    full = PRESETS["full"]
    assert (full.width_px, full.height_px) == (512, 512)
    assert (full.model.num_layers, full.model.dim, full.model.head_dim) == (30, 1536, 128)
    assert len(full.model.vace_layers) == 15


def test_latent_and_token_sizes_follow_from_pixels() -> None:
    config = WorkloadConfig(
        model=PRESETS["full"].model,
        height_px=512,
        width_px=256,
        dtype="bfloat16",
        attention=CPU_ATTENTION,
    )
    assert (config.latent_height, config.latent_width) == (64, 32)
    assert config.tokens_per_frame == 32 * 16


@pytest.mark.parametrize(
    ("capability", "backend"),
    [((9, 0), "sage"), ((12, 1), "sage"), ((8, 0), "sage"), ((7, 5), "sdpa"), (None, "sdpa")],
)
def test_the_default_attention_follows_the_capability(
    capability: tuple[int, int] | None, backend: str
) -> None:
    assert default_attention(capability).cached_self == backend


def test_the_attention_table_is_newest_first_and_covers_every_capability() -> None:
    floors = [floor for floor, _ in ATTENTION_DEFAULTS]
    assert floors == sorted(floors, reverse=True)
    assert floors[-1] == (0, 0)


def test_step_lists_are_evenly_spaced_and_the_references_own_is_among_them() -> None:
    assert timestep_list(4) == WorkloadConfig.steps
    assert [timestep_list(count) for count in (1, 2)] == [(1000,), (1000, 500)]
    assert timestep_list(8) == (1000, 875, 750, 625, 500, 375, 250, 125)


def test_a_window_keeps_its_sink_where_the_chunk_leaves_room() -> None:
    model = PRESETS["full"].model
    assert with_window(model, 12) == model
    sizes = [(w.local_attn_frames, w.sink_frames) for w in (with_window(model, n) for n in (3, 24))]
    assert sizes == [(3, 0), (24, 3)]
    with pytest.raises(ValueError, match="no whole number of chunks"):
        with_window(model, 4)

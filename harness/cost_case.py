"""What the cost model reads of a case. No torch."""

from harness.matrix import Case
from harness.presets import CPU_ATTENTION, PRESETS, WorkloadConfig, timestep_list, with_window


def cost_config(case: Case) -> WorkloadConfig:
    """The workload of a case of the built-in pipeline; attention backends do not enter its cost."""
    preset = PRESETS[case.preset]
    return WorkloadConfig(
        model=with_window(preset.model, case.window),
        height_px=case.height_px,
        width_px=case.width_px,
        dtype=case.dtype,
        attention=CPU_ATTENTION,
        vae=case.vae,
        wan_vae_dim=preset.wan_vae_dim,
        steps=timestep_list(case.steps),
    )

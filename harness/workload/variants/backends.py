"""Attention kernels by name. A kernel that cannot run raises; nothing takes its place."""

from harness.workload.rollout import Pipeline


def use_sdpa(pipeline: Pipeline) -> None:
    """PyTorch chooses the kernel."""
    _use(pipeline, "sdpa", "cached_self", "cross", "vace_self")


def use_cudnn(pipeline: Pipeline) -> None:
    """cuDNN's kernel for all three uses."""
    _use(pipeline, "cudnn", "cached_self", "cross", "vace_self")


def use_flash(pipeline: Pipeline) -> None:
    """PyTorch's flash kernel for all three uses."""
    _use(pipeline, "flash", "cached_self", "cross", "vace_self")


def use_flex(pipeline: Pipeline) -> None:
    """Compiled flex_attention for both self-attentions."""
    _use(pipeline, "flex", "cached_self", "vace_self")


def _use(pipeline: Pipeline, name: str, *uses: str) -> None:
    head_dim = pipeline.config.model.head_dim
    for use in uses:
        pipeline.attention.use(use, name, device=pipeline.device, head_dim=head_dim)

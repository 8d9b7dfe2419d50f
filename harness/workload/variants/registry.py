"""Makes a pipeline into a variant, fix by fix, and copies of it that share its weights."""

import copy
from collections.abc import Callable

import torch

from harness.errors import CaseError
from harness.variants import Fix, resolve
from harness.workload.noise import SeededNoise
from harness.workload.rollout import Pipeline
from harness.workload.variants import (
    backends,
    batched_update,
    compiled_blocks,
    compiled_wan,
    explicit_tae,
    fp8_attention,
    fp8_linears,
    fused_keys,
    fused_qkv,
    gelu_epilogue,
    graphs,
    host_index,
    lean,
    lora_merged,
    once,
    one_pass_rows,
    real_rope,
    ring_cache,
    whole_waves,
)

CHANGES: dict[str, Callable[[Pipeline], None]] = {
    "lora-merged": lora_merged.merge,
    "host-index": host_index.use_host_indices,
    "batched-update": batched_update.batch,
    "ring-cache": ring_cache.use_rings,
    "rope-real": real_rope.use_real,
    "once": once.compute_once,
    "no-padding": lean.drop_padding,
    "hint-list": lean.list_hints,
    "lean-clean": lean.drop_dead_work,
    "fused-qkv": fused_qkv.fuse,
    "gelu-epilogue": gelu_epilogue.fuse_gelu,
    "fp8-linears": fp8_linears.use_fp8,
    "attention-sdpa": backends.use_sdpa,
    "attention-cudnn": backends.use_cudnn,
    "attention-flash": backends.use_flash,
    "attention-flex": backends.use_flex,
    "whole-waves": whole_waves.use_whole_waves,
    "fp8-attention": fp8_attention.use_fp8,
    "tae-explicit": explicit_tae.make_explicit,
    "tae-channels-last": explicit_tae.use_channels_last,
    "tae-compiled": explicit_tae.compile_streams,
    "wan-compiled": compiled_wan.compile_wan,
    "compiled-blocks": compiled_blocks.compile_blocks,
    "fused-keys": fused_keys.fuse_keys,
    "one-pass-rows": one_pass_rows.read_rows_once,
    "graph-forward": graphs.capture_forwards,
    "graph-loop": graphs.capture_loop,
    "graph-chunk": graphs.capture_chunk,
    "wrong-ring-slot": ring_cache.use_wrong_slots,
    "wrong-no-lora": lora_merged.leave_out,
    "wrong-stale-text": once.keep_stale,
}


def apply(pipeline: Pipeline, variant: str) -> None:
    """Changes a fresh pipeline in place. Raises CaseError for what this device cannot have."""
    fixes = resolve(variant)
    missing = [fix.name for fix in fixes if fix.gpu_only and pipeline.device.type != "cuda"]
    if missing:
        raise CaseError(
            f"variant '{variant}' needs a GPU for {', '.join(missing)}",
            next_step="use a variant without it",
        )
    apply_fixes(pipeline, fixes)


def apply_fixes(pipeline: Pipeline, fixes: tuple[Fix, ...]) -> None:
    """Changes a fresh pipeline in place, fix by fix."""
    if pipeline.caches:
        raise ValueError("a pipeline that has run cannot become a variant")
    for fix in fixes:
        CHANGES[fix.name](pipeline)


def twin(pipeline: Pipeline) -> Pipeline:
    """A fresh pipeline with modules and state of its own around the same weights."""
    if pipeline.caches:
        raise ValueError("a pipeline that has run has no twin")
    modules = (pipeline.transformer, pipeline.vace, pipeline.vae)
    shared = [p for m in modules if isinstance(m, torch.nn.Module) for p in m.parameters()]
    memo: dict[int, object] = {id(tensor): tensor for tensor in shared}
    assert isinstance(pipeline.noise, SeededNoise)
    memo[id(pipeline.noise)] = pipeline.noise.fresh()
    return copy.deepcopy(pipeline, memo)

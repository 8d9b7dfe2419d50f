"""Layers and forwards: fast paths against slow ones, hints off against the base model."""

import torch

from harness.presets import CPU_ATTENTION, WorkloadConfig
from harness.workload import weights
from harness.workload.attention import Attention
from harness.workload.kv_cache import BlockCache
from harness.workload.layers import gate, modulate
from harness.workload.lora import LoraLinear, add_lora
from harness.workload.rollout import Pipeline, cache_size
from harness.workload.rope import rope_table, rotate
from harness.workload.transformer import CausalTransformer, time_sinusoid, time_sinusoid_float64
from harness.workload.vace import Vace

CPU = torch.device("cpu")


def transformer(config: WorkloadConfig) -> tuple[CausalTransformer, Vace]:
    attention = Attention.load(CPU_ATTENTION, device=CPU, head_dim=config.model.head_dim)
    base, vace = CausalTransformer(config.model, attention), Vace(config.model, attention)
    base.make_table(CPU)
    for name, module in (("base", base), ("vace", vace)):
        weights.seed_parameters(module.named_parameters(name), 1)
    return base, vace


def new_caches(config: WorkloadConfig) -> list[BlockCache]:
    size, dtype = cache_size(config), torch.float32
    return [BlockCache(size, device=CPU, dtype=dtype) for _ in range(config.model.num_layers)]


@torch.no_grad()
def test_hints_of_scale_zero_are_the_base_model(config: WorkloadConfig) -> None:
    base, vace = transformer(config)
    x = torch.randn(1, 3, 16, 4, 6)
    prompt = torch.randn(1, 16, 32)
    state = base.embed(x, torch.full((1, 3), 500), prompt, 0)
    places = (state.lengths, state.grid, state.table)
    hints = vace(torch.randn(96, 3, 4, 6), state.x, state.e0, state.text, places)
    assert len(hints) == len(config.model.vace_layers)
    plain = base.run_blocks(state, new_caches(config), None, 1.0)
    torch.testing.assert_close(base.run_blocks(state, new_caches(config), hints, 0.0), plain)
    hinted = base.run_blocks(state, new_caches(config), hints, 1.0)
    assert not torch.allclose(hinted, plain, atol=0.01)


@torch.no_grad()
def test_unmerged_adapters_equal_merged_weights(config: WorkloadConfig) -> None:
    linear = torch.nn.Linear(24, 40)
    adapted = LoraLinear(linear, rank=4, alpha=6)
    merged = linear.weight + 1.5 * adapted.lora_B.weight @ adapted.lora_A.weight
    x = torch.randn(2, 7, 24)
    torch.testing.assert_close(adapted(x), torch.nn.functional.linear(x, merged, linear.bias))
    base, _ = transformer(config)
    add_lora(base.blocks, 4, 4)
    assert len(weights.lora_state(base)) == 2 * 10 * config.model.num_layers


def test_rotation_keeps_lengths_depends_on_distance_only_and_skips_the_tail() -> None:
    table = rope_table(32, 64, device=CPU)
    grid = torch.tensor([[2, 3, 4]])
    q, k = torch.randn(1, 26, 2, 32), torch.randn(1, 26, 2, 32)
    near = [rotate(part, grid, table, 0) for part in (q, k)]
    far = [rotate(part, grid, table, 20) for part in (q, k)]
    torch.testing.assert_close(near[0].norm(dim=-1), q.norm(dim=-1))
    scores = [torch.einsum("bqhd,bkhd->bhqk", *(p[:, :24] for p in pair)) for pair in (near, far)]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-4, rtol=1e-4)
    assert torch.equal(near[0][:, 24:], q[:, 24:])


def test_modulation_applies_per_frame() -> None:
    x, shift, scale = torch.randn(1, 6, 4), torch.randn(1, 3, 1, 4), torch.randn(1, 3, 1, 4)
    out = modulate(x, shift=shift, scale=scale)
    torch.testing.assert_close(out[0, 3], x[0, 3] * (1 + scale[0, 1, 0]) + shift[0, 1, 0])
    torch.testing.assert_close(gate(x, scale)[0, 5], x[0, 5] * scale[0, 2, 0])


def test_the_two_forms_of_the_sinusoid_agree() -> None:
    timestep = torch.tensor([0, 250, 1000])
    wide = time_sinusoid_float64(64, timestep).float()
    torch.testing.assert_close(time_sinusoid(64, timestep), wide, atol=1e-4, rtol=0)


@torch.no_grad()
def test_compiled_branch_equals_the_eager_one(pipeline: Pipeline) -> None:
    """One block through a compiler front end without code generation, to stay quick."""
    vace, config = pipeline.vace, pipeline.config
    pipeline.run_chunk(None, None)
    assert pipeline.conditioning is not None
    state = pipeline.transformer.embed(
        torch.randn(1, 3, 16, 4, 6), torch.full((1, 3), 500), pipeline.conditioning, 0
    )
    context = torch.randn(96, 3, 4, 6)
    places = (state.lengths, state.grid, state.table)
    eager = vace(context, state.x, state.e0, state.text, places)
    vace.calls.blocks = [torch.compile(block, backend="eager") for block in vace.vace_blocks]
    compiled = vace(context, state.x, state.e0, state.text, places)
    assert len(compiled) == len(config.model.vace_layers)
    for ours, theirs in zip(compiled, eager, strict=True):
        torch.testing.assert_close(ours, theirs)

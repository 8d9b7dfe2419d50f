"""Golden checks of single operations: RoPE, sinusoid, norms, patches, scheduler, LoRA."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from harness.workload.attention import Attention
from harness.workload.golden import Comparison, GoldenFile
from harness.workload.golden_build import golden_config, golden_state, golden_vace
from harness.workload.layers import ContextSelfAttention, RMSNorm
from harness.workload.lora import LoraLinear
from harness.workload.rope import rope_table, rotate
from harness.workload.scheduler import FlowScheduler
from harness.workload.transformer import (
    CausalTransformer,
    time_sinusoid,
    time_sinusoid_float64,
    unpatchify,
)

TIGHT = 1e-6  # single operations in float32 or float64
FLOAT32_ULP = 2.0**-23
BF16_ULP = 2.0**-7  # relative size of one bfloat16 step


def _tight(name: str, got: Tensor, want: Tensor) -> Comparison:
    """Single operations: 1e-6, or one bfloat16 step."""
    if want.dtype == torch.bfloat16:
        return Comparison(name, got, want, atol=1e-30, rtol=BF16_ULP)
    return Comparison(name, got, want, atol=TIGHT, rtol=TIGHT)


def check_units(file: GoldenFile) -> Iterator[Comparison]:
    """Every stored output of a `units` file."""
    tensors = file.tensors
    for name, want in tensors.items():
        group, _, rest = name.partition("/")
        if name in inputs_units(file):
            continue
        if group == "rope":
            yield _tight(name, _rope(file, rest), want)
        elif group == "time_sinusoid":
            yield _sinusoid(file, name, want)
        elif group == "norm":
            yield _tight(name, _norm(file, rest), want)
        elif group == "vace_self_attn":
            yield Comparison(name, _vace_self_attention(file, rest.split("/")[0]), want)
        elif name == "patch/tokens":
            patch_embedding = _patch_embedding(file)
            tokens = patch_embedding(tensors["patch/x"]).flatten(2).transpose(1, 2)
            yield Comparison(name, tokens, want)
        elif name == "unpatch/out":
            shape = [want.shape[2], want.shape[3] // 2, want.shape[4] // 2]
            patches = tensors["unpatch/tokens"].unflatten(1, (shape[0], -1))
            got = torch.stack([unpatchify(sample, shape) for sample in patches])
            yield _tight(name, got.transpose(1, 2), want)


def inputs_units(file: GoldenFile) -> set[str]:
    """Tensors that a `units` file gives rather than asks for."""
    names = {"norm/x", "norm/rms_weight", "norm/ln_weight", "norm/ln_bias"}
    names |= {"patch/x", "unpatch/tokens"}
    return names | {
        name
        for name in file.tensors
        if name.startswith(("rope/", "vace_self_attn/")) and name.endswith(("/x", "/grid"))
    }


def _patch_embedding(file: GoldenFile) -> nn.Module:
    config = golden_config(file)
    transformer = CausalTransformer(config.model, Attention({}))
    transformer.load_state_dict(golden_state(file, "generator"))
    return transformer.patch_embedding


def _rope(file: GoldenFile, rest: str) -> Tensor:
    head, _, what = rest.partition("/")
    table = rope_table(int(head.removeprefix("hd")), 1024, device=torch.device("cpu"))
    if what.startswith("table_rows"):
        rows = table[file.json("rope_positions")]
        return rows.real if what.endswith("real") else rows.imag
    x = file.tensors[f"rope/{head}/x"]
    if what.endswith("_bf16"):
        x = x.to(torch.bfloat16)
    start = int(what.removeprefix("out_start").removesuffix("_bf16"))
    return rotate(x, torch.tensor([file.json("rope_grid")]), table, start)


def _sinusoid(file: GoldenFile, name: str, want: Tensor) -> Comparison:
    """The float32 form multiplies a rounded frequency by up to 1000 before the cosine.

    Math libraries differ in that rounding (a CPU's exp is right to one unit in the last place), so
    an element's limit grows by what one unit of the frequency changes in the angle.
    """
    _, dim, form = name.split("/")
    width, timesteps = int(dim.removeprefix("dim")), torch.tensor(file.json("timesteps"))
    if form != "vace_wrapper_f32":
        return _tight(name, time_sinusoid_float64(width, timesteps), want)
    half = width // 2
    frequency = torch.pow(10000.0, -torch.arange(half, dtype=torch.float64) / half)
    unit = torch.outer(timesteps.double(), frequency) * FLOAT32_ULP
    got = time_sinusoid(width, timesteps)
    return Comparison(name, got, want, TIGHT, TIGHT, torch.cat([unit, unit], dim=1))


def _norm(file: GoldenFile, what: str) -> Tensor:
    x, eps = file.tensors["norm/x"], golden_config(file).model.eps
    dtype = torch.bfloat16 if what.endswith("_bf16") else x.dtype
    if what.startswith("rms_out"):
        norm: nn.Module = RMSNorm(x.shape[-1], eps)
        norm.load_state_dict({"weight": file.tensors["norm/rms_weight"]})
    elif what.startswith("ln_out"):
        norm = nn.LayerNorm(x.shape[-1], eps)
        weight, bias = file.tensors["norm/ln_weight"], file.tensors["norm/ln_bias"]
        norm.load_state_dict({"weight": weight, "bias": bias})
    else:
        norm = nn.LayerNorm(x.shape[-1], eps, elementwise_affine=False)
    out: Tensor = norm.to(dtype)(x.to(dtype))
    return out


def _vace_self_attention(file: GoldenFile, case: str) -> Tensor:
    config = golden_config(file)
    layer = golden_vace(file, config).vace_blocks[0].self_attn
    assert isinstance(layer, ContextSelfAttention)
    x, grid = (file.tensors[f"vace_self_attn/{case}/{name}"] for name in ("x", "grid"))
    table = rope_table(config.model.head_dim, 1024, device=torch.device("cpu"))
    out: Tensor = layer(x, torch.tensor([x.shape[1]]), grid, table)
    return out


def check_scheduler(file: GoldenFile) -> Iterator[Comparison]:
    """Every stored output of a `scheduler` file."""
    tensors = file.tensors
    scheduler = FlowScheduler(file.json("shift"), device=torch.device("cpu"))
    steps = torch.tensor(file.json("steps"))
    index = scheduler.sigma_index(steps)
    tables = {
        "sigmas": scheduler.sigmas,
        "step_sigma_index": index,
        "step_sigma": scheduler.sigmas[index],
        "step_timestep": scheduler.timesteps[index],
    }
    for name, got in tables.items():
        if name in tensors:
            yield _tight(name, got, tensors[name])
    if "timesteps" in tensors:  # of order 1000, so 1e-6 is relative
        yield Comparison("timesteps", scheduler.timesteps, tensors["timesteps"], TIGHT, TIGHT)
    for name, want in tensors.items():
        step, _, what = name.partition("/")
        if not what:
            continue
        dtype = torch.bfloat16 if what.endswith("_bf16") else torch.float32
        x, noise, flow = (tensors[key].to(dtype) for key in ("x", "noise", "flow"))
        timestep = torch.full((x.shape[0],), int(step.removeprefix("t")))
        if what.startswith("x0"):
            yield _tight(name, scheduler.x0(flow, x, timestep), want)
        elif what.startswith("add_noise"):
            yield _tight(name, scheduler.add_noise(x, noise, timestep), want)


def inputs_scheduler(_: GoldenFile) -> set[str]:
    """Tensors that a `scheduler` file gives."""
    return {"x", "noise", "flow"}


def check_lora(file: GoldenFile) -> Iterator[Comparison]:
    """One adapted linear for each rank and alpha."""
    for case, (rank, alpha) in file.json("rank_alpha").items():
        given = file.with_prefix(f"{case}/")
        base = nn.Linear(file.json("in_features"), file.json("out_features"))
        base.load_state_dict({"weight": given["weight"], "bias": given["bias"]})
        layer = LoraLinear(base, rank, alpha)
        layer.lora_A.load_state_dict({"weight": given["A"]})
        layer.lora_B.load_state_dict({"weight": given["B"]})
        scaling = torch.tensor(layer.scaling)
        for name, got in (("y", layer(given["x"])), ("scaling", scaling)):
            if name in given:
                yield Comparison(f"{case}/{name}", got, given[name])


def inputs_lora(file: GoldenFile) -> set[str]:
    """Tensors that a `lora_unit` file gives."""
    return {
        name
        for name in file.tensors
        if name.rpartition("/")[2] in ("weight", "bias", "A", "B", "x")
    }

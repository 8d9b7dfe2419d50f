"""Golden checks of the transformer over chunks (`dit_*`) and of the whole chunk loop (`loop_*`)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from harness.presets import WorkloadConfig
from harness.workload.golden import Comparison, GoldenFile
from harness.workload.golden_build import (
    CPU,
    golden_config,
    golden_pipeline,
    golden_transformer,
    golden_vace,
)
from harness.workload.kv_cache import BlockCache
from harness.workload.rollout import new_caches
from harness.workload.scheduler import FlowScheduler
from harness.workload.transformer import Embedded

BF16_ATOL = 0.08
PIXEL_ATOL = 1e-5  # video and VACE context
# Sub-keys of `inter/block{i}/` and the submodule whose output they hold.
BLOCK_PARTS = {
    **{name: f"self_attn.{name}" for name in ("q", "k", "v", "norm_q", "norm_k")},
    **{name: name for name in ("norm1", "norm2", "norm3")},
    "self_attn_out": "self_attn.o",
    "cross_attn_out": "cross_attn",
    "ffn_out": "ffn",
}


class _Runner:
    """Forwards of one `dit_*` file; keeps the outputs of inner modules."""

    def __init__(self, file: GoldenFile) -> None:
        self.file = file
        self.config = golden_config(file)
        self.transformer = golden_transformer(file, self.config)
        self.vace = golden_vace(file, self.config)
        self.scheduler = FlowScheduler(self.config.shift, device=CPU)
        self.caches = new_caches(self.config, CPU)
        self.inner: dict[str, Tensor] = {}
        self._keep_inner_outputs()

    def forward(
        self, x: Tensor, timestep: Tensor, start_frame: int, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """x [1, F, 16, h, w] -> (flow, x0)."""
        start_token = start_frame * self.config.tokens_per_frame
        prompt = self.file.tensors["prompt_embeds"]
        self.inner = {}
        state = self.transformer.embed(x, timestep, prompt, start_token)
        self.inner["patch_embedding"] = state.x
        hints = None if context is None else self._hints(context, state)
        scale = self.config.context_scale
        flow = self.transformer.run_blocks(state, self.caches, hints, scale)
        x0 = self.scheduler.x0(flow.flatten(0, 1), x.flatten(0, 1), timestep.flatten())
        return flow, x0.unflatten(0, (1, x.shape[1]))

    def _hints(self, context: Tensor, state: Embedded) -> tuple[Tensor, ...]:
        places = (state.lengths, state.grid, state.table)
        embedded = self.vace.calls.embed(context.unsqueeze(0))
        self.inner["vace_patch_embedding"] = embedded.flatten(2).transpose(1, 2)
        hints = self.vace.hints(embedded, state.x, state.e0, state.text, places)
        self.inner |= {f"hint{j}": hint for j, hint in enumerate(hints)}
        return hints

    def _keep_inner_outputs(self) -> None:
        modules: dict[str, nn.Module] = {
            "e": self.transformer.time_embedding,
            "e0_flat": self.transformer.time_projection,
            "context": self.transformer.text_embedding,
            "head_tokens": self.transformer.head,
        }
        for index, block in enumerate(self.transformer.blocks):
            modules[f"block{index}/out"] = block
            for part, path in BLOCK_PARTS.items():
                modules[f"block{index}/{part}"] = block.get_submodule(path)
        for name, module in modules.items():
            module.register_forward_hook(self._keep(name))

    def _keep(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            kept = output[0] if isinstance(output, tuple) else output
            assert isinstance(kept, Tensor)
            self.inner[name] = kept

        return hook


def _limit(config: WorkloadConfig, name: str, got: Tensor, want: Tensor) -> Comparison:
    if not want.is_floating_point():
        return Comparison(name, got, want, atol=0.0, rtol=0.0)
    if config.dtype == "bfloat16":
        return Comparison(name, got, want, atol=BF16_ATOL, rtol=0.0)
    if name.endswith(("video", "vace_context")):
        return Comparison(name, got, want, atol=PIXEL_ATOL, rtol=0.0)
    return Comparison(name, got, want)


def _cache_comparisons(
    file: GoldenFile, config: WorkloadConfig, caches: list[BlockCache], prefix: str
) -> Iterator[Comparison]:
    """Indices, keys and values stored under `prefix` (`chunk3/cache/` or `crossattn/`)."""
    for rest, want in file.with_prefix(prefix).items():
        if rest == "indices":
            for cache in caches:
                got = torch.cat([cache.global_end, cache.local_end])
                yield _limit(config, prefix + rest, got, want)
            continue
        layer, _, side = rest.partition("/")
        cache = caches[int(layer.removeprefix("layer"))]
        name = f"text_{side}" if prefix == "crossattn/" else side
        yield _limit(config, prefix + rest, getattr(cache, name).clone(), want)


def check_dit(file: GoldenFile) -> Iterator[Comparison]:
    """Every stored output of a `dit_*` file; inputs of each forward are the file's."""
    runner = _Runner(file)
    config, tensors = runner.config, file.tensors
    frames = config.model.frames_per_chunk
    for chunk in range(file.json("chunks")):
        context = tensors.get(f"chunk{chunk}/vace_context")
        for step, value in enumerate(file.json("timesteps")):
            prefix = f"chunk{chunk}/step{step}/"
            x = tensors[f"{prefix}x"]
            dtype = torch.int64 if value > 0 else x.dtype
            timestep = torch.full((1, frames), value, dtype=dtype)
            given = context if value > 0 else None
            flow, x0 = runner.forward(x, timestep, chunk * frames, given)
            outputs = {"flow": flow, "x0": x0}
            outputs |= {f"inter/{name}": got for name, got in runner.inner.items()}
            for name, want in file.with_prefix(prefix).items():
                if name in outputs:
                    yield _limit(config, prefix + name, outputs[name], want)
        yield from _cache_comparisons(file, config, runner.caches, f"chunk{chunk}/cache/")
    yield from _cache_comparisons(file, config, runner.caches, "crossattn/")


def inputs_dit(file: GoldenFile) -> set[str]:
    """Tensors that a `dit_*` file gives."""
    return {
        name
        for name in file.tensors
        if name == "prompt_embeds"
        or re.fullmatch(r"chunk\d+/(step\d+/x|vace_context)", name) is not None
    }


def check_unpadded(file: GoldenFile) -> Iterator[Comparison]:
    """One forward at a token count that needs no padding, for several hint scales."""
    tensors = file.tensors
    mask = tensors["vace_context_mask_u8"].to(tensors["x"].dtype)
    context = torch.cat([tensors["vace_context_latents"], mask])
    for index, scale in enumerate(file.json("vace_context_scales")):
        runner = _Runner(file)
        runner.config = replace(runner.config, context_scale=float(scale))
        timestep = torch.full((1, tensors["x"].shape[1]), file.json("timestep"))
        flow, _ = runner.forward(tensors["x"], timestep, 0, context)
        name = f"flow_scale{scale}"
        if name in tensors:
            yield Comparison(name, flow, tensors[name])
        hints = {name for name in tensors if name.startswith("hint")} if index == 0 else set()
        for hint in sorted(hints):
            yield Comparison(hint, runner.inner[hint], tensors[hint])


def inputs_unpadded(_: GoldenFile) -> set[str]:
    """Tensors that a `dit_vace_unpadded` file gives."""
    return {"x", "prompt_embeds", "vace_context_latents", "vace_context_mask_u8"}


class _RecordedNoise:
    """The noise that was drawn when the file was made."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self._tensors = tensors
        self.chunk = -1
        self._draw = 0

    def initial(self, start_frame: int, shape: tuple[int, ...]) -> Tensor:
        """The chunk's initial latent."""
        self._draw = 0
        return self._tensors[f"chunk{self.chunk}/noise0"]

    def next(self, shape: tuple[int, ...]) -> Tensor:
        """The noise of the next step."""
        self._draw += 1
        return self._tensors[f"chunk{self.chunk}/noise{self._draw}"]


def check_loop(file: GoldenFile) -> Iterator[Comparison]:
    """Every stored output of a `loop_*` file; only noise, pixels and prompts are given."""
    tensors = file.tensors
    pipeline = golden_pipeline(file)
    noise = _RecordedNoise(tensors)
    pipeline.noise = noise
    for chunk in range(file.json("chunks")):
        prefix = f"chunk{chunk}/"
        given = file.with_prefix(prefix)
        noise.chunk = chunk
        if "prompt_embeds" in given:
            pipeline.set_conditioning(given["prompt_embeds"])
            if chunk and file.metadata["prompt_change_action"] == "hard_cut":
                pipeline.reset()
        seen: dict[str, Tensor] = {}
        pipeline.watch = seen.__setitem__
        pipeline.run_chunk(*_pixels(given))
        for name, got in seen.items():
            if name in given:
                yield _limit(pipeline.config, prefix + name, got, given[name])
        caches = pipeline.caches
        yield from _cache_comparisons(file, pipeline.config, caches, f"{prefix}cache/")


def _pixels(given: dict[str, Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """Frames and mask of a chunk from the stored bytes."""
    stored = given.get("pixels_u8", given.get("depth_u8"))
    if stored is None:
        return None, None
    frames = (stored.float() / 255 * 2 - 1).unsqueeze(0)
    mask = given.get("mask_u8")
    return frames, None if mask is None else (mask.float() / 255).unsqueeze(0)


def inputs_loop(file: GoldenFile) -> set[str]:
    """Tensors that a `loop_*` file gives."""
    pattern = r"chunk\d+/(noise\d+|prompt_embeds|(pixels|depth|mask)_u8)"
    return {name for name in file.tensors if re.fullmatch(pattern, name) is not None}

"""Golden checks of the transformer over chunks (`dit_*`) and of the whole chunk loop (`loop_*`)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from harness.presets import WorkloadConfig
from harness.workload.autoencoder import Tae
from harness.workload.conformance_subject import Subject
from harness.workload.golden import Comparison, GoldenFile
from harness.workload.golden_build import golden_pipeline, golden_vae
from harness.workload.kv_cache import BlockCache
from harness.workload.streaming import ignore

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
    """Forwards of one `dit_*` file; keeps the outputs of inner modules of the baseline."""

    def __init__(self, file: GoldenFile, subject: Subject) -> None:
        self.prompt = file.tensors["prompt_embeds"].to(subject.device)
        self.pipeline = golden_pipeline(file, Tae(), subject.device)
        subject.change(self.pipeline)
        self.pipeline.caches = self.pipeline.new_caches()
        self.pipeline.set_conditioning(self.prompt)
        self.inner: dict[str, Tensor] = {}
        if subject.is_baseline:
            self._keep_inner_outputs()

    @property
    def config(self) -> WorkloadConfig:
        """Sizes from the file's metadata."""
        return self.pipeline.config

    def forward(
        self, x: Tensor, step: int, start_frame: int, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """x [1, F, 16, h, w] -> (flow, x0)."""
        device = self.pipeline.device
        x = x.to(device)
        dtype = torch.int64 if step > 0 else x.dtype
        ones = torch.ones(1, x.shape[1], dtype=dtype, device=device)
        given = None if context is None else context.to(device)
        self.inner = {}
        self.pipeline.start_frame = start_frame
        timestep = self.pipeline.timestep(ones, step)
        return self.pipeline.forward(x, timestep, start_frame, given, ignore, f"step{step}")

    def _keep_inner_outputs(self) -> None:
        transformer, vace = self.pipeline.transformer, self.pipeline.vace
        modules: dict[str, nn.Module] = {
            "e": transformer.time_embedding,
            "e0_flat": transformer.time_projection,
            "context": transformer.text_embedding,
            "head_tokens": transformer.head,
        }
        for index, block in enumerate(transformer.blocks):
            modules[f"block{index}/out"] = block
            for part, path in BLOCK_PARTS.items():
                modules[f"block{index}/{part}"] = block.get_submodule(path)
        for name, module in modules.items():
            module.register_forward_hook(self._keep(name))
        for embedding, name in (
            (transformer.patch_embedding, "patch_embedding"),
            (vace.vace_patch_embedding, "vace_patch_embedding"),
        ):
            embedding.register_forward_hook(self._keep_tokens(name))
        vace.register_forward_hook(self._keep_hints)

    def _keep(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            kept = output[0] if isinstance(output, tuple) else output
            assert isinstance(kept, Tensor)
            self.inner[name] = kept

        return hook

    def _keep_tokens(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            self.inner[name] = output.flatten(2).transpose(1, 2)

        return hook

    def _keep_hints(self, _: nn.Module, __: object, hints: tuple[Tensor, ...]) -> None:
        self.inner |= {f"hint{j}": hint for j, hint in enumerate(hints)}


def _limit(config: WorkloadConfig, name: str, got: Tensor, want: Tensor) -> Comparison:
    got = got.cpu()
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
                yield _limit(config, prefix + rest, cache.indices(), want)
            continue
        layer, _, side = rest.partition("/")
        cache = caches[int(layer.removeprefix("layer"))]
        if prefix == "crossattn/":
            got = cache.text_k if side == "k" else cache.text_v
            assert got is not None
        else:
            got = cache.contents()[side == "v"]
        yield _limit(config, prefix + rest, got.clone(), want)


def check_dit(file: GoldenFile, subject: Subject) -> Iterator[Comparison]:
    """Every stored output of a `dit_*` file; inputs of each forward are the file's."""
    runner = _Runner(file, subject)
    config, tensors = runner.config, file.tensors
    frames = config.model.frames_per_chunk
    for chunk in range(file.json("chunks")):
        context = tensors.get(f"chunk{chunk}/vace_context")
        for step, value in enumerate(file.json("timesteps")):
            prefix = f"chunk{chunk}/step{step}/"
            given = context if value > 0 else None
            flow, x0 = runner.forward(tensors[f"{prefix}x"], value, chunk * frames, given)
            outputs = {"flow": flow, "x0": x0}
            outputs |= {f"inter/{name}": got for name, got in runner.inner.items()}
            for name, want in file.with_prefix(prefix).items():
                if name in outputs:
                    yield _limit(config, prefix + name, outputs[name], want)
        yield from _cache_comparisons(file, config, runner.pipeline.caches, f"chunk{chunk}/cache/")
    yield from _cache_comparisons(file, config, runner.pipeline.caches, "crossattn/")


def inputs_dit(file: GoldenFile) -> set[str]:
    """Tensors that a `dit_*` file gives."""
    return {
        name
        for name in file.tensors
        if name == "prompt_embeds"
        or re.fullmatch(r"chunk\d+/(step\d+/x|vace_context)", name) is not None
    }


def check_unpadded(file: GoldenFile, subject: Subject) -> Iterator[Comparison]:
    """One forward at a token count that needs no padding, for several hint scales."""
    tensors = file.tensors
    mask = tensors["vace_context_mask_u8"].to(tensors["x"].dtype)
    context = torch.cat([tensors["vace_context_latents"], mask])
    for index, scale in enumerate(file.json("vace_context_scales")):
        runner = _Runner(file, subject)
        runner.pipeline.config = replace(runner.config, context_scale=float(scale))
        flow, _ = runner.forward(tensors["x"], file.json("timestep"), 0, context)
        name = f"flow_scale{scale}"
        if name in tensors:
            yield Comparison(name, flow.cpu(), tensors[name])
        hints = {name for name in tensors if name.startswith("hint")} if index == 0 else set()
        for hint in sorted(hints & set(runner.inner)):
            yield Comparison(hint, runner.inner[hint].cpu(), tensors[hint])


def inputs_unpadded(_: GoldenFile) -> set[str]:
    """Tensors that a `dit_vace_unpadded` file gives."""
    return {"x", "prompt_embeds", "vace_context_latents", "vace_context_mask_u8"}


class _RecordedNoise:
    """The noise that was drawn when the file was made."""

    def __init__(self, tensors: dict[str, Tensor], device: torch.device) -> None:
        self._tensors, self._device = tensors, device
        self.chunk = -1
        self._draw = 0

    def initial(self, start_frame: int, shape: tuple[int, ...]) -> Tensor:
        """The chunk's initial latent."""
        self._draw = 0
        return self._tensors[f"chunk{self.chunk}/noise0"].to(self._device)

    def next(self, shape: tuple[int, ...]) -> Tensor:
        """The noise of the next step."""
        self._draw += 1
        return self._tensors[f"chunk{self.chunk}/noise{self._draw}"].to(self._device)


def check_loop(file: GoldenFile, subject: Subject) -> Iterator[Comparison]:
    """Every stored output of a `loop_*` file; only noise, pixels and prompts are given."""
    tensors = file.tensors
    pipeline = golden_pipeline(file, golden_vae(file), subject.device)
    subject.change(pipeline)
    noise = _RecordedNoise(tensors, subject.device)
    pipeline.noise = noise
    for chunk in range(file.json("chunks")):
        prefix = f"chunk{chunk}/"
        given = file.with_prefix(prefix)
        noise.chunk = chunk
        if "prompt_embeds" in given:
            pipeline.set_conditioning(given["prompt_embeds"].to(subject.device))
            if chunk and file.metadata["prompt_change_action"] == "hard_cut":
                pipeline.reset()
        seen: dict[str, Tensor] = {}
        pipeline.watch = seen.__setitem__
        frames, mask = (None if p is None else p.to(subject.device) for p in _pixels(given))
        pipeline.run_chunk(frames, mask)
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

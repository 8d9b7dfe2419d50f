"""The chunk loop: noise -> four denoising forwards -> clean-cache pass -> frames.

It tells `mark` which stage begins and knows no clock. Letters: F latent frames of a chunk, h, w
latent sides, T pixel frames, H, W pixel sides.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.presets import WorkloadConfig
from harness.workload.attention import Attention
from harness.workload.context import ContextEncoder
from harness.workload.kv_cache import BlockCache, CacheSize
from harness.workload.noise import Noise, SeededNoise
from harness.workload.parts import part
from harness.workload.prompt import blend
from harness.workload.recache import unused_block_mask
from harness.workload.scheduler import FlowScheduler
from harness.workload.streaming import Mark, ignore
from harness.workload.transformer import CausalTransformer
from harness.workload.vace import Vace
from harness.workload.vae import Vae

Watch = Callable[[str, Tensor], None]
LAST_START_FRAME = 1021  # positions of the RoPE table that leave room for one more chunk


def watch_nothing(_: str, __: Tensor) -> None:
    """Keeps nothing."""


def stage_names(config: WorkloadConfig, mode: str) -> list[str]:
    """Stages of a chunk in order; "recache" comes after "prepare" in the rare chunk that has it."""
    conditioned = mode != "text"
    names = ["prepare", *(["encode"] if conditioned else [])]
    for step in range(len(config.steps)):
        names += [f"denoise.{step}", *([f"hints.{step}"] if conditioned else [])]
    return [*names, "clean", "decode", "finish"]


def cache_size(config: WorkloadConfig) -> CacheSize:
    """Sizes of every block's cache."""
    model, tokens = config.model, config.tokens_per_frame
    return CacheSize(
        tokens=model.local_attn_frames * tokens,
        sink_tokens=model.sink_frames * tokens,
        num_heads=model.num_heads,
        head_dim=model.head_dim,
    )


@dataclass(frozen=True)
class Parts:
    """The modules of a pipeline."""

    transformer: CausalTransformer
    vace: Vace
    vae: Vae
    attention: Attention


class Pipeline:
    """The streaming workload with its state between chunks."""

    def __init__(self, config: WorkloadConfig, parts: Parts, *, device: torch.device) -> None:
        self.config, self.device = config, device
        self.dtype = getattr(torch, config.dtype)
        self.transformer, self.vace = parts.transformer, parts.vace
        self.vae, self.attention = parts.vae, parts.attention
        self.scheduler = FlowScheduler(config.shift, device=device)
        self.context_encoder = ContextEncoder(parts.vae)
        self.noise: Noise = SeededNoise(config.seed, device=device, dtype=self.dtype)
        self.watch: Watch = watch_nothing
        self.caches: list[BlockCache] = []
        self.conditioning: Tensor | None = None  # [1, T', text_dim]
        self.start_frame = 0
        self.last_vace_context: Tensor | None = None  # [96, F, h, w]
        self._pending: Tensor | None = None
        self._changed = False
        self._reset_requested = True
        self._steps: Tensor | None = None
        self._conditioned: bool | None = None
        self._buffer = torch.empty(0)  # [1, 12, 16, h, w] latest latents, for a recache
        self._recache_mask: object | None = None

    @property
    def chunk_index(self) -> int:
        """Index of the next chunk since the last reset."""
        return (
            0 if self._reset_requested else self.start_frame // self.config.model.frames_per_chunk
        )

    @property
    def first_steady_chunk(self) -> int:
        """The first chunk that finds the KV cache full."""
        return self.config.model.local_attn_frames // self.config.model.frames_per_chunk

    @property
    def first_settled_chunk(self) -> int:
        """The first chunk from which on every one does what those before it did."""
        return self.first_steady_chunk

    def new_caches(self) -> list[BlockCache]:
        """Empty caches of all blocks."""
        size, blocks = cache_size(self.config), range(self.config.model.num_layers)
        return [BlockCache(size, device=self.device, dtype=self.dtype) for _ in blocks]

    def set_prompt(self, embeds: Tensor) -> None:
        """A new prompt [1, T', text_dim], blended and used from the next chunk on."""
        self._pending = embeds

    def set_conditioning(self, embeds: Tensor) -> None:
        """A new conditioning embedding that is used as it is, without a blend."""
        self.conditioning, self._changed, self._pending = embeds, True, None

    def reset(self) -> None:
        """Hard cut: the next chunk is chunk 0."""
        self._reset_requested = True

    @torch.no_grad()
    def run_chunk(self, frames: Tensor | None, mask: Tensor | None, mark: Mark = ignore) -> Tensor:
        """Frames [1, 3, 12, H, W] in [-1, 1] and mask [1, 1, 12, H, W], or None -> [T, H, W, 3].

        Without frames the chunk is text-only. The result is float32 in [0, 1]; the first chunk
        after a reset gives 9 frames, every other 12.
        """
        mark("prepare")
        steps, recache = self._prepare(conditioned=frames is not None)
        model = self.config.model
        shape = (model.in_channels, self.config.latent_height, self.config.latent_width)
        x = self.noise.initial(self.start_frame, (1, model.frames_per_chunk, *shape))
        if self.start_frame == 0:
            self._buffer = x.new_zeros(1, model.local_attn_frames, *shape)
        if recache:
            mark("recache")
            self._recache()
        output = self._chunk(x, steps, (frames, mask), mark)
        self.start_frame += model.frames_per_chunk
        self.watch("video", output)
        return output

    def _chunk(
        self, x: Tensor, steps: Tensor, pixels: tuple[Tensor | None, Tensor | None], mark: Mark
    ) -> Tensor:
        """From the initial noise [1, F, 16, h, w] and the input's frames and mask to the output."""
        frames, mask = pixels
        context = None
        if frames is not None:
            mark("encode")
            context = self.context_encoder.encode(frames, mask)
            self.watch("vace_context", context)
        self.last_vace_context = context
        latent = self._denoise(x, steps, context, mark)
        mark("clean")
        self._clean_pass(latent)
        mark("decode")
        video = self.vae.decode(latent)
        mark("finish")
        self._buffer = self._history(latent)
        return self._output(video)

    @part("history")
    def _history(self, latent: Tensor) -> Tensor:
        """The latest latents, this chunk's among them."""
        latest = self.config.model.local_attn_frames
        return torch.cat([self._buffer, latent], dim=1)[:, -latest:]

    @part("output")
    def _output(self, video: Tensor) -> Tensor:
        """[1, T, 3, H, W] in [-1, 1] -> [T, H, W, 3] float32 in [0, 1]."""
        return (video.squeeze(0).permute(0, 2, 3, 1) / 2 + 0.5).clamp(0, 1).float()

    def _prepare(self, *, conditioned: bool) -> tuple[Tensor, bool]:
        """Prompt, steps and caches -> (timesteps on the CPU, whether to recache)."""
        if self._pending is not None:
            self.set_conditioning(blend([self._pending], [1.0], self.dtype))
        if self.conditioning is None:
            raise ValueError("a prompt is needed before the first chunk")
        changed, self._changed = self._changed, False
        steps = torch.tensor(self.config.steps)
        same_steps = self._steps is not None and torch.equal(self._steps, steps)
        self._steps = steps.clone()
        if (
            self._reset_requested
            or not same_steps
            or conditioned != self._conditioned
            or self.start_frame >= LAST_START_FRAME
            or (changed and conditioned)
        ):
            self._reset()
        elif changed:
            self._forget_text()
        self._conditioned = conditioned
        return steps, changed and self.start_frame > 0

    def _reset(self) -> None:
        """A cache reset. The two VACE encoder memories survive it: baseline."""
        if not self.caches:
            self.caches = self.new_caches()
        for cache in self.caches:
            cache.reset()
        self.vae.clear()
        self.start_frame = 0
        self._reset_requested = False

    def _forget_text(self) -> None:
        for cache in self.caches:
            cache.forget_text()

    def _recache(self) -> None:
        """Rewrites the cache of the last frames under the new prompt, without VACE."""
        frames = min(self.start_frame, self.config.model.local_attn_frames)
        x = self._buffer[:, -frames:]
        self._recache_mask = unused_block_mask(self.config, frames, self.device)
        timestep = torch.zeros(1, frames, dtype=torch.int64, device=self.device)
        flow, _ = self.forward(x, timestep, self.start_frame - frames, None, ignore, "recache")
        self._forget_text()
        self.watch("recache/x", x)
        self.watch("recache/flow", flow)

    def _denoise(self, x: Tensor, steps: Tensor, context: Tensor | None, mark: Mark) -> Tensor:
        """Initial noise [1, F, 16, h, w] -> the chunk's latent of the same shape."""
        ones = torch.ones(1, x.shape[1], dtype=torch.int64, device=self.device)
        x0 = x
        for index, step in enumerate(steps):
            self.watch(f"step{index}/x", x)
            name = f"denoise.{index}"
            mark(name)
            timestep = self.timestep(ones, step)
            flow, x0 = self.forward(x, timestep, self.start_frame, context, mark, name)
            self.watch(f"step{index}/flow", flow)
            self.watch(f"step{index}/x0", x0)
            if index + 1 < len(steps):
                x = self._noised(x0, steps[index + 1])
        return x0

    def timestep(self, ones: Tensor, step: Tensor | int) -> Tensor:
        """A timestep for every frame, of the shape of `ones`; `step` is a CPU scalar."""
        return ones * step

    @part("add_noise")
    def _noised(self, x0: Tensor, step: Tensor) -> Tensor:
        """x0 [1, F, 16, h, w] with the noise of the next timestep."""
        clean = x0.flatten(0, 1)  # [F, 16, h, w]
        noise = self.noise.next(tuple(clean.shape))
        ones = torch.ones(x0.shape[1], dtype=torch.int64, device=self.device)
        timestep = self.timestep(ones, step)
        noised: Tensor = self.scheduler.add_noise(clean, noise, timestep)
        x: Tensor = noised.unflatten(0, (1, x0.shape[1]))
        return x

    def _clean_pass(self, latent: Tensor) -> None:
        """Writes the clean latent's keys and values; flow and x0 are computed and dropped."""
        ones = torch.ones(1, latent.shape[1], device=self.device, dtype=self.dtype)
        zero = self.timestep(ones, 0)
        flow, _ = self.forward(latent, zero, self.start_frame, None, ignore, "clean")
        self.watch("clean/flow", flow)

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        start_frame: int,
        context: Tensor | None,
        mark: Mark,
        stage: str,
    ) -> tuple[Tensor, Tensor]:
        """One transformer forward: x [1, F, 16, h, w], timestep [1, F] -> (flow, x0)."""
        assert self.conditioning is not None
        start_token = start_frame * self.config.tokens_per_frame
        state = self.transformer.embed(x, timestep, self.conditioning, start_token)
        hints = None
        if context is not None:
            mark(stage.replace("denoise", "hints"))
            places = (state.lengths, state.grid, state.table)
            hints = self.vace(context, state.x, state.e0, state.text, places)
            mark(stage)
        flow = self.transformer.run_blocks(state, self.caches, hints, self.config.context_scale)
        x0 = self.scheduler.x0(flow.flatten(0, 1), x.flatten(0, 1), timestep.flatten())
        return flow, x0.unflatten(0, (1, x.shape[1]))

"""How much GPU memory a case needs, by arithmetic alone: weights, caches, activations. No torch.

Sizes of weights, caches and inputs follow from the model's. What a step holds at once is counted in
feature maps and in tensors [tokens, dim]; the factors are stated with where they come from. The
tests hold the sum against every recorded peak, and docs/gpus.md says how close it comes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from harness.arms import BASE_ARM, is_variant_arm
from harness.cost import itemsize, kv_cache_bytes, parameters
from harness.cost_case import cost_config
from harness.matrix import Case
from harness.presets import GENERATED_CHUNKS, WorkloadConfig
from harness.variants import resolve

GIB = 2**30

# Elements that a stream keeps from chunk to chunk, for each pixel of a frame. TAE: three memory
# blocks on each of three levels (widths 256, 128, 64 decoding, 64 encoding). WanVAE, width 96: two
# frames before every convolution over time, counted on tensors without storage.
TAE_DECODER_MEMORY = 3 * (256 / 64 + 128 / 16 + 64 / 4)
TAE_ENCODER_MEMORY = 3 * (64 / 4 + 64 / 16 + 64 / 64)
ENCODED_STREAMS = 2  # what is kept and what is generated; WanVAE serves both from one memory
WAN_DECODER_MEMORY, WAN_ENCODER_MEMORY = 2365, 1404
# Feature maps at full resolution that a convolution holds: input and output, and cuDNN's own copies
# of both in its layout. The first are counted on tensors without storage; with the others the sum
# is within 1 % of the recorded peaks of end-to-end cases.
TAE_WIDTH, TAE_COUNTED_MAPS, TAE_COPIED_MAPS = 64, 2.0, 2.15
TAE_COPIED_MAPS_LAST = 1.0  # of a compiled TAE in channels-last layout, by two recorded peaks
# WanVAE takes four frames at a time; its copies are of the recorded peaks of three processes.
WAN_FRAMES, WAN_COUNTED_MAPS, WAN_COPIED_MAPS = 4, 6.6, 7.3
ROPE_BYTES = 8 + 16 + 16  # an element in float64, and as the complex product's factor and result
FFN_TENSORS = 3  # [tokens, ffn_dim]: before, inside and after the activation function
CACHE_COPIES = 4  # clones and windows of keys and values
# What the allocator keeps of freed blocks when memory is plenty, over the largest step. A text-only
# chunk starts with small blocks that its decoder cannot use. From reserved less allocated peaks.
# With the TAE at 1024x1024 it is 1.1 GiB where that share were 5: large blocks serve one another.
SPARE_OF_STEP, MOST_SPARE_OF_TAE_BYTES = 0.8, 2 * GIB
# What the pool of a CUDA graph of transformer passes takes, over what they hold at once: no pool
# shares its blocks. From reserved less allocated peaks of graph-forward and graph-loop.
POOL_OF_TRANSFORMER = 2.3
# Feature maps in the pool of a graph of a whole chunk, in any layout: the fewest of all records
# at four sizes and three windows, and how many more most have; and blocks beside the pools.
CHUNK_POOL_MAPS, CHUNK_POOL_MORE = 3.4, 0.6
CHUNK_POOL_SPARE_BYTES = GIB // 4
# What such graphs keep allocated: a place's results, for each pixel of a frame, and the workspaces
# of libraries. By the recorded peaks of 16 cases end to end: with them each is told within 0.7 %.
CHUNK_KEPT_A_PIXEL, CHUNK_WORKSPACE_BYTES = 176, int(0.12 * GIB)
# CUDA, its kernels and libraries: the device's peak less the reserved one and less what was in use
# before the case, 0.68 to 0.80 GiB on H100 and H200.
CONTEXT_BYTES = int(0.75 * GIB)
PROOF_YARDSTICK = "attention-sdpa"  # a quality case runs it beside its arms
GRAPHS = frozenset(("graph-forward", "graph-loop", "graph-chunk"))


@dataclass(frozen=True, kw_only=True)
class MemoryNeed:
    """Bytes that a case needs, by what they are for."""

    weights_bytes: int  # shared by all arms, with the copies that variants make
    loaded_bytes: int  # weights before a variant, alone in its case, has replaced its own
    state_bytes: int  # of every pipeline: KV caches, the text's keys, the autoencoder's memory
    input_bytes: int  # the clip; a generated one of eight chunks
    step_bytes: int  # activations and workspace of the largest step outside of CUDA graphs
    capture_bytes: int  # of the largest step of a chunk that one graph holds, before it is captured
    graphs_bytes: int  # kept by CUDA graphs
    spare_bytes: int  # freed blocks that the allocator keeps where memory is plenty
    context_bytes: int  # CUDA itself

    @property
    def allocated_bytes(self) -> int:
        """What a steady chunk's largest allocation comes to; held against the record's."""
        return self._held_bytes + self.step_bytes

    @property
    def least_bytes(self) -> int:
        """With less of the GPU free than this, the case cannot run.

        PyTorch gives freed blocks back before it captures, so that a step taken before and the
        graph that replaces it are not there at once.
        """
        captured = self._held_bytes + self.capture_bytes
        replayed = self.allocated_bytes + self.graphs_bytes
        return max(captured, replayed, self.loaded_bytes) + self.context_bytes

    @property
    def expected_bytes(self) -> int:
        """What the case takes of the device where memory is plenty."""
        return self.least_bytes + self.spare_bytes

    @property
    def _held_bytes(self) -> int:
        return self.weights_bytes + self.state_bytes + self.input_bytes


def memory_need(case: Case) -> MemoryNeed:
    """The need of a case of the built-in pipeline."""
    config = cost_config(case)
    pipelines = [_fixes(variant) for variant in _variants(case)]
    if case.kind == "isolated":  # too few chunks for a graph; components run without one
        pipelines = [fixes - GRAPHS for fixes in pipelines]
    conditioned = case.mode != "text"
    loaded: float = sum(parameters(config).values()) * itemsize(config)
    weights = loaded + sum(_copied_bytes(config, fixes) for fixes in pipelines)
    if len(pipelines) == 1:
        weights -= _replaced_bytes(config, pipelines[0])
    state = sum(_state_bytes(config, fixes, conditioned=conditioned) for fixes in pipelines)
    captured = [_Step.of(config, fixes) for fixes in pipelines if "graph-chunk" in fixes]
    steps = [_Step.of(config, fixes) for fixes in pipelines if "graph-chunk" not in fixes]
    graphs = sum(_graph_bytes(config, fixes, conditioned=conditioned) for fixes in pipelines)
    state += sum(_kept_by_graphs(config, case.mode) for _ in captured)
    if case.kind == "quality":  # one pipeline more, with weights of its own
        exact = replace(config, dtype="float32")
        weights += sum(parameters(exact).values()) * itemsize(exact)
        state += _state_bytes(exact, frozenset(), conditioned=conditioned)
        steps.append(_Step.of(exact, frozenset()))
    largest = max((step.peak for step in steps), default=0.0)
    apart = 0.0 if conditioned else max((step.transformer for step in steps), default=0.0)
    return MemoryNeed(
        weights_bytes=int(weights),
        loaded_bytes=int(loaded),
        state_bytes=int(state),
        input_bytes=_input_bytes(config, case.mode),
        step_bytes=int(largest),
        capture_bytes=int(max((step.peak for step in captured), default=0.0)),
        graphs_bytes=int(graphs),
        spare_bytes=int(
            _spare_of_step(config, largest) + apart / 2 + len(captured) * _chunk_pool_spare(config)
        ),
        context_bytes=CONTEXT_BYTES,
    )


def _variants(case: Case) -> list[str]:
    """The variant of every pipeline of a case in the workload's own type."""
    if case.kind == "quality":
        arms = dict.fromkeys((*case.arms, PROOF_YARDSTICK))
        return [case.variant, *(arm for arm in arms if arm != BASE_ARM)]
    return [case.variant, *filter(is_variant_arm, case.arms)]


def _fixes(variant: str) -> frozenset[str]:
    return frozenset(fix.name for fix in resolve(variant))


def _copied_bytes(config: WorkloadConfig, fixes: Iterable[str]) -> float:
    """Weights that a variant has of its own, beside those that all pipelines share."""
    model, size = config.model, itemsize(config)
    square, ffn = model.dim**2, 2 * model.dim * model.ffn_dim
    timed = 6 * square + ffn  # all linears of a block but the text's keys and values
    vace_blocks = len(model.vace_layers)
    copied = 0.0
    if "lora-merged" in fixes:
        copied += model.num_layers * (8 * square + ffn) * size
    if "fp8-linears" in fixes:  # one byte each, in the place of the merged ones
        return copied + model.num_layers * timed * (1 - size) + vace_blocks * timed
    if "fused-qkv" in fixes:  # of the base blocks they are merged already
        copied += vace_blocks * 3 * square * size
    return copied


def _replaced_bytes(config: WorkloadConfig, fixes: Iterable[str]) -> float:
    """Weights that nothing holds any more once a variant has its own, where it is alone."""
    model, size = config.model, itemsize(config)
    square, ffn = model.dim**2, 2 * model.dim * model.ffn_dim
    vace_blocks = len(model.vace_layers)
    replaced = 0.0
    if "lora-merged" in fixes:
        replaced += parameters(config)["lora"] * size
        replaced += model.num_layers * (8 * square + ffn) * size
    if "fp8-linears" in fixes:
        return replaced + vace_blocks * (6 * square + ffn) * size
    if "fused-qkv" in fixes:
        replaced += vace_blocks * 3 * square * size
    return replaced


def _state_bytes(config: WorkloadConfig, fixes: Iterable[str], *, conditioned: bool) -> float:
    model, size = config.model, itemsize(config)
    with_text = model.num_layers + (len(model.vace_layers) if "once" in fixes else 0)
    text = 2 * with_text * model.text_len * model.dim
    if config.vae == "tae":
        kept = TAE_DECODER_MEMORY + conditioned * ENCODED_STREAMS * TAE_ENCODER_MEMORY
    else:
        kept = WAN_DECODER_MEMORY + conditioned * WAN_ENCODER_MEMORY
        kept *= config.wan_vae_dim / 96
    pixels = config.height_px * config.width_px
    cache = kv_cache_bytes(config) / (size if "fp8-attention" in fixes else 1)
    return cache + (text + kept * pixels) * size


def _input_bytes(config: WorkloadConfig, mode: str) -> int:
    """Frames, and the mask of inpainting."""
    channels = {"inpainting": 4, "depth": 3, "text": 0}[mode]
    frames = GENERATED_CHUNKS * config.model.pixel_frames_per_chunk
    return frames * channels * config.height_px * config.width_px * itemsize(config)


@dataclass(frozen=True)
class _Step:
    """Bytes that the largest step of each part holds at once."""

    autoencoder: float
    transformer: float

    @property
    def peak(self) -> float:
        return max(self.autoencoder, self.transformer)

    @classmethod
    def of(cls, config: WorkloadConfig, fixes: Iterable[str]) -> "_Step":
        return cls(_autoencoder_bytes(config, fixes), _transformer_bytes(config, fixes))


def _autoencoder_bytes(config: WorkloadConfig, fixes: Iterable[str]) -> float:
    if config.vae == "tae":
        copied = TAE_COPIED_MAPS_LAST if "tae-channels-last" in fixes else TAE_COPIED_MAPS
        return (TAE_COUNTED_MAPS + copied) * _tae_map_bytes(config)
    pixels = config.height_px * config.width_px * itemsize(config)
    maps = WAN_COUNTED_MAPS + WAN_COPIED_MAPS
    return maps * WAN_FRAMES * pixels * config.wan_vae_dim


def _transformer_bytes(config: WorkloadConfig, fixes: Iterable[str]) -> float:
    model, size = config.model, itemsize(config)
    tokens = model.frames_per_chunk * config.tokens_per_frame
    one = tokens * model.dim * size
    hints = 2 * (len(model.vace_layers) + 1) * one  # stacked anew by every VACE block
    held = hints + FFN_TENSORS * tokens * model.ffn_dim * size
    if "rope-real" not in fixes:
        held += tokens * model.dim * ROPE_BYTES
    if "ring-cache" not in fixes:
        cached = model.local_attn_frames * config.tokens_per_frame * model.dim * size
        # New keys and values of all blocks wait for the last block.
        held += CACHE_COPIES * cached + 2 * model.num_layers * one
    return held


def _places(config: WorkloadConfig) -> int:
    """Where in the ring a chunk can lie: so many graphs there are of the same work."""
    model = config.model
    return (model.local_attn_frames - model.sink_frames) // model.frames_per_chunk


def _tae_map_bytes(config: WorkloadConfig) -> float:
    """A feature map of the TAE at full resolution, of a chunk's frames."""
    pixels = config.height_px * config.width_px * itemsize(config)
    return config.model.pixel_frames_per_chunk * pixels * TAE_WIDTH


def _spare_of_step(config: WorkloadConfig, largest: float) -> float:
    spare = SPARE_OF_STEP * largest
    return min(spare, MOST_SPARE_OF_TAE_BYTES) if config.vae == "tae" else spare


def _chunk_pool_spare(config: WorkloadConfig) -> float:
    """What the pools of a whole chunk's graphs mostly take beyond their least."""
    more = _places(config) * CHUNK_POOL_MORE * _tae_map_bytes(config)
    return more + CHUNK_POOL_SPARE_BYTES


def _kept_by_graphs(config: WorkloadConfig, mode: str) -> float:
    """Allocated for good by the graphs of a whole chunk: inputs once, results of every place."""
    pixels = config.height_px * config.width_px
    inputs = _input_bytes(config, mode) / GENERATED_CHUNKS
    return inputs + _places(config) * CHUNK_KEPT_A_PIXEL * pixels + CHUNK_WORKSPACE_BYTES


def _graph_bytes(config: WorkloadConfig, fixes: Iterable[str], *, conditioned: bool) -> float:
    """Pools of a variant's CUDA graphs: one for each place of the ring, each with its own blocks.

    In a conditioned chunk the encoder's blocks serve the transformer, then the decoder; a text-only
    one begins with the transformer's small blocks, which the decoder cannot use.
    """
    step, places = _Step.of(config, fixes), _places(config)
    if "graph-chunk" in fixes:
        pool = CHUNK_POOL_MAPS * _tae_map_bytes(config)
        both = max(pool, step.transformer) if conditioned else pool + step.transformer
        return places * both
    if "graph-loop" in fixes:
        return places * 2 * POOL_OF_TRANSFORMER * step.transformer  # the loop and the clean pass
    if "graph-forward" in fixes:
        passes = len(config.steps) + 1
        return places * passes * POOL_OF_TRANSFORMER * step.transformer
    return 0.0

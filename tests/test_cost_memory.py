"""The memory model against every recorded peak, and its parts against the model's arithmetic."""

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from harness.cost import kv_cache_bytes, parameters
from harness.cost_case import cost_config
from harness.cost_memory import (
    GIB,
    TAE_COUNTED_MAPS,
    TAE_DECODER_MEMORY,
    TAE_ENCODER_MEMORY,
    TAE_WIDTH,
    WAN_COUNTED_MAPS,
    WAN_DECODER_MEMORY,
    WAN_ENCODER_MEMORY,
    WAN_FRAMES,
    memory_need,
)
from harness.matrix import Case
from harness.result import Result
from harness.store import all_runs
from harness.workload.autoencoder import Tae
from harness.workload.vae import FrameMemory
from harness.workload.wan_vae import WanVae

REPORTS = Path(__file__).parent.parent / "reports"
MOST_OVER, MOST_UNDER = 0.15, 0.10


def case(**changes: object) -> Case:
    fields: dict[str, object] = {
        "kind": "e2e",
        "mode": "inpainting",
        "preset": "full",
        "width_px": 512,
        "height_px": 512,
        "device": "cuda",
    }
    return Case(**(fields | changes))  # type: ignore[arg-type]


def on_gpus() -> Iterator[Result]:
    for run in all_runs(REPORTS):
        yield from (r for r in run.finished if r.case.device == "cuda" and not r.case.pipeline)


def in_use(result: Result) -> int | None:
    """The most that the device had in use: by the memory pass, where that ran all of the case.

    Proofs of output have none, and that of components runs them alone: the sampler saw the rest.
    """
    if result.memory is not None and result.case.kind != "isolated":
        return result.memory.device_peak_bytes
    seen = result.gpu.series.fields["memory_used_bytes"] if result.gpu.series else []
    return int(max((used for used in seen if used), default=0)) or None


RECORDED = list(on_gpus())


def test_there_are_records_of_several_sizes_and_kinds() -> None:
    assert {result.case.kind for result in RECORDED} == {"e2e", "isolated", "paired", "quality"}
    assert len({result.case.width_px for result in RECORDED}) >= 2


def test_the_allocation_of_every_record_is_estimated() -> None:
    errors = {}
    for result in RECORDED:
        if result.memory is None or result.memory.allocated_peak_bytes is None:
            continue
        if result.case.kind == "isolated" and result.case.compiled:
            continue  # its memory pass runs the VACE branch alone
        arms = [arm.memory.allocated_peak_bytes or 0 for arm in result.arms.values()]
        peak = max([result.memory.allocated_peak_bytes, *arms])
        errors[result.case_id] = memory_need(result.case).allocated_bytes / peak - 1
    assert len(errors) >= 20
    outside = {name: e for name, e in errors.items() if not -MOST_UNDER <= e <= MOST_OVER}
    assert outside == {}
    assert sum(map(abs, errors.values())) / len(errors) < 0.02


def test_what_the_whole_device_had_in_use_is_estimated() -> None:
    """Less what was in use before."""
    for result in RECORDED:
        peak = in_use(result)
        assert peak
        idle = result.provenance["gpu.idle.memory_used_bytes"].value
        assert isinstance(idle, int)
        error = memory_need(result.case).expected_bytes / (peak - idle) - 1
        assert -MOST_UNDER <= error <= MOST_OVER, result.case_id


def test_a_case_that_ran_is_never_said_not_to_fit() -> None:
    """By the least need, in the memory that its whole device had in use."""
    for result in RECORDED:
        idle = result.provenance["gpu.idle.memory_used_bytes"].value
        if result.memory is not None and (peak := in_use(result)) is not None:
            assert isinstance(idle, int)
            least = memory_need(result.case).least_bytes
            assert least < peak - idle, result.case_id


def test_weights_are_shared_and_caches_are_not() -> None:
    one = memory_need(case())
    two = memory_need(case(kind="paired", arms=("base", "rope-real")))
    config = cost_config(case())
    assert one.weights_bytes == 2 * sum(parameters(config).values())
    assert two.weights_bytes == one.weights_bytes
    assert two.state_bytes == 2 * one.state_bytes
    assert one.state_bytes > kv_cache_bytes(config)


def test_a_switch_on_the_base_pipeline_needs_nothing() -> None:
    switched = case(kind="paired", arms=("base", "again", "compiled", "delay1"))
    assert memory_need(switched) == memory_need(case())


def test_merged_and_quantised_weights_are_copies_beside_the_base_pipeline() -> None:
    plain, merged, fp8 = (
        memory_need(case(kind="paired", arms=("base", v))).weights_bytes
        for v in ("ring-cache", "lora-merged", "fp8-linears")
    )
    blocks = 30 * (8 * 1536**2 + 2 * 1536 * 8960)
    assert merged - plain == 2 * blocks
    assert plain < fp8 < merged


def test_a_variant_alone_replaces_what_it_copies_but_is_loaded_with_it() -> None:
    plain, merged, fp8 = (
        memory_need(case(variant=v)) for v in ("baseline", "lora-merged", "fp8-linears")
    )
    adapters = parameters(cost_config(case()))["lora"]
    linears = (30 + 15) * (6 * 1536**2 + 2 * 1536 * 8960)
    assert plain.weights_bytes - merged.weights_bytes == 2 * adapters
    assert merged.weights_bytes - fp8.weights_bytes == linears
    assert plain.loaded_bytes == merged.loaded_bytes == fp8.loaded_bytes == plain.weights_bytes
    small = memory_need(case(variant="fastest-without-graph-chunk", width_px=320, height_px=320))
    assert small.least_bytes - small.context_bytes >= plain.weights_bytes > small.weights_bytes


def test_a_cache_in_fp8_takes_half_the_memory() -> None:
    wide, narrow = (
        memory_need(case(variant=v)).state_bytes for v in ("ring-cache", "fp8-attention")
    )
    assert wide - narrow == 30 * 12 * 1024 * 1536 * 2  # blocks, frames, tokens, width, k and v


def test_the_proof_has_float32_weights_and_caches_of_its_own() -> None:
    quality = memory_need(case(kind="quality", arms=("base", "rope-real")))
    plain = memory_need(case())
    assert quality.weights_bytes == 3 * plain.weights_bytes
    assert quality.state_bytes == 5 * plain.state_bytes  # base, arm, yardstick, and twice for four
    assert quality.step_bytes == pytest.approx(2 * plain.step_bytes)


def test_graphs_keep_a_pool_for_each_place_of_the_ring() -> None:
    chunk = memory_need(case(variant="graph-chunk"))
    loop = memory_need(case(variant="graph-loop"))
    forward = memory_need(case(variant="graph-forward"))
    assert 0 < loop.graphs_bytes < forward.graphs_bytes
    assert 2 * chunk.capture_bytes < chunk.graphs_bytes < 3 * chunk.capture_bytes
    for window, places in ((3, 1), (6, 1), (24, 7)):
        other = memory_need(case(variant="graph-chunk", window=window))
        assert other.graphs_bytes == pytest.approx(chunk.graphs_bytes * places / 3)
        assert (other.spare_bytes > chunk.spare_bytes) == (places > 3)


def test_what_graphs_keep_counts_as_allocated_inputs_once_results_for_each_place() -> None:
    kept = {
        window: memory_need(case(variant="lossless", window=window)).state_bytes
        - memory_need(case(variant="lossless-without-graph-chunk", window=window)).state_bytes
        for window in (6, 12, 24)
    }
    assert kept[12] - kept[6] == pytest.approx(2 * 176 * 512 * 512, abs=2)
    assert kept[24] - kept[12] == pytest.approx(4 * 176 * 512 * 512, abs=2)
    depth, mask = (
        memory_need(case(variant="lossless", mode=mode)) for mode in ("depth", "inpainting")
    )
    plain = (memory_need(case(mode=mode)) for mode in ("depth", "inpainting"))
    without = [one.state_bytes for one in plain]
    assert mask.state_bytes - depth.state_bytes > without[1] - without[0]


def test_a_step_that_a_graph_replaces_is_given_back() -> None:
    alone, beside = memory_need(case(variant="lossless")), memory_need(case())
    assert alone.step_bytes == 0 < alone.capture_bytes < alone.graphs_bytes
    held = alone.weights_bytes + alone.state_bytes + alone.input_bytes
    assert alone.least_bytes == held + alone.graphs_bytes + alone.context_bytes
    both = memory_need(case(kind="paired", arms=("base", "lossless")))
    assert both.step_bytes == beside.step_bytes
    assert both.least_bytes == both.allocated_bytes + both.graphs_bytes + both.context_bytes


def test_components_alone_run_without_graphs() -> None:
    graphed, plain = (
        memory_need(case(kind="isolated", variant=v))
        for v in ("lossless", "lossless-without-graph-chunk")
    )
    assert graphed == plain
    assert graphed.graphs_bytes == 0 < graphed.step_bytes


@pytest.mark.parametrize("change", [{"width_px": 832}, {"window": 24}, {"vae": "wanvae"}])
def test_a_larger_case_needs_more(change: dict[str, object]) -> None:
    assert memory_need(case(**change)).least_bytes > memory_need(case()).least_bytes


def test_float16_needs_what_bfloat16_does() -> None:
    assert memory_need(case(dtype="float16")) == memory_need(case())
    assert memory_need(case()).least_bytes / GIB == pytest.approx(9.5, abs=0.1)


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors that are alive; they need no storage."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, Tensor):
                self._meet(tensor)
        self.peak = max(self.peak, self.now)
        return out

    def _meet(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.now += size
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@pytest.mark.parametrize(
    ("kind", "map_channels", "maps"),
    [
        (Tae, 12 * TAE_WIDTH, TAE_COUNTED_MAPS),
        (WanVae, WAN_FRAMES * 96, WAN_COUNTED_MAPS),
    ],
)
def test_the_feature_maps_that_a_step_holds(
    kind: type[Tae | WanVae], map_channels: int, maps: float
) -> None:
    side = 256
    with torch.device("meta"):
        vae = kind().to(torch.bfloat16)
        latent, pixels = (
            torch.empty(1, 3, 16, side // 8, side // 8),
            torch.empty(1, 3, 12, side, side),
        )
    given = {"decode": latent.bfloat16(), "encode": pixels.bfloat16()}
    memory = vae.new_encoder_memory()
    held = {}
    with torch.no_grad(), LiveBytes() as live:
        for _ in range(2):
            for name in given:
                live.peak = live.now
                args = (given[name], memory) if name == "encode" else (given[name],)
                getattr(vae, name)(*args)
                held[name] = (live.peak - live.now) / (2 * map_channels * side**2)
    assert max(held.values()) == pytest.approx(maps, rel=0.05)


def kept_elements(memory: FrameMemory) -> int:
    return sum(slot.numel() for slot in memory.slots if slot is not None)


@pytest.mark.parametrize("side", [128, 256])
def test_what_the_autoencoders_keep(side: int) -> None:
    """Counted on tensors without storage, for each pixel of a frame."""
    wanted = {
        Tae: (TAE_DECODER_MEMORY, TAE_ENCODER_MEMORY),
        WanVae: (WAN_DECODER_MEMORY, WAN_ENCODER_MEMORY),
    }
    for kind, (decoder, encoder) in wanted.items():
        with torch.device("meta"):
            vae = kind()
            latent = torch.empty(1, 3, 16, side // 8, side // 8)
            pixels = torch.empty(1, 3, 12, side, side)
        memory = vae.new_encoder_memory()
        for _ in range(2):
            vae.decode(latent)
            vae.encode(pixels, memory)
        assert kept_elements(vae.decoder_memory) / side**2 == pytest.approx(decoder, rel=0.01)
        assert kept_elements(memory) / side**2 == pytest.approx(encoder, rel=0.01)

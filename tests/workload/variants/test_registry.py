"""harness.workload.variants: twins share weights, changes leave the others alone, graphs wait."""

import pytest
import torch

from harness.errors import CaseError
from harness.workload.rollout import Pipeline
from harness.workload.variants.exact import exact_twin
from harness.workload.variants.graphs import Captures, capture_forwards
from harness.workload.variants.overlay import lay_over
from harness.workload.variants.registry import apply, twin

PORTABLE_STACK = (
    "lora-merged+fused-qkv+ring-cache+rope-real+once+no-padding+hint-list+lean-clean"
    "+tae-explicit+tae-channels-last"
)


def chunk(pipeline: Pipeline) -> torch.Tensor:
    pixels = torch.linspace(-1, 1, 3 * 12 * 32 * 48).reshape(1, 3, 12, 32, 48)
    mask = torch.zeros(1, 1, 12, 32, 48)
    mask[..., 8:24, 8:24] = 1
    return pipeline.run_chunk(pixels, mask)


def test_a_twin_has_the_same_weights_and_gives_the_same_frames(pipeline: Pipeline) -> None:
    other = twin(pipeline)
    mine = dict(pipeline.transformer.named_parameters())
    assert all(p is mine[name] for name, p in other.transformer.named_parameters())
    for _ in range(2):
        assert torch.equal(chunk(pipeline), chunk(other))
    assert other.caches[0].k.data_ptr() != pipeline.caches[0].k.data_ptr()


def test_a_changed_twin_leaves_the_baseline_as_it_was(pipeline: Pipeline) -> None:
    untouched = twin(pipeline)
    changed = twin(pipeline)
    apply(changed, PORTABLE_STACK)
    before = [chunk(untouched) for _ in range(6)]
    frames = [chunk(changed) for _ in range(6)]
    after = [chunk(pipeline) for _ in range(6)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    for a, b in zip(frames, after, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
    assert type(pipeline) is Pipeline


def test_the_exact_twin_of_a_float32_pipeline_is_the_pipeline(pipeline: Pipeline) -> None:
    exact = exact_twin(pipeline)
    for _ in range(2):
        torch.testing.assert_close(chunk(exact), chunk(pipeline), atol=0, rtol=0)


def test_a_pipeline_that_has_run_is_no_start_of_a_variant(pipeline: Pipeline) -> None:
    chunk(pipeline)
    with pytest.raises(ValueError, match="has no twin"):
        twin(pipeline)
    with pytest.raises(ValueError, match="cannot become a variant"):
        apply(pipeline, "once")


def test_what_needs_a_gpu_is_refused_on_a_cpu(pipeline: Pipeline) -> None:
    with pytest.raises(CaseError, match="needs a GPU for attention-cudnn"):
        apply(pipeline, "attention-cudnn")


def test_changes_lie_over_one_another_and_share_a_class() -> None:
    class Below:
        def told(self) -> list[str]:
            return ["below"]

    class First(Below):
        def told(self) -> list[str]:
            return [*super().told(), "first"]

    class Second(Below):
        name: str

        def told(self) -> list[str]:
            return [*super().told(), self.name]

    one, two = Below(), Below()
    for owner in (one, two):
        lay_over(owner, First)
        lay_over(owner, Second, name="second")
    assert one.told() == ["below", "first", "second"]
    assert type(one) is type(two) and Below().told() == ["below"]


def test_a_pipeline_with_graphs_settles_after_they_are_captured(pipeline: Pipeline) -> None:
    assert pipeline.first_settled_chunk == pipeline.first_steady_chunk == 4
    capture_forwards(pipeline)
    # Three places in the ring, each met once and then captured.
    assert (pipeline.first_steady_chunk, pipeline.first_settled_chunk) == (4, 10)


def test_a_graph_waits_for_its_second_turn_and_another_shape_forgets_all() -> None:
    captures = Captures()
    assert [captures.met("a"), captures.met("a"), captures.met("b")] == [False, True, False]
    placed = captures.place("x", torch.ones(2))
    assert captures.place("x", torch.zeros(2)) is placed and placed.tolist() == [0, 0]
    assert captures.met("a")
    captures.place("x", torch.ones(3))
    assert not captures.met("a")
    context = torch.ones(2)
    kept = captures.place_context(context)
    context.add_(1)  # the same tensor counts as placed: a context lasts for a chunk
    assert captures.place_context(context) is kept and captures.place_context(None) is None

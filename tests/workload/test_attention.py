"""Backends behind one signature; what cannot run raises."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from harness.errors import CaseError
from harness.presets import CPU_ATTENTION, AttentionChoice
from harness.workload.attention import Attention, resolve, sdpa

CPU = torch.device("cpu")


def test_sdpa_is_exact_softmax_attention() -> None:
    q, k, v = torch.randn(1, 5, 2, 8), torch.randn(1, 7, 2, 8), torch.randn(1, 7, 2, 8)
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / 8**0.5
    expected = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v)
    torch.testing.assert_close(sdpa(q, k, v), expected)


def test_defaults_follow_the_compute_capability() -> None:
    assert resolve("default", None) == CPU_ATTENTION
    assert resolve("default", (9, 0)) == AttentionChoice(
        cached_self="sage", cross="sdpa", vace_self="flex"
    )
    assert resolve("default", (7, 5)).cached_self == "sdpa"
    assert resolve("sdpa", (9, 0)) == AttentionChoice(
        cached_self="sdpa", cross="sdpa", vace_self="flex"
    )


@pytest.mark.parametrize("name", ["sage", "flex"])
def test_a_gpu_kernel_on_a_cpu_raises(name: str) -> None:
    choice = AttentionChoice(cached_self=name, cross="sdpa", vace_self="sdpa")
    with pytest.raises(CaseError, match="needs a GPU"):
        Attention.load(choice, device=CPU, head_dim=64)


def test_an_unknown_name_and_an_unknown_head_size_raise() -> None:
    cuda = torch.device("cuda")
    with pytest.raises(CaseError, match="unknown attention 'fast'"):
        choice = AttentionChoice(cached_self="fast", cross="sdpa", vace_self="sdpa")
        Attention.load(choice, device=cuda, head_dim=64)
    with pytest.raises(CaseError, match="head size 32"):
        choice = AttentionChoice(cached_self="sage", cross="sdpa", vace_self="sdpa")
        Attention.load(choice, device=cuda, head_dim=32)


def test_tracing_names_use_and_backend_and_is_off_by_default() -> None:
    attention = Attention.load(CPU_ATTENTION, device=CPU, head_dim=8)
    q = torch.randn(1, 5, 2, 8)
    for uses in ((), ("cached_self",), ("cross",)):
        attention.trace(*uses)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            attention.cross(q, q, q)
        names = {event.key for event in profiler.key_averages()}
        assert ({"attention.cross", "sdpa"} <= names) is ("cross" in uses)

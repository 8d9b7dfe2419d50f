"""Attention backends behind one signature, and which use of attention gets which.

A backend takes q [B, N, n, D] and k, v [B, K, n, D] and returns [B, N, n, D]: full softmax with
scale 1/sqrt(D), no mask. The three uses of the workload:

    cached_self   new queries over sink and window of the KV cache, 150 calls a steady chunk
    cross         tokens over the text, 210 calls; SDPA stands in for flash-attn 2
    vace_self     uncached self-attention of the VACE blocks, 60 calls

A backend is chosen by name and never replaced by another one: what cannot run raises.
"""

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import flex_attention
from torch.profiler import record_function

from harness.errors import CaseError
from harness.presets import AttentionChoice, default_attention

Backend = Callable[[Tensor, Tensor, Tensor], Tensor]
USES = ("cached_self", "cross", "vace_self")
SAGE_HEAD_DIMS = (64, 96, 128)


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's scaled_dot_product_attention; the profiler shows which kernel it took."""
    out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return out.transpose(1, 2).contiguous()


def sage(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """SageAttention 1.0.6 (INT8 QK). It subtracts k's mean in place, so k must be the caller's own.

    The cached self-attention passes a fresh concatenation, never the cache itself.
    """
    from sageattention import sageattn  # only where it is asked for: it needs Triton and a GPU

    out: Tensor = sageattn(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return out.transpose(1, 2).contiguous()


def _sage_on_a_copy(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return sage(q, k.clone(), v)


def cudnn(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """SDPA through cuDNN's kernel and no other; torch raises where there is none."""
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        return sdpa(q, k, v)


def flash(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """SDPA through PyTorch's flash kernel and no other; torch raises where there is none."""
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return sdpa(q, k, v)


class CompiledFlex:
    """flex_attention without a block mask, compiled with static shapes as in the baseline."""

    def __init__(self) -> None:
        self._call = torch.compile(flex_attention, dynamic=False, mode="max-autotune-no-cudagraphs")

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See the module's docstring for shapes."""
        out = self._call(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        assert isinstance(out, Tensor)  # no log-sum-exp was asked for
        return out.transpose(1, 2)


KERNELS: dict[str, Backend] = {"cudnn": cudnn, "flash": flash}


def resolve(name: str, capability: tuple[int, int] | None) -> AttentionChoice:
    """Backends for a case's attention setting on a device; None stands for a CPU.

    'default' is the stated default of the compute capability; any other name sets the cached
    self-attention and leaves the other uses at their defaults.
    """
    choice = default_attention(capability)
    if name == "default":
        return choice
    return AttentionChoice(cached_self=name, cross=choice.cross, vace_self=choice.vace_self)


class Attention:
    """The three uses bound to their backends."""

    def __init__(self, backends: dict[str, tuple[str, Backend]]) -> None:
        self._backends = backends
        self._traced = dict.fromkeys(backends, False)

    def trace(self, *uses: str) -> None:
        """Wraps each call of these uses in profiler ranges, and of no other; free when off.

        A flag of its own for each use: code compiled around one is not compiled anew for another.
        """
        self._traced.update({use: use in uses for use in self._traced})

    @classmethod
    def load(cls, choice: AttentionChoice, *, device: torch.device, head_dim: int) -> "Attention":
        """Binds a choice. Raises CaseError where a backend cannot run here."""
        uses = {
            "cached_self": choice.cached_self,
            "cross": choice.cross,
            "vace_self": choice.vace_self,
        }
        return cls({use: _load(name, use, device, head_dim) for use, name in uses.items()})

    def use(self, use: str, name: str, *, device: torch.device, head_dim: int) -> None:
        """Another backend for one use. Raises CaseError where it cannot run here."""
        self._backends[use] = _load(name, use, device, head_dim)

    def bind(self, use: str, name: str, backend: Backend) -> None:
        """A backend that is none of those by name; a profile shows this one."""
        self._backends[use] = (name, backend)

    def named(self, use: str) -> str:
        """The name of a use's backend, as a profile shows it."""
        return self._backends[use][0]

    def keep_keys(self, use: str) -> None:
        """For keys that are read again later: Sage, which changes them, then gets a copy."""
        name, backend = self._backends[use]
        if backend is sage:
            self._backends[use] = (name, _sage_on_a_copy)

    def cached_self(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Self-attention over the KV cache's window."""
        return self._call("cached_self", q, k, v)

    def cross(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention over the text."""
        return self._call("cross", q, k, v)

    def vace_self(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Uncached self-attention of a VACE block."""
        return self._call("vace_self", q, k, v)

    def ranges(self, use: str, name: str) -> AbstractContextManager[object]:
        """The profiler ranges of a kernel that is none of the backends, and free when off."""
        ranges = ExitStack()
        if self._traced[use]:
            ranges.enter_context(record_function(f"attention.{use}"))
            ranges.enter_context(record_function(name))
        return ranges

    def _call(self, use: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        range_name, backend = self._backends[use]
        if not self._traced[use]:
            return backend(q, k, v)
        with record_function(f"attention.{use}"), record_function(range_name):
            return backend(q, k, v)


def _load(name: str, use: str, device: torch.device, head_dim: int) -> tuple[str, Backend]:
    if name == "sdpa":
        return "sdpa", sdpa
    if device.type == "cpu":
        raise CaseError(f"attention '{name}' needs a GPU", next_step="use sdpa on a CPU")
    if name == "flex":
        return "flex_attention", CompiledFlex()
    if name in KERNELS:
        return name, KERNELS[name]
    if name != "sage":
        raise CaseError(
            f"unknown attention '{name}' for {use}",
            next_step="use sage, sdpa, cudnn, flash or flex",
        )
    if head_dim not in SAGE_HEAD_DIMS:
        raise CaseError(
            f"SageAttention has no kernel for head size {head_dim}",
            next_step=f"use attention sdpa (Sage knows {SAGE_HEAD_DIMS})",
        )
    if importlib.util.find_spec("sageattention") is None:
        raise CaseError(
            "sageattention is not installed",
            next_step="install sageattention==1.0.6, or ask for attention sdpa",
        )
    return "sageattn", sage

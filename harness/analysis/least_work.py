"""The least work of a chunk by kind of work, as far as a variant's fixes leave it to do.

FLOPs are those of `harness.cost` without what the fixes leave out. Bytes are what the stack's
kernels must read and write in device memory, each tensor once, where the matrix products and the
attention are kernels of their own and all that lies between two of them is one fused kernel:

    linears       weights once, inputs and outputs; q, k and v read their input together
    attention     queries, keys and values read, the result written
    elementwise   norm and modulation into a linear's input; q and k normed and rotated, the new
                  keys straight into their cache; new values into theirs; the cross-attention's
                  norm; both residuals with the norm behind them; the gated sum with its hint;
                  GELU where no product's epilogue has it
    VAE           weights, input and output

FP8 linears read one byte an element of weights and inputs; what comes out of an attention must be
cast for them, and GELU needs a pass of its own, since a token's scale is known when its row is.
A KV cache in FP8 has one byte an element, and so have the queries that are held against it and what
comes out; what their attention reads and writes is counted as if it had not, since its arithmetic
takes longer.
Norms' weights, modulation, noise, x0, masks
and the tokens' way in and out of the blocks are too small to count.

Letters: n tokens of a chunk, d width, e width inside the FFN, T text tokens.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from harness.analysis.output_errors import fixes_of
from harness.cost import chunk_flops, itemsize
from harness.cost_bytes import chunk_bytes
from harness.cost_case import cost_config
from harness.matrix import Case, Mode
from harness.presets import WorkloadConfig

Kind = Literal["linears", "attention", "VAE encode", "VAE decode", "elementwise and copies"]
# Whose measured rate the arithmetic takes: of plain products, of those in FP8, of an attention.
Rate = Literal["matmul", "fp8", "cached_self", "cross", "vace_self"]
FP8_BYTES = 1


@dataclass(frozen=True)
class Work:
    """A piece of a chunk's work: arithmetic at one rate, and the bytes that it moves meanwhile."""

    name: str
    kind: Kind
    rate: Rate
    flops: float
    moved_bytes: float


def least_work(case: Case, chunk: int) -> tuple[Work, ...]:
    """Every piece of a chunk of the built-in pipeline; `chunk` says how full the cache is."""
    stack = _Stack(cost_config(case), case.mode, chunk, frozenset(fixes_of(case.variant)))
    found = (*stack.linears(), *stack.attention(), *stack.vae(), stack.elementwise())
    return tuple(work for work in found if work.flops or work.moved_bytes)


@dataclass(frozen=True)
class _Stack:
    """A workload with the fixes that it has."""

    config: WorkloadConfig
    mode: Mode
    chunk: int
    fixes: frozenset[str]

    @cached_property
    def _flops(self) -> dict[str, float]:
        return chunk_flops(self.config, self.mode, chunk=self.chunk)

    @cached_property
    def _bytes(self) -> dict[str, float]:
        return chunk_bytes(self.config, self.mode, self.chunk)

    @property
    def _tokens(self) -> int:
        return self.config.model.frames_per_chunk * self.config.tokens_per_frame

    @property
    def _steps(self) -> int:
        return len(self.config.steps)

    @property
    def _hinted(self) -> int:
        return 0 if self.mode == "text" else self._steps

    @property
    def _lean(self) -> int:
        """Blocks of the clean pass that make their keys and values alone: its last one, or none."""
        return int("lean-clean" in self.fixes)

    @property
    def _base_calls(self) -> int:
        """Of whole blocks."""
        return (self._steps + 1) * self.config.model.num_layers - self._lean

    @property
    def _vace_calls(self) -> int:
        return self._hinted * len(self.config.model.vace_layers)

    @property
    def _fp8(self) -> bool:
        return "fp8-linears" in self.fixes

    @property
    def _input_bytes(self) -> int:
        """Of one element that a block's linear reads."""
        return FP8_BYTES if self._fp8 else itemsize(self.config)

    def linears(self) -> tuple[Work, ...]:
        """Those of the blocks, in their own type; embeddings, head and text keys in the model's."""
        model, n = self.config.model, self._tokens
        d, e = model.dim, model.ffn_dim
        rate: Rate = "fp8" if self._fp8 else "matmul"
        keys = self._vace_calls * 4.0 * model.text_len * d * d
        base = self._flops["base linears"] - self._lean * 2.0 * n * (4 * d * d + 2 * d * e)
        whole = self._base_calls / (self._base_calls + self._lean)
        adapters = 0.0 if "lora-merged" in self.fixes else whole * self._flops["LoRA"]
        after = self._vace_calls + self._hinted  # before_proj runs in the first block alone
        base_bytes = self._base_calls * self._block_bytes() + self._lean * self._linear_bytes(1, 2)
        vace_bytes = self._vace_calls * self._block_bytes() + after * self._linear_bytes(1, 1)
        text_keys = Work("VACE text keys", "linears", "matmul", keys, 0.0)
        return (
            Work("base linears", "linears", rate, base, float(base_bytes)),
            Work("LoRA", "linears", "matmul", adapters, 0.0),
            Work("VACE linears", "linears", rate, self._flops["VACE linears"] - keys, vace_bytes),
            *(() if "once" in self.fixes else (text_keys,)),
            self._embeddings(),
        )

    def _linear_bytes(self, inputs: int, outputs: int) -> float:
        """A linear d -> outputs * d: its weights, input and output."""
        d, n = self.config.model.dim, self._tokens
        read = (outputs * d * d + inputs * n * d) * self._input_bytes
        return float(read + outputs * n * d * itemsize(self.config))

    def _block_bytes(self) -> float:
        """q, k and v together, both output linears, the cross-attention's q, and the FFN."""
        model, n = self.config.model, self._tokens
        d, e = model.dim, model.ffn_dim
        ffn = (2 * d * e + n * (d + e)) * self._input_bytes + n * (d + e) * itemsize(self.config)
        return self._linear_bytes(1, 3) + 3 * self._linear_bytes(1, 1) + ffn

    def _embeddings(self) -> Work:
        """Patch embeddings, head, and what `once` keeps: text, times, the context's embedding."""
        model, n = self.config.model, self._tokens
        d, forwards = model.dim, self._steps + 1
        heads = forwards - self._lean
        flops = 8.0 * n * d * (forwards * model.in_channels + heads * model.out_channels)
        context = min(self._hinted, 1) if "once" in self.fixes else self._hinted
        flops += context * 8.0 * n * d * model.vace_channels
        if "once" not in self.fixes:
            text = 2 * model.text_len * (model.text_dim * d + d * d)
            times = 2 * model.frames_per_chunk * (model.freq_dim * d + 7 * d * d)
            flops += forwards * (text + times)
        moved = float((forwards + heads + context) * n * d * itemsize(self.config))
        return Work("embeddings and head", "linears", "matmul", flops, moved)

    def attention(self) -> tuple[Work, ...]:
        """Every use at the rate of its own kernel."""
        whole = self._base_calls + self._lean
        kept = {
            "self-attention": self._base_calls / whole,
            "cross-attention": 1 - self._lean / (whole + self._vace_calls),
            "VACE self-attention": 1.0,
        }
        rates: dict[str, Rate] = {
            "self-attention": "cached_self",
            "cross-attention": "cross",
            "VACE self-attention": "vace_self",
        }
        return tuple(
            Work(
                name,
                "attention",
                rates[name],
                share * self._flops[name],
                share * self._bytes[name],
            )
            for name, share in kept.items()
        )

    def vae(self) -> tuple[Work, ...]:
        """At the rate of plain products."""
        kinds: tuple[Kind, ...] = ("VAE encode", "VAE decode")
        return tuple(
            Work(kind, kind, "matmul", self._flops[kind], self._bytes[kind]) for kind in kinds
        )

    def elementwise(self) -> Work:
        """What lies between the blocks' products and attentions, fused; see the module."""
        size, into = itemsize(self.config), self._input_bytes
        activation = self._tokens * self.config.model.dim
        cast = size + into if self._fp8 else 0
        residual = 3 * size + into  # x and the addend read, x and the next linear's input written
        block = (size + into) + 4 * size + 2 * cast + 2 * size + 2 * residual + 3 * size
        cached = FP8_BYTES if "fp8-attention" in self.fixes else size
        values = size + cached
        keys_alone = (size + into) + size + cached + values
        joined = 3 * size + cast  # before_proj's output and x read, the context written
        after = into if self._fp8 else 0  # after_proj's input, beside the context itself
        rounded = 2 * (size - cached)  # less to write of q and k where attention takes them in FP8
        rounded += size - cached if self._fp8 else 0  # and less to read of what it gives
        elements = self._base_calls * (block - rounded + values) + self._lean * keys_alone
        elements += self._vace_calls * (block + size + after) + self._hinted * joined  # and a hint
        moved = activation * elements + (self._base_calls + self._vace_calls) * self._gelu_bytes()
        return Work("elementwise", "elementwise and copies", "matmul", 0.0, float(moved))

    def _gelu_bytes(self) -> int:
        if "gelu-epilogue" in self.fixes:
            return 0
        wide = self._tokens * self.config.model.ffn_dim
        return wide * (itemsize(self.config) + self._input_bytes)

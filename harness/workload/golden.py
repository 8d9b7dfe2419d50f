"""Golden files: tensors that an implementation of the workload must reproduce, and how to compare.

A file is recognised by the prefix of its name and configured by its metadata.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor


@dataclass(frozen=True)
class GoldenFile:
    """One file with its metadata; `folder` holds the weights it names."""

    path: Path
    metadata: dict[str, str]
    tensors: dict[str, Tensor]

    @classmethod
    def load(cls, path: Path) -> "GoldenFile":
        """Reads a whole file. Raises safetensors' error if it is damaged."""
        with safe_open(path, "pt") as file:
            keys = file.keys()  # the file itself is no iterable
            return cls(path, file.metadata() or {}, {key: file.get_tensor(key) for key in keys})

    @property
    def folder(self) -> Path:
        """Where the weight files lie."""
        return self.path.parent

    def json(self, key: str) -> Any:
        """A metadata value parsed as JSON. Raises KeyError where it is absent."""
        return json.loads(self.metadata[key])

    def with_prefix(self, prefix: str) -> dict[str, Tensor]:
        """All tensors whose key starts with `prefix`, without it."""
        cut = len(prefix)
        return {key[cut:]: value for key, value in self.tensors.items() if key.startswith(prefix)}


@dataclass(frozen=True)
class Comparison:
    """One stored output against ours: |got - want| <= atol + rtol * |want| everywhere."""

    tensor: str
    got: Tensor
    want: Tensor
    atol: float = 2e-5
    rtol: float = 2e-5
    conditioning: Tensor | None = None  # per element: how one rounding of an argument shows

    @property
    def difference(self) -> float:
        """Largest absolute difference; infinite where shape, kind or finiteness differ."""
        if self.got.shape != self.want.shape or not bool(torch.isfinite(self.got).all()):
            return float("inf")
        if self.got.numel() == 0:
            return 0.0
        return float((self.got.double() - self.want.double()).abs().max())

    @property
    def limit(self) -> float:
        """The limit where the stored value is largest."""
        largest = float(self.want.double().abs().max()) if self.want.numel() else 0.0
        extra = 0.0 if self.conditioning is None else float(self.conditioning.max())
        return self.atol + self.rtol * largest + extra

    @property
    def ratio(self) -> float:
        """Largest difference over its limit; above 1 fails. 0/0 counts as 0."""
        if self.difference in (0.0, float("inf")):
            return self.difference
        off = (self.got.double() - self.want.double()).abs()
        limit = self.atol + self.rtol * self.want.double().abs()
        if self.conditioning is not None:
            limit = limit + self.conditioning
        return float(torch.where(off == 0, torch.zeros_like(off), off / limit).max())

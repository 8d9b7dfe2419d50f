"""Counts what a call does, as the dispatcher sees it: every operator below the composite ones."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def count_operators(call: Callable[[], object]) -> Counter[str]:
    """Calls by operator; a stack counts as a concatenation, as on a GPU."""
    counting = _Counting()
    with torch.no_grad(), counting:  # not inference mode: it would hide what composites do
        call()
    counting.counts["cat"] += counting.counts.pop("stack", 0)
    return counting.counts


def selected(counts: Counter[str], *names: str) -> dict[str, int]:
    return {name: counts[name] for name in names}

"""LoRA adapters, applied unmerged as the baseline does: y = W x + b + (B (A x)) * scaling."""

from torch import Tensor, nn

from harness.workload.parts import part

ADAPTED = (
    *(f"{attention}.{part}" for attention in ("self_attn", "cross_attn") for part in "qkvo"),
    "ffn.0",
    "ffn.2",
)


class LoraLinear(nn.Module):
    """A linear [.., in] -> [.., out] with a low-rank side path of rank r."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base
        self.lora_A = nn.Linear(base.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False)
        self.to(base.weight.device, base.weight.dtype)
        self.scaling = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        """[.., in] -> [.., out]."""
        return self._adapted(self.base(x), x)

    @part("lora")
    def _adapted(self, result: Tensor, x: Tensor) -> Tensor:
        """The multiplication runs for scaling 1.0 too: it is part of the baseline."""
        adapted: Tensor = result + self.lora_B(self.lora_A(x)) * self.scaling
        return adapted


def add_lora(blocks: nn.ModuleList, rank: int, alpha: float) -> None:
    """Wraps the ten adapted linears of every block, in place."""
    for block in blocks:
        for name in ADAPTED:
            parent_name, _, child = name.rpartition(".")
            parent = block.get_submodule(parent_name)
            linear = block.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            setattr(parent, child, LoraLinear(linear, rank, alpha))

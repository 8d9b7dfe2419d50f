"""What a conformance check examines: the baseline or a variant, on a device."""

from dataclasses import dataclass, field

import torch

from harness.errors import DeviceError
from harness.variants import BASELINE, Fix, resolve
from harness.workload.rollout import Pipeline
from harness.workload.variants.registry import apply_fixes


@dataclass(frozen=True)
class Subject:
    """A variant on a device. Golden files stand for float32 and exact attention."""

    variant: str = BASELINE
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def of(cls, variant: str, device: str) -> "Subject":
        """By name. Raises UsageError for an unknown variant, DeviceError where CUDA cannot run."""
        resolve(variant)
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("no GPU can be used here", next_step="leave --device out")
        return cls(variant, torch.device(device))

    @property
    def description(self) -> str:
        """What is examined and what is not."""
        examined = ", ".join(fix.name for fix in self.fixes) or "none of its fixes"
        line = f"variant {self.variant} on {self.device.type}: {examined}"
        if self.left_out:
            line += f"; not examined here: {', '.join(fix.name for fix in self.left_out)}"
        return line

    @property
    def is_baseline(self) -> bool:
        """Whether the outputs of inner modules can be compared too."""
        return self.variant == BASELINE

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """The fixes that are examined."""
        return tuple(fix for fix in resolve(self.variant) if not self._excused(fix))

    @property
    def left_out(self) -> tuple[Fix, ...]:
        """Fixes that cannot be examined here: other kernels and types, and a GPU's on a CPU."""
        return tuple(fix for fix in resolve(self.variant) if self._excused(fix))

    def gives(self, output: str) -> bool:
        """Whether the subject computes a stored output: a variant may lack what nobody reads."""
        if self.is_baseline:
            return True
        inner = "/inter/" in output or output.startswith("hint")
        dropped = output.endswith("clean/flow") and any(f.name == "lean-clean" for f in self.fixes)
        return not (inner or dropped)

    def change(self, pipeline: Pipeline) -> None:
        """Makes a fresh pipeline into the subject."""
        apply_fixes(pipeline, self.fixes)

    def _excused(self, fix: Fix) -> bool:
        unequal = fix.claim in ("backend", "bounded")
        other = fix.vae == "wanvae"  # the loops of the golden files have the TAE
        return unequal or other or (fix.gpu_only and self.device.type != "cuda")

"""Flow matching with a shifted schedule: timestep -> sigma, x0 from flow, noise on x0.

sigma_lin = linspace(1, 0, 1001) without its last element; sigma = shift*s / (1 + (shift-1)*s);
timestep = 1000*sigma. A timestep selects the nearest entry.
"""

import torch
from torch import Tensor

from harness.workload.parts import part

TRAIN_TIMESTEPS = 1000


class FlowScheduler:
    """The two tables, on the device."""

    def __init__(self, shift: float, *, device: torch.device) -> None:
        linear = torch.linspace(1.0, 0.0, TRAIN_TIMESTEPS + 1)[:-1]
        sigmas = shift * linear / (1 + (shift - 1) * linear)
        self.sigmas = sigmas.to(device)  # [1000] float32
        self.timesteps = (sigmas * TRAIN_TIMESTEPS).to(device)

    def sigma_index(self, timestep: Tensor) -> Tensor:
        """Nearest table entry of each timestep [F]."""
        return (self.timesteps - timestep.unsqueeze(1)).abs().argmin(dim=1)

    @part("x0")
    def x0(self, flow: Tensor, x: Tensor, timestep: Tensor) -> Tensor:
        """x - sigma*flow for flow, x [F, 16, h, w] and timestep [F]; float64 inside, casts kept."""
        sigmas, timesteps = self.sigmas.double(), self.timesteps.double()
        flow64, x64 = flow.double(), x.double()
        index = (timesteps - timestep.unsqueeze(1)).abs().argmin(dim=1)
        sigma = sigmas[index].reshape(-1, 1, 1, 1)
        return (x64 - sigma * flow64).to(flow.dtype)

    def add_noise(self, x0: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """(1-sigma)*x0 + sigma*noise for [F, 16, h, w] and timestep [F], in float32."""
        sigma = self.sigmas[self.sigma_index(timestep)].reshape(-1, 1, 1, 1)
        return ((1 - sigma) * x0 + sigma * noise).to(noise.dtype)

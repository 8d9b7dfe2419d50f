"""WHAT is measured: the streaming video diffusion workload, in torch."""

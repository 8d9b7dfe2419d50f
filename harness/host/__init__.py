"""WHERE it runs: containers, GPUs, clips, and the order of cases."""

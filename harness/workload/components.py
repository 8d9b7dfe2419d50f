"""The pipeline's components as single calls, for isolated measurement and for torch.compile."""

from collections.abc import Callable

import torch
from torch import Tensor

from harness.workload.context import ContextEncoder
from harness.workload.rollout import Pipeline
from harness.workload.streaming import ComponentCall

COMPILE_RECOMPILE_LIMIT = 64


def component_calls(pipeline: Pipeline, frames: Tensor, mask: Tensor | None) -> list[ComponentCall]:
    """All components on real inputs: frames [1, 3, 12, H, W], mask [1, 1, 12, H, W] or None.

    The pipeline must have run a chunk. Encoders continue streams of their own, the decoder goes on
    with the pipeline's; VACE calls take what `pipeline.vace.calls` holds at the time of the call.
    """
    assert pipeline.conditioning is not None, "run a chunk first"
    config, vae, vace = pipeline.config, pipeline.vae, pipeline.vace
    steps = len(config.steps)
    memory = vae.new_encoder_memory()
    encoder = ContextEncoder(vae)
    with torch.no_grad():
        context = encoder.encode(frames, mask)
        shape = (1, config.model.frames_per_chunk, *context.shape[2:])
        shape = (*shape[:2], config.model.in_channels, *shape[2:])
        latent = pipeline.noise.initial(pipeline.start_frame, shape)
        timestep = torch.full(shape[:2], config.steps[0], dtype=torch.int64, device=pipeline.device)
        state = pipeline.transformer.embed(latent, timestep, pipeline.conditioning, 0)
        embedded = vace.vace_patch_embedding(context.unsqueeze(0))
    places = (state.lengths, state.grid, state.table)
    calls: list[tuple[str, int, Callable[[], object]]] = [
        ("vae_encode_single", 0, lambda: vae.encode(frames, memory)),
        ("context_encode", 1, lambda: encoder.encode(frames, mask)),
        ("vace_patch_embedding", steps, lambda: vace.calls.embed(context.unsqueeze(0))),
        (
            "vace_forward",
            steps,
            lambda: vace.hints(embedded, state.x, state.e0, state.text, places),
        ),
        ("vae_decode", 1, lambda: vae.decode(latent)),
    ]
    return [ComponentCall(name, count, torch.no_grad()(call)) for name, count, call in calls]


def compile_vace(pipeline: Pipeline) -> None:
    """VACE patch embedding and each VACE block through torch.compile; the next call compiles.

    All blocks share one code object and the stack of hints grows by one in each, so every block is
    a recompile: with torch's default limit of 8 the later blocks would silently stay eager.
    """
    torch._dynamo.config.recompile_limit = COMPILE_RECOMPILE_LIMIT
    pipeline.vace.calls = pipeline.vace.compiled_calls()

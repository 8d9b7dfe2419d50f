"""Checks of the golden files `tae`, `wanvae` and `vace_context`.

What a file holds decides what is compared: chunks, streams and optional outputs are found by their
names, sizes by the tensors. Weights follow the recipe that the metadata names.
"""

import re
from collections.abc import Iterator

import torch
from torch import Tensor

from harness.workload.autoencoder import Tae
from harness.workload.context import CELL_PX, MASK_THRESHOLD, ContextEncoder, mask_channels
from harness.workload.golden import Comparison, GoldenFile
from harness.workload.golden_build import golden_vae
from harness.workload.preprocess import stack_images
from harness.workload.recipe import load_recipe
from harness.workload.vae import FrameMemory
from harness.workload.wan_vae import MULTIPLIERS, WanVae

VIDEO_ATOL = 1e-5
CONTEXT_ATOL = 1e-5
BF16_ATOL = 0.08
SUM_RTOL = 1e-9  # float64 sums of the same bits in another order
RESIZED_EVERY = 5  # of the resized clip every fifth frame is stored


def inputs_tae(file: GoldenFile) -> set[str]:
    """Pixels to encode and latents to decode."""
    return _keys(file, r".*/pixels_u8|decode/chunk\d+/latent")


def check_tae(file: GoldenFile) -> Iterator[Comparison]:
    """Both directions, streaming and batch, and the memories that a stream leaves."""
    vae = Tae()
    yield from _check_weights(file, load_recipe(vae, _recipe(file)))
    vae.to(_dtype(file))
    for stream in sorted({key.split("/")[1] for key in _keys(file, r"encode/\w+/chunk\d+/.*")}):
        yield from _check_tae_encode(file, vae, f"encode/{stream}/")
    yield from _check_tae_padding(file, vae)
    for chunk in _chunks(file, "decode/"):
        latent = file.tensors[f"decode/chunk{chunk}/latent"]
        got = {f"decode/chunk{chunk}/video": vae.decode(latent)}
        got |= _memories(f"decode/memory_after_chunk{chunk}/", vae.decoder_memory)
        if chunk == 0:
            got["decode/batch_mode_video"] = vae.decode_batch(latent)
        yield from _compare(file, got)


def inputs_wanvae(file: GoldenFile) -> set[str]:
    """Pixels to encode and latents to decode."""
    return inputs_tae(file)


def check_wanvae(file: GoldenFile) -> Iterator[Comparison]:
    """Both directions, streaming and batch."""
    vae = WanVae(_wan_width(file))
    yield from _check_weights(file, load_recipe(vae, _recipe(file)))
    vae.to(_dtype(file))
    memory = vae.new_encoder_memory()
    for chunk in _chunks(file, "encode/"):
        pixels = _pixels(file, f"encode/chunk{chunk}/pixels_u8")
        got = {f"encode/chunk{chunk}/latent_batch": vae.encode(pixels, None)}
        got[f"encode/chunk{chunk}/latent_stream"] = latent = vae.encode(pixels, memory)
        yield from _compare(file, got)
        if chunk == 0:
            vae.decode(latent)  # ends the state in which every encode begins a stream
    for key in sorted(_keys(file, r"encode/first\d+/latent_stream")):
        frames = _number(key, r"first(\d+)")
        vae.clear()
        yield from _compare(file, {key: vae.encode(_first_frames(file, frames), memory)})
    vae.clear()
    for chunk in _chunks(file, "decode/"):
        video = vae.decode(file.tensors[f"decode/chunk{chunk}/latent"])
        outside = (video.abs() > 1).float().mean()  # counted after the clamp, so nothing may be
        prefix = f"decode/chunk{chunk}/"
        yield from _compare(file, {f"{prefix}video": video, f"{prefix}clamped_fraction": outside})


def inputs_vace_context(file: GoldenFile) -> set[str]:
    """Frames, masks and images."""
    return _keys(file, r".*/(frames_u8|mask_u8|in_u8)")


def check_vace_context(file: GoldenFile) -> Iterator[Comparison]:
    """The context of every chunk of every mode, mask channels and image lists on their own."""
    vae = golden_vae(file)
    threshold = float(file.metadata.get("mask_threshold", MASK_THRESHOLD))
    for mode in sorted({key.split("/")[0] for key in _keys(file, r"\w+/chunk\d+/vace_context")}):
        yield from _check_contexts(file, ContextEncoder(vae, mask_threshold=threshold), f"{mode}/")
    for key in sorted(_keys(file, r"mask_channels/out(_\d+frames)?")):
        mask = _mask(file, "mask_channels/in_u8")
        missing = _number(key, r"_(\d+)frames", default=mask.shape[2]) - mask.shape[2]
        mask = torch.cat([mask[:, :, :1]] * missing + [mask], dim=2)
        yield Comparison(key, mask_channels(mask), file.tensors[key], atol=0.0, rtol=0.0)
    for key in sorted(_keys(file, r"preprocess/out_\d+(_resized_\w+)?")):
        yield _check_preprocess(file, key)


def _check_tae_encode(file: GoldenFile, vae: Tae, prefix: str) -> Iterator[Comparison]:
    memory = vae.new_encoder_memory()
    for chunk in _chunks(file, prefix):
        pixels = _pixels(file, f"{prefix}chunk{chunk}/pixels_u8")
        got = {
            f"{prefix}chunk{chunk}/latent_stream": vae.encode(pixels, memory),
            f"{prefix}chunk{chunk}/latent_batch": vae.encode(pixels, None),
        }
        yield from _compare(file, got | _memories(f"{prefix}memory_after_chunk{chunk}/", memory))


def _check_tae_padding(file: GoldenFile, vae: Tae) -> Iterator[Comparison]:
    """A number of frames that is no multiple of 4: frame 0 of the first chunk comes repeatedly."""
    for key in sorted(_keys(file, r"encode/first\d+/latent_batch")):
        pixels = _pixels(file, min(_keys(file, r"encode/\w+/chunk0/pixels_u8")))
        missing = _number(key, r"first(\d+)") - pixels.shape[2]
        pixels = torch.cat([pixels[:, :, :1]] * missing + [pixels], dim=2)
        yield from _compare(file, {key: vae.encode(pixels, None)})


def _check_contexts(file: GoldenFile, encoder: ContextEncoder, prefix: str) -> Iterator[Comparison]:
    for chunk in _chunks(file, prefix):
        frames = _pixels(file, f"{prefix}chunk{chunk}/frames_u8")
        mask_key = f"{prefix}chunk{chunk}/mask_u8"
        mask = _mask(file, mask_key) if mask_key in file.tensors else None
        got = encoder.encode(frames, mask)
        key = f"{prefix}chunk{chunk}/vace_context"
        if key not in file.tensors:
            continue
        want, masks = file.tensors[key], CELL_PX * CELL_PX
        atol = BF16_ATOL if want.dtype is torch.bfloat16 else CONTEXT_ATOL
        yield Comparison(key, got, want, atol=atol, rtol=0.0)
        yield Comparison(key, got[-masks:], want[-masks:], atol=0.0, rtol=0.0)


def _check_preprocess(file: GoldenFile, key: str) -> Comparison:
    images, want = file.tensors["preprocess/in_u8"], file.tensors[key]
    got = stack_images(
        list(images[:, None]),
        height=want.shape[-2],
        width=want.shape[-1],
        frames=_number(key, r"out_(\d+)"),
        dtype=want.dtype,
    )
    if "_resized_" in key:
        got = got[:, :, ::RESIZED_EVERY]
    return Comparison(key, got, want, atol=CONTEXT_ATOL, rtol=0.0)


def _check_weights(file: GoldenFile, state: dict[str, Tensor]) -> Iterator[Comparison]:
    """`check/...`: a sum over one side or all, the first values of a weight, or a whole weight."""
    for key in sorted(_keys(file, r"check/.*")):
        name, want = key.removeprefix("check/"), file.tensors[key]
        if total := re.fullmatch(r"(encoder|decoder|param)_(abs_)?sum", name):
            part = "" if total[1] == "param" else f"{total[1]}."
            chosen = [value.double() for name, value in state.items() if name.startswith(part)]
            summands = torch.stack([(v.abs() if total[2] else v).sum() for v in chosen])
            yield Comparison(key, summands.sum(), want, atol=1e-6, rtol=SUM_RTOL)
        elif first := re.fullmatch(r"(.*)_first(\d+)", name):
            yield Comparison(key, state[first[1]].flatten()[: int(first[2])], want, 0.0, 0.0)
        else:
            yield Comparison(key, state[name].reshape(want.shape), want, 0.0, 0.0)


def _compare(file: GoldenFile, got: dict[str, Tensor]) -> Iterator[Comparison]:
    """Those of our tensors that the file stores."""
    for key, value in got.items():
        if key not in file.tensors:
            continue
        want = file.tensors[key]
        if want.dtype is torch.bfloat16:
            yield Comparison(key, value, want, atol=BF16_ATOL, rtol=0.0)
        elif "video" in key:
            yield Comparison(key, value, want, atol=VIDEO_ATOL, rtol=0.0)
        else:
            yield Comparison(key, value, want)


def _keys(file: GoldenFile, pattern: str) -> set[str]:
    return {key for key in file.tensors if re.fullmatch(pattern, key)}


def _chunks(file: GoldenFile, prefix: str) -> list[int]:
    return sorted({_number(key, r"/chunk(\d+)") for key in _keys(file, rf"{prefix}chunk\d+/.*")})


def _number(text: str, pattern: str, *, default: int | None = None) -> int:
    found = re.search(pattern, text)
    if found is not None:
        return int(found[1])
    if default is None:
        raise ValueError(f"'{text}' holds no number of the form {pattern}")
    return default


def _memories(prefix: str, memory: FrameMemory) -> dict[str, Tensor]:
    filled = enumerate(memory.slots)
    return {f"{prefix}{slot}": value for slot, value in filled if value is not None}


def _dtype(file: GoldenFile) -> torch.dtype:
    return torch.bfloat16 if file.metadata["dtype"].endswith("bfloat16") else torch.float32


def _recipe(file: GoldenFile) -> str:
    """The one recipe that the file names."""
    (name,) = file.json("weight_files")
    return str(name).removeprefix("recipe:")


def _wan_width(file: GoldenFile) -> int:
    config = file.json("config")
    if tuple(config["dim_mult"]) != MULTIPLIERS:
        raise ValueError(f"WanVAE with level widths {config['dim_mult']}, not {list(MULTIPLIERS)}")
    return int(config["dim"])


def _pixels(file: GoldenFile, key: str) -> Tensor:
    """uint8 [C,T,H,W] -> [1,C,T,H,W] in [-1,1]."""
    return (file.tensors[key].float() / 255 * 2 - 1)[None].to(_dtype(file))


def _mask(file: GoldenFile, key: str) -> Tensor:
    """uint8 [1,T,H,W] -> [1,1,T,H,W] in [0,1]."""
    return (file.tensors[key].float() / 255)[None].to(_dtype(file))


def _first_frames(file: GoldenFile, frames: int) -> Tensor:
    """A first chunk of `frames` frames: the pixels of chunk 1."""
    return _pixels(file, "encode/chunk1/pixels_u8")[:, :, :frames]

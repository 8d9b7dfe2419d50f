"""The specification's operator sums (its section 17) for any depth, and the published counts.

The published profile is of one inpainting chunk before the first eviction, at 30 and 15 blocks.
"""

FORWARDS = 5
HINTED = 4  # forwards with a VACE context
FIRST_FULL_CHUNK = 4  # from here on the cache rolls in the first step

PUBLISHED = {
    "aten::addmm": 1894,
    "aten::mm": 2400,
    "sageattn": 150,
    "flex_attention": 60,
    "aten::convolution": 114,
    "aten::cat": 1888,
    "aten::mul": 4240,
    "aten::item": 846,
    "aten::_to_copy": 2261,
    "aten::copy_": 3361,
}


def spec_counts(mode: str, chunk: int, *, blocks: int, vace_blocks: int) -> dict[str, int | None]:
    """Operator -> calls in chunk `chunk`; None where the specification states no sum.

    `mode` is inpainting, depth or text. Each term names what it counts.
    """
    conditioned = mode != "text"
    first = chunk == 0
    full = chunk >= FIRST_FULL_CHUNK
    base = FORWARDS * blocks
    vace = HINTED * vace_blocks if conditioned else 0
    hinted = HINTED if conditioned else 0
    sums = {
        # 8 linears a base block, 11 a VACE block and before_proj, 6 a forward
        "aten::addmm": base * 8 + vace * 11 + hinted + FORWARDS * 6 + 2 * blocks * first,
        "aten::mm": base * 8 * 2 + 4 * blocks * first,  # LoRA A and B
        "sageattn": base,
        "flash_attention": base + vace,
        "flex_attention": vace,
        "aten::convolution": _convolutions(conditioned, first),
        "aten::cat": _cats(mode, base, vace, hinted, first),
        "aten::mul": _muls(base, vace, conditioned, first, blocks),
        "aten::item": _items(blocks, vace, conditioned, full, first),
        "aten::_to_copy": _casts(base, vace, conditioned, first, blocks),
    }
    return {**sums, "aten::copy_": _copies(mode, sums, blocks, first, full)}


def _convolutions(conditioned: bool, first: bool) -> int:
    encoders = 2 * 35 + HINTED if conditioned else 0  # two streams, VACE patch embeddings
    return encoders + 35 + FORWARDS + 35 * first  # decoder, patch embeddings; decoder run twice


def _cats(mode: str, base: int, vace: int, hinted: int, first: bool) -> int:
    per_call = base * 8 + vace * 9 + vace + hinted * 2  # attention, hint stacks, context pads
    chunk = FORWARDS * 6 + 1  # tokens, sinusoid, text twice, grid, output; recache buffer
    streams = {"text": 0, "inpainting": 18 + 9, "depth": 18 + 18}[mode]
    if first and streams:
        streams = 9 + 9  # no memory yet
    decoder = 9 + 18 + 1 if first else 18
    assembly = 4 if hinted else 0
    return per_call + chunk + streams + decoder + assembly + first  # first: the blend's stack


def _muls(base: int, vace: int, conditioned: bool, first: bool, blocks: int) -> int:
    per_call = 22 * base + 14 * vace + vace  # blocks, VACE blocks, hints
    per_chunk = 3 * FORWARDS + 5 + 6 + 8 + 1 + 1 + (4 if conditioned else 0)
    # First chunk: scaling and norm of the text keys, a second decoder run, the blend of prompts.
    return per_call + per_chunk + (4 * blocks + 1 + 3) * first


def _items(blocks: int, vace: int, conditioned: bool, full: bool, first: bool) -> int:
    per_block = 28 if full else 26  # index reads and one CPU read a forward
    return blocks * per_block + vace + FORWARDS + (1 if conditioned else 0) + 2 * first


def _casts(base: int, vace: int, conditioned: bool, first: bool, blocks: int) -> int:
    per_chunk = FORWARDS * 7 + 3 + 1 + (2 if conditioned else 0)
    return 10 * base + 12 * vace + per_chunk + (2 * blocks + 1) * first


def _copies(mode: str, sums: dict[str, int], blocks: int, first: bool, full: bool) -> int | None:
    """Casts, cache clones and writes, rolls, Sage output, TAE, unpatchify, mask, step list."""
    if first or mode == "text":
        return None  # the specification states none
    base = FORWARDS * blocks
    zero_shift = 9 if mode == "inpainting" else 0
    rest = 27 + zero_shift + FORWARDS + 1 + 1
    return sums["aten::_to_copy"] + 7 * base + rest + (8 * blocks if full else 0)

"""The table of docs/gpus.md: which case runs on a GPU of which memory, by the memory model.

    python -m harness.host.fit_table

Each row is a case, each column a card. A cell says "yes", or the largest smaller frame, else the
largest smaller window and frame, that would fit.
"""

from msgspec.structs import replace

from harness.arms import BASE_ARM
from harness.cost_fit import gib, offers
from harness.cost_memory import GIB, memory_need
from harness.expansion import Settings, expand
from harness.matrices import MATRICES
from harness.matrix import Case
from harness.variants import FASTEST, LOSSLESS

CARDS_GB = (8, 12, 16, 24, 48, 80)
USABLE_SHARE = 0.95  # of the memory in a card's name; the driver and a desktop have the rest
PLAIN = Case(
    kind="e2e", mode="inpainting", preset="full", width_px=512, height_px=512, device="cuda"
)


def rows() -> dict[str, Case]:
    """Cases by what the table calls them."""
    fixes = {
        case.id: case for case in expand(MATRICES["fixes"], Settings(preset="full", device="cuda"))
    }
    return {
        "a chunk end to end, 512x512 (quick, full)": PLAIN,
        "the same, text only": replace(PLAIN, mode="text"),
        "the same, 832x480": replace(PLAIN, width_px=832, height_px=480),
        "the same, WanVAE": replace(PLAIN, vae="wanvae"),
        f"variant `{LOSSLESS}` end to end": replace(PLAIN, variant=LOSSLESS),
        f"variant `{FASTEST}` end to end": replace(PLAIN, variant=FASTEST),
        f"`{BASE_ARM}` against `{LOSSLESS}` in one process": replace(
            PLAIN, kind="paired", arms=(BASE_ARM, LOSSLESS)
        ),
        "`paired-inpainting-stack` of matrix fixes": fixes["paired-inpainting-stack"],
        "`quality-inpainting-stack` of matrix fixes": fixes["quality-inpainting-stack"],
    }


def table() -> str:
    """Markdown."""
    heads = ("case", "needs", *(f"{card} GB" for card in CARDS_GB))
    lines = [_line(heads), _line(["---"] * len(heads))]
    for name, case in rows().items():
        cells = [_cell(case, int(card * USABLE_SHARE * GIB)) for card in CARDS_GB]
        lines.append(_line((name, gib(memory_need(case).least_bytes), *cells)))
    return "\n".join(lines) + "\n"


def _cell(case: Case, free_bytes: int) -> str:
    if memory_need(case).least_bytes <= free_bytes:
        return "yes"
    found = offers(case, free_bytes)
    return found[0].words.removeprefix("size ") if found else "no"


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(table(), end="")

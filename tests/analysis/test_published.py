from decimal import Decimal

import pytest

from harness.analysis import published


def test_the_published_figures_give_the_corrected_vace_share() -> None:
    corrected = (
        4 * published.VACE_FORWARD.value
        + published.ENCODE_DUAL.value
        + 4 * published.PATCH_EMBEDDING.value
    )
    assert round(corrected) == published.VACE_CORRECTED.value
    share = published.VACE_CORRECTED.value / published.CHUNK.value * 100
    assert abs(share - published.VACE_CORRECTED_SHARE.value) < Decimal("0.05")


def test_the_published_share_counts_one_forward() -> None:
    share = published.VACE_FORWARD.value / published.CHUNK.value * 100
    assert round(share, 1) == published.VACE_FORWARD_SHARE.value


@pytest.mark.parametrize(
    ("figure", "stated"),
    [
        (published.ENCODE_END_TO_END_HIGH, "9.0 ms"),
        (published.VACE_OVERHEAD, "about 52 ms"),
        (published.COMPILE_GAIN, "under 2 %"),
    ],
)
def test_figures_keep_their_stated_digits(figure: published.Figure, stated: str) -> None:
    assert figure.stated == stated


def test_every_figure_names_its_source() -> None:
    assert all(figure.source for figure in published.FIGURES.values())
    assert all(name == figure.name for name, figure in published.FIGURES.items())


def test_a_full_cache_reads_sixty_more_items() -> None:
    item = next(row for row in published.OPERATORS if row.name == "aten::item")
    assert item.published == 846
    assert item.steady("inpainting") == 906
    assert item.steady("text") == 845

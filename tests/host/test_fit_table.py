from pathlib import Path

from harness.host.fit_table import CARDS_GB, rows, table

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_documented_table_is_that_of_the_model() -> None:
    """`python -m harness.host.fit_table` prints it anew."""
    assert table() in (DOCS / "gpus.md").read_text()


def test_every_row_has_a_cell_for_each_card_and_larger_cards_run_more() -> None:
    _, _, *lines = table().splitlines()
    assert len(lines) == len(rows())
    for line in lines:
        _, needed, *cells = line.strip("| ").split(" | ")
        assert needed.endswith("GiB") and len(cells) == len(CARDS_GB)
        assert sorted(cell == "yes" for cell in cells) == [cell == "yes" for cell in cells]

"""harness.matrix: what belongs together in a case, and the order of processes."""

import pytest

from harness.matrix import schedule
from tests import samples


@pytest.mark.parametrize(
    "changes", [{"mode": "own"}, {"pipeline": "mine"}, {"mode": "own", "pipeline": "mine"}]
)
def test_mode_name_and_hash_of_a_pipeline_belong_together(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="belong together"):
        samples.case(**changes)


def test_processes_run_in_rounds_of_alternating_direction() -> None:
    thrice, once, twice = (
        samples.case(mode=mode, processes=count)
        for mode, count in (("inpainting", 3), ("depth", 1), ("text", 2))
    )
    order = [(one.case.mode, one.number) for one in schedule([thrice, once, twice])]
    assert order == [
        ("inpainting", 0),
        ("depth", 0),
        ("text", 0),
        ("text", 1),
        ("inpainting", 1),
        ("inpainting", 2),
    ]
    assert [one.label for one in schedule([once, twice])][:2] == [
        "e2e-depth-eager",
        "e2e-text-eager (process 1)",
    ]

"""What torch.compile covers, and what of it no compiler can fuse."""

import pytest

from harness.analysis.compile_cover import cover, covered_ms, is_covered, library_kind
from tests.analysis.profiled import CASES, COMPILED, eager, plain, steady
from tests.records import build


def test_covered_time_is_that_of_the_branch_without_its_padding() -> None:
    result = plain(eager())
    found = cover(result)
    assert found is not None
    branch_ms = sum(part.device_ms for part in steady(result).parts if is_covered(part.part))
    assert found.covered_ms == pytest.approx(branch_ms)
    assert list(found.library_ms) == ["products", "attention", "convolutions"]
    assert found.fusible_ms == pytest.approx(branch_ms - sum(found.library_ms.values()))
    assert found.busy_ceiling < found.covered_share < 1
    gained_ms = found.fusible_ms + min(found.host_ms, found.idle_ms)
    assert found.wall_ceiling == pytest.approx(gained_ms / found.wall_ms)


def test_a_compiled_branch_takes_less() -> None:
    before, after = covered_ms(eager()), covered_ms(build.result(CASES[COMPILED]))
    assert before is not None and after is not None
    assert after[1] < before[1]


def test_without_a_branch_there_is_nothing_to_cover() -> None:
    assert cover(build.result(CASES["e2e-text-eager"])) is None
    assert cover(build.change(eager(), profile=None)) is None


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("aten::addmm", "products"),
        ("aten::cudnn_convolution", "convolutions"),
        ("triton_tem_fused_0", "attention"),
        ("triton_poi_fused_0", None),
        ("aten::mul", None),
    ],
)
def test_library_kernels(operator: str, kind: str | None) -> None:
    assert library_kind(operator) == kind

"""Every variant that claims float32 equality reproduces the golden files; the wrong ones do not."""

from pathlib import Path

import pytest

from harness.variants import FIXES, WRONG, Fix
from harness.workload.conformance import check_file, main
from harness.workload.conformance_subject import Subject

GOLDEN = Path(__file__).parents[2] / "golden"
COMPILED = ("tae-compiled", "wan-compiled", "compiled-blocks", "fused-keys", "one-pass-rows")
PORTABLE = [fix.name for fix in FIXES.values() if fix.claim == "float32" and not fix.gpu_only]
QUICK = [name for name in PORTABLE if name not in COMPILED]


def problems(name: str, variant: str) -> list[str]:
    return check_file(GOLDEN / f"{name}.safetensors", Subject(variant)).problems


@pytest.mark.parametrize("variant", QUICK)
def test_a_variant_reproduces_forwards_and_where_it_matters_the_loop(variant: str) -> None:
    name = "loop_depth_hardcut" if variant.startswith(("tae", "lean")) else "dit_lora"
    assert problems(name, variant) == []


def test_all_quick_fixes_together_reproduce_every_file() -> None:
    together = "+".join(QUICK)
    files = [path.stem for path in GOLDEN.glob("*.safetensors")]
    chosen = [name for name in files if name.startswith(("dit_", "loop_"))]
    assert chosen
    assert {name: problems(name, together) for name in chosen} == {name: [] for name in chosen}


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_dynamo")
@pytest.mark.parametrize("halves", ["compiled-blocks", "fused-keys", "fused-keys+one-pass-rows"])
def test_compiled_halves_reproduce_forwards_with_and_without_hints(halves: str) -> None:
    assert problems("dit_lora", f"{halves}+lora-merged+fused-qkv+ring-cache+once") == []


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("wrong-ring-slot", "dit_stream_6_3"),
        ("wrong-no-lora", "dit_lora"),
        ("wrong-stale-text", "loop_text_recache"),
    ],
)
def test_a_wrong_variant_is_caught(variant: str, name: str) -> None:
    assert variant in WRONG
    assert problems(name, variant) != []


def test_what_a_cpu_cannot_examine_is_named() -> None:
    subject = Subject("lossless")
    assert all(isinstance(fix, Fix) for fix in subject.fixes)
    assert "not examined here: " in subject.description
    assert "graph-chunk" in subject.description.partition("not examined here")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--variant", "ring-cash"], "unknown variant 'ring-cash'"),
        (["--variant", "ring-cache", "--device", "cuda"], "no GPU can be used here"),
    ],
)
def test_a_bad_question_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(GOLDEN), *arguments]) == 2
    assert said in capsys.readouterr().err

import json
from pathlib import Path

import pytest

from harness.analysis.operators import (
    attribution_is_off,
    calls_of,
    copies_of,
    family_times,
    unattributed_ms,
)
from harness.record_parts import CountPass, Kernel, Operator

RECORDS = Path(__file__).parents[1] / "records"


def count_pass(
    operators: list[tuple[str, int, float | None]], kernels: list[tuple[str, int, float]]
) -> CountPass:
    return CountPass(
        chunk=6,
        operators=[Operator(name=n, calls=c, device_ms=t) for n, c, t in operators],
        kernels=[Kernel(name=n, calls=c, device_ms=t) for n, c, t in kernels],
        attention_kernels={},
    )


NESTED = [
    ("aten::conv3d", 9, 0.0),
    ("aten::convolution", 114, 0.0),
    ("aten::_convolution", 114, 0.0),
    ("aten::cudnn_convolution", 114, 13.0),
    ("aten::addmm", 1894, 78.0),
    ("sageattn", 150, 111.0),
    ("aten::to", 5000, 0.0),
    ("aten::_to_copy", 2414, 0.0),
    ("aten::copy_", 3753, 51.0),
    ("aten::roll", 3, 2.0),
    ("(no operator)", 4, 1.0),
]


def test_nested_operators_are_counted_once_and_their_time_adds_up() -> None:
    families = {row.name: row for row in family_times(count_pass(NESTED, []))}
    assert (families["convolution"].calls, families["convolution"].device_ms) == (114, 13.0)
    assert (families["copy"].calls, families["copy"].device_ms) == (3753, 51.0)
    assert families["SageAttention"].calls == 150
    assert families["other"].calls is None
    assert families["other"].device_ms == pytest.approx(3.0)
    assert sum(row.share or 0.0 for row in families.values()) == pytest.approx(1.0)


def test_products_and_attention_in_fp8_and_products_with_gelu_are_not_the_rest() -> None:
    found = [("aten::_addmm_activation", 209, 27.0), ("aten::_scaled_mm", 1319, 47.0)]
    found += [("cudnn_fp8", 149, 37.0), ("aten::addmm", 1110, 49.0)]
    families = {row.name: row for row in family_times(count_pass(found, []))}
    linears = families["addmm (linears with bias)"]
    assert (linears.calls, linears.device_ms) == (1319, 76.0)
    assert families["FP8 products"].calls == 1319
    assert families["FP8 attention"].device_ms == 37.0
    assert "other" not in families


def test_families_are_ordered_by_time_with_the_rest_last() -> None:
    names = [row.name for row in family_times(count_pass(NESTED, []))]
    assert names[0] == "SageAttention"
    assert names[-1] == "other"


def test_a_triton_template_is_flex_and_other_triton_is_compiled() -> None:
    operators = [("triton_tem_fused_0", 60, 10.0), ("triton_poi_fused_add_1", 60, 1.0)]
    rows = {row.name: row.device_ms for row in family_times(count_pass(operators, []))}
    assert rows == {"flex_attention": 10.0, "compiled by inductor": 1.0}


def test_a_cpu_has_calls_and_no_time() -> None:
    rows = family_times(count_pass([("aten::mm", 2400, None)], []))
    assert [(row.calls, row.device_ms, row.share) for row in rows] == [(2400, None, None)]


def test_agreement_of_operators_and_kernels() -> None:
    agreeing = count_pass([("aten::mm", 1, 100.0)], [("gemm", 1, 100.5)])
    assert not attribution_is_off(agreeing)
    missing = count_pass([("aten::mm", 1, 90.0)], [("gemm", 1, 100.0)])
    assert attribution_is_off(missing)
    assert unattributed_ms(missing) == pytest.approx(10.0)
    twice = count_pass([("aten::mm", 1, 110.0)], [("gemm", 1, 100.0)])
    assert attribution_is_off(twice)
    on_cpu = count_pass([("aten::mm", 1, None)], [])
    assert unattributed_ms(on_cpu) is None
    assert not attribution_is_off(on_cpu)


def test_looking_up_an_operator_and_a_copy() -> None:
    counts = count_pass(
        [("aten::mm", 2400, 1.0)],
        [("Memcpy DtoD (Device -> Device)", 2068, 1.0), ("Memcpy DtoH", 906, 0.1)],
    )
    assert calls_of(counts, "aten::mm") == (2400, 0)
    assert calls_of(counts, "aten::bmm") is None
    assert copies_of(counts, "Memcpy DtoD") == (2068, (0,))
    assert copies_of(counts, "Memcpy HtoD") is None


def test_operator_names_of_a_real_gpu_fall_into_their_families() -> None:
    stored = json.loads((RECORDS / "h200_operators.json").read_text())["operators"]
    rows = [(entry["name"], entry["calls"], entry["device_ms"]) for entry in stored]
    families = {row.name: row for row in family_times(count_pass(rows, []))}
    total_ms = sum(time_ms for _, _, time_ms in rows)
    assert families["other"].device_ms == pytest.approx(0, abs=0.005 * total_ms)
    assert families["flex_attention"].device_ms == pytest.approx(10.4, abs=0.1)
    assert families["SDPA attention"].device_ms == pytest.approx(5.4, abs=0.1)
    assert families["convolution"].device_ms == pytest.approx(13.4, abs=0.1)
    assert sum(row.device_ms or 0.0 for row in families.values()) == pytest.approx(total_ms)

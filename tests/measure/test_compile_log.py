import pytest
import torch

from harness.measure import compile_log
from harness.measure.compile_log import CompileSnapshot, keep_all_metrics, work_done


@pytest.fixture(autouse=True)
def fresh_dynamo() -> None:
    torch._dynamo.reset()
    keep_all_metrics()


def test_a_first_compilation_is_work_and_a_second_call_is_not() -> None:
    double = torch.compile(lambda x: x * 2, backend="eager", dynamic=False)
    before = work_done()
    double(torch.ones(3))
    compiled = work_done()
    double(torch.ones(3))
    assert compiled > before
    assert work_done() == compiled


def test_graphs_breaks_and_recompiles_are_counted_with_reasons() -> None:
    def broken(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        if y.sum().item() > 0:
            return y + 1
        return y - 1

    before = CompileSnapshot.now()
    compiled = torch.compile(broken, backend="eager", dynamic=False)
    compiled(torch.ones(3))
    compiled(torch.ones(4))
    stats = CompileSnapshot.now().stats_since(before, {"broken": 0.25})
    assert stats.cold_s == {"broken": 0.25}
    assert stats.graphs >= 2
    assert stats.graph_breaks >= 1
    assert stats.break_reasons
    assert stats.recompiles >= 1
    assert any("size mismatch" in reason for reason in stats.recompile_reasons)
    assert all("\n" not in reason for reason in stats.break_reasons + stats.recompile_reasons)


def test_what_happened_before_is_left_out() -> None:
    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2))
    before = CompileSnapshot.now()
    stats = CompileSnapshot.now().stats_since(before, {})
    assert (stats.graphs, stats.graph_breaks, stats.recompiles) == (0, 0, 0)


def test_a_torch_that_does_not_count_recompiles_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_log, "RECOMPILE_FIELD", "of_no_such_name")
    before = CompileSnapshot.now()
    stats = CompileSnapshot.now().stats_since(before, {})
    assert stats.recompile_reasons == ["this torch does not count recompiles"]

"""harness.analysis.vae_choice: a made-up run whose truth is known, and one recorded on an H200."""

from pathlib import Path

import msgspec
import pytest

from harness.analysis.vae_choice import VaeForm, vae_forms
from harness.result import Result
from harness.store import RunFolder
from tests.report import made_limit

RECORDED = Path(__file__).parents[2] / "reports" / "nvidia-h200" / "20261128-180243-vae"
Processes = dict[str, list[Result]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Processes:
    reports = tmp_path_factory.mktemp("reports")
    return RunFolder(made_limit.run(reports, name="vae")).load().processes


@pytest.fixture(scope="module")
def recorded() -> dict[tuple[str, str], VaeForm]:
    """Of the first three processes of each: the run may go on."""
    processes = RunFolder(RECORDED).load().processes
    found = vae_forms({case: results[:3] for case, results in processes.items()})
    return {(one.form, one.vae): one for one in found}


def test_the_autoencoders_are_compared_form_by_form(made: Processes) -> None:
    forms = vae_forms(made)
    assert [(one.form, one.vae) for one in forms] == [
        (form, vae)
        for form in ("as it is", "compiled", "in the stack")
        for vae in ("tae", "wanvae")
    ]
    wan = forms[1]
    assert wan.wall_over_tae is not None and wan.busy_over_tae is not None
    assert (wan.wall_over_tae.call, wan.busy_over_tae.call) == ("slower", "slower")
    assert wan.wall_over_tae.ratio.value == pytest.approx(made_limit.WAN_FACTOR, rel=0.02)
    assert wan.busy_over_tae.ratio.value == pytest.approx(made_limit.WAN_BUSY_FACTOR, rel=0.001)
    assert wan.encode_ms is not None and wan.decode_ms is not None
    for tae in forms[::2]:
        assert (tae.wall_over_tae, tae.busy_over_tae) == (None, None)


def test_the_parts_of_a_chunk_in_one_graph_are_not_known(made: Processes) -> None:
    stack = {one.vae: one for one in vae_forms(made) if one.form == "in the stack"}
    assert (stack["tae"].encode_ms, stack["tae"].decode_ms) == (None, None)
    assert stack["wanvae"].encode_ms is not None  # its graph holds the loop alone


def test_one_autoencoder_alone_is_no_choice(made: Processes) -> None:
    assert len(made) == 2
    for case in made:
        assert vae_forms({case: made[case]}) == []


def test_without_busy_times_of_both_wall_time_alone_is_compared(made: Processes) -> None:
    for gone in ("tae", "wanvae"):
        less = {
            case: [_idle(one) if one.case.vae == gone else one for one in results]
            for case, results in made.items()
        }
        for one in vae_forms(less):
            assert one.busy_over_tae is None
            assert (one.wall_over_tae is not None) == (one.vae == "wanvae")


def _idle(result: Result) -> Result:
    return msgspec.structs.replace(result, busy=[])


def test_a_busy_host_blurs_wall_time_and_not_gpu_busy_time(
    recorded: dict[tuple[str, str], VaeForm],
) -> None:
    wan = recorded["as it is", "wanvae"]
    assert wan.wall_over_tae is not None and wan.busy_over_tae is not None
    wall, busy = wan.wall_over_tae.ratio, wan.busy_over_tae.ratio
    assert wall.value == pytest.approx(1.657, abs=0.001)
    assert busy.value == pytest.approx(1.714, abs=0.001)
    assert wall.low is not None and wall.high is not None
    assert busy.low is not None and busy.high is not None
    assert wall.low < busy.low < busy.high < wall.high
    assert busy.high - busy.low < 0.02 < 0.5 < wall.high - wall.low


def test_the_recorded_parts_make_the_difference(
    recorded: dict[tuple[str, str], VaeForm],
) -> None:
    """GPU-busy time differs by what encode and decode take more on the device."""
    for form in ("as it is", "compiled"):
        tae, wan = recorded[form, "tae"], recorded[form, "wanvae"]
        assert tae.times.busy is not None and wan.times.busy is not None
        more_ms = wan.times.busy.value - tae.times.busy.value
        assert more_ms == pytest.approx(_parts_ms(wan) - _parts_ms(tae), rel=0.03)
    assert recorded["in the stack", "tae"].encode_ms is None


def _parts_ms(one: VaeForm) -> float:
    assert one.encode_ms is not None and one.decode_ms is not None
    return one.encode_ms + one.decode_ms

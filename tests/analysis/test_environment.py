import pytest

from harness.analysis.environment import (
    MUST_MATCH,
    Environment,
    asked_by_cases,
    check_across,
    check_comparable,
    covered,
    differences,
    environment,
    parse_across,
)
from harness.errors import UsageError
from harness.matrix import Case
from harness.result import Fact
from tests import samples


def facts(**values: str | int | bool | None) -> Environment:
    return {key.replace("__", "."): Fact(value=value) for key, value in values.items()}


def roles(a: Environment, b: Environment, *asked: str) -> dict[str, str]:
    return {one.key: one.role for one in differences(a, b, asked)}


def test_equal_environments_do_not_differ() -> None:
    here = environment(samples.manifest(), [samples.result()])
    assert differences(here, here) == []


def test_an_environment_holds_the_case_the_runtime_the_clips_and_the_facts() -> None:
    plan = samples.manifest(facts={"git.commit": Fact(value="ab")}, runtime="docker")
    found = environment(plan, [samples.result()])
    assert found["case.preset"].value == "tiny" and found["case.width_px"].value == 64
    assert found["runtime"].value == "container"
    assert found["clip.video"].value == "ab" * 32
    assert found["torch"].value == "2.13.0" and found["git.commit"].value == "ab"


def test_a_bare_case_of_a_container_run_is_bare() -> None:
    case = samples.case(bare=True)
    plan = samples.manifest(case, runtime="docker")
    assert environment(plan, [samples.result(case)])["runtime"].value == "bare"


def test_processes_that_disagree_are_all_named() -> None:
    two = [samples.result(provenance={"gpu.name": Fact(value=name)}) for name in ("H100", "H200")]
    assert environment(samples.manifest(), two)["gpu.name"].value == "H100, H200"


@pytest.mark.parametrize("key", list(MUST_MATCH))
def test_a_key_that_must_match_is_refused_or_asked_for(key: str) -> None:
    a, b = {key: Fact(value="x")}, {key: Fact(value="y")}
    assert [one.role for one in differences(a, b)] == ["refused"]
    assert [one.role for one in differences(a, b, [key.partition(".")[0]])] == ["asked"]
    assert MUST_MATCH[key]


@pytest.mark.parametrize("key", ["gpu.driver", "cpu.model", "git.commit", "image.id", "os.kernel"])
def test_other_keys_are_only_shown(key: str) -> None:
    assert [one.role for one in differences({key: Fact(value=1)}, {key: Fact(value=2)})] == [
        "shown"
    ]


def test_what_only_one_side_records_proves_no_difference() -> None:
    assert roles(facts(gpu__name="H200"), {}) == {"gpu.name": "shown"}
    assert roles(facts(gpu__name=None), {}) == {}


def test_not_available_differs_from_a_value() -> None:
    assert roles(facts(package__triton=None), facts(package__triton="3")) == {
        "package.triton": "refused"
    }
    one = {"torch.cuda": Fact(value=None, reason="a")}
    assert differences(one, {"torch.cuda": Fact(value=None, reason="b")}) == []


def test_a_state_is_no_environment() -> None:
    assert roles(facts(gpu__idle__power_mw=1), facts(gpu__idle__power_mw=2)) == {}


def test_a_prefix_covers_whole_parts_only() -> None:
    assert covered("gpu.name", ("gpu",)) and covered("gpu", ("gpu",))
    assert not covered("gpus.name", ("gpu",)) and not covered("gpu.name_long", ("gpu.name",))


def cases(**changes: object) -> tuple[Case, Case]:
    return samples.case(), samples.case(**changes)


def test_two_named_cases_ask_for_their_fields_and_what_follows() -> None:
    assert asked_by_cases(*cases(attention="sdpa")) == ["case.attention", "attention"]
    assert asked_by_cases(*cases(compiled=True)) == ["case.compiled"]
    assert asked_by_cases(*cases(mode="depth")) == ["case.mode", "clip"]
    assert asked_by_cases(*cases()) == []


def test_two_named_cases_do_not_ask_for_size_or_preset() -> None:
    assert asked_by_cases(*cases(width_px=96)) == []
    assert asked_by_cases(*cases(preset="full", vae="wanvae")) == ["case.vae", "weights"]


def test_the_refusal_names_every_key_with_both_values_and_the_way_out() -> None:
    found = differences(
        facts(gpu__name="H100", torch__version="2", cpu__model="x"),
        facts(gpu__name="H200", torch__version="3", cpu__model="y"),
    )
    with pytest.raises(UsageError) as caught:
        check_comparable(found, "A (one)", "B (two)")
    line = caught.value.line
    assert "A (one) and B (two) cannot be compared" in line
    assert "gpu.name: H100 against H200" in line and "torch.version: 2 against 3" in line
    assert "--across gpu.name,torch.version" in line and "cpu.model" not in line


def test_nothing_refused_raises_nothing() -> None:
    check_comparable(differences(facts(cpu__model="x"), facts(cpu__model="y")), "A", "B")


def test_across_is_a_list_of_known_keys() -> None:
    assert parse_across(None) == ()
    assert parse_across("gpu, torch.version") == ("gpu", "torch.version")
    check_across(["gpu"], [facts(gpu__name="H100")])
    with pytest.raises(UsageError, match="empty key"):
        parse_across("gpu,,torch")
    with pytest.raises(UsageError, match=r"'gpus' is no key.*begin with gpu"):
        check_across(["gpus"], [facts(gpu__name="H100")])


def test_the_order_of_processes_is_no_difference() -> None:
    one, other = (samples.result(provenance=facts(gpu__uuid_hash=value)) for value in ("ab", "cd"))
    here, there = (
        environment(samples.manifest(), results) for results in ([one, other], [other, one])
    )
    assert here["gpu.uuid_hash"].value == "ab, cd"
    assert differences(here, there) == []

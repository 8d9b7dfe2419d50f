import pytest

from harness.host.engine_traits import EngineTraits
from harness.host.lockdown import lockdown_fact, memory_limit
from tests.host.trees import machine


def traits(name: str) -> EngineTraits:
    return EngineTraits.of(machine(name))


def test_docker_and_podman_are_told_apart() -> None:
    assert (traits("docker-27-plain").name, traits("docker-27-plain").version) == (
        "Docker",
        (27, 5),
    )
    assert (traits("podman-4.3").name, traits("podman-4.3").version) == ("Podman", (4, 3))
    assert EngineTraits.of({}).version is None


@pytest.mark.parametrize(
    ("name", "knows"),
    [
        ("docker-20.10-cgroup-v1", False),
        ("docker-desktop-wsl2-unlisted", False),
        ("docker-27-plain", True),
        ("podman-4.3", False),
        ("podman-5-selinux", True),
    ],
)
def test_which_engines_take_a_request_for_cdi(name: str, knows: bool) -> None:
    assert traits(name).knows_cdi is knows


def test_desktop_wsl_rootless_userns_and_selinux() -> None:
    assert traits("docker-desktop-wsl2").is_desktop and traits("docker-desktop-wsl2").is_wsl
    assert traits("docker-desktop-linux").is_desktop and not traits("docker-desktop-linux").is_wsl
    assert traits("docker-rootless-cgroup-v2").is_rootless
    assert traits("docker-20.10-userns-remap").remaps_users
    assert traits("podman-5-selinux").has_selinux
    ordinary = traits("docker-27-plain")
    assert not (ordinary.is_rootless or ordinary.remaps_users or ordinary.has_selinux)


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("docker-27-plain", "builtin"),
        ("docker-20.10-cgroup-v1", "default"),
        ("docker-unconfined", None),
        ("docker-kernel-without-seccomp", None),
    ],
)
def test_the_filter_of_system_calls(name: str, profile: str | None) -> None:
    assert traits(name).seccomp == profile


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("docker-27-plain", []),
        ("docker-20.10-cgroup-v1", []),
        ("docker-rootless-cgroup-v2", []),
        ("docker-rootless-no-cgroup", ["memory", "processes"]),
        ("podman-5-rootless-cgroup-v1", ["memory", "processes"]),
    ],
)
def test_a_limit_that_is_ignored_is_not_claimed(name: str, ignored: list[str]) -> None:
    information = machine(name)
    assert traits(name).ignored_limits == ignored
    claimed = str(lockdown_fact(information).value)
    if ignored:
        assert "the engine enforces no limit of memory and processes" in claimed
        assert memory_limit(information).value is None
    else:
        assert claimed.endswith("user 1000, limits of processes and memory")
        assert memory_limit(information).value is not None

import torch

from harness.measure.host_speed import HostSpeed, SpeedProbe, mean_speed


def test_this_host_has_a_speed() -> None:
    probe = SpeedProbe(torch.device("cpu"))
    speeds = [probe.measure() for _ in range(5)]
    assert all(20 < speed.loop_us < 1e5 for speed in speeds)
    assert all(0.05 < speed.operator_us < 1e4 for speed in speeds)


def test_a_block_has_the_mean_of_its_two_ends() -> None:
    assert mean_speed(HostSpeed(100.0, 2.0), HostSpeed(300.0, 5.0)) == HostSpeed(200.0, 3.5)

"""Where a bench runs: here or on each of several hosts, on one GPU or on several."""

from collections.abc import Callable
from pathlib import Path

from harness.errors import UsageError
from harness.host.gpus_at_once import each_its_own, gpus_of, one_for_all
from harness.host.hosts import hosts_of, on_each
from harness.host.options import Given
from harness.host.ready import Place
from harness.host.screen import Screen

AT_ONCE = {"parallel": each_its_own, "split": one_for_all}


def spread(
    given: Given, place: Place, screen: Screen, run: Callable[[Given], Path], *, dry: bool
) -> None:
    """Calls `run` for each host or GPU that the options name, in turn; at once by benches of ours.

    Raises HarnessError.
    """
    ways = [name for name in AT_ONCE if given.get(name)]
    given = {name: value for name, value in given.items() if name not in AT_ONCE}
    hosts, gpus = hosts_of(given), gpus_of(given)
    several = len(hosts) > 1 or bool(gpus)
    if dry and several:
        raise UsageError(
            "a dry run is of one host and GPU", next_step="name them with --host and --gpu"
        )
    if len(hosts) > 1 and gpus:
        raise UsageError(
            "several GPUs of several hosts are too much at a time", next_step="name one host"
        )
    if ways and not (gpus and len(ways) == 1):
        raise UsageError(
            f"--{' and --'.join(ways)}: one of them is a way to use several GPUs",
            next_step="write --gpu all --parallel or --gpu all --split",
        )
    if ways:
        AT_ONCE[ways[0]](gpus, given, place.project, place.reports, screen)
    elif gpus:
        on_each("gpu", gpus, given, screen, run)
    elif len(hosts) > 1:
        on_each("host", hosts, given, screen, run)
    else:
        run(given)

"""Where a bench runs: here or on several hosts, on one GPU or on several, in turn or at once."""

from collections.abc import Callable
from pathlib import Path

from harness.errors import UsageError
from harness.host.gpus_at_once import each_its_own, gpus_of, one_for_all
from harness.host.hosts import Compare, Kind, hosts_of, on_each
from harness.host.options import Given
from harness.host.ready import Place
from harness.host.screen import Screen

AT_ONCE = ("parallel", "split")


def spread(
    given: Given,
    place: Place,
    screen: Screen,
    run: Callable[[Given], Path],
    compare: Compare,
    *,
    dry: bool,
) -> None:
    """Calls `run` for each host or GPU that the options name, in turn; at once by benches of ours.

    Several runs are compared at the end. Raises HarnessError.
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
    if len(ways) > 1 or (ways and not several) or (len(hosts) > 1 and "split" in ways):
        raise UsageError(
            f"--{' and --'.join(ways)} does not go with the hosts and GPUs that are named",
            next_step="write --gpu all --split, --gpu all --parallel or --host A,B --parallel",
        )
    if "split" in ways:
        one_for_all(gpus, given, place, screen)
    elif ways:
        what: Kind = "gpu" if gpus else "host"
        each_its_own(what, gpus or hosts, given, place, screen, compare)
    elif gpus:
        on_each("gpu", gpus, given, screen, run, compare)
    elif len(hosts) > 1:
        on_each("host", hosts, given, screen, run, compare)
    else:
        run(given)

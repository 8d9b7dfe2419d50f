"""Where a bench runs: here or on several hosts, on one GPU or on several, in turn or at once."""

from collections.abc import Callable
from pathlib import Path

from harness.errors import UsageError
from harness.host.at_once import each_its_own, one_for_all
from harness.host.choice import choose, look, no_such_gpu
from harness.host.gpu import HostGpu, host_gpus
from harness.host.in_turn import Compare, Kind, on_each
from harness.host.options import BenchOptions, Given
from harness.host.ready import Place
from harness.host.screen import Screen

ALL = "all"
AT_ONCE = ("parallel", "split")
WHERE = ("runtime", "device", "host")  # options that decide where cases run, beside --gpu


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
    hosts, gpus = hosts_of(given), gpus_of(given)
    given = {name: value for name, value in given.items() if name not in AT_ONCE}
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
    check_there(gpus, given, place)
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


def hosts_of(given: Given) -> list[str]:
    """The hosts of --host. Raises UsageError for one that is empty or named twice."""
    text = str(given.get("host") or "")
    hosts = [host.strip() for host in text.split(",")] if text else []
    if not all(hosts) or len(set(hosts)) != len(hosts):
        raise UsageError(
            f"--host '{text}' names a host twice, or none", next_step="write ssh://a,ssh://b"
        )
    if len(hosts) > 1 and (given.get("resume") or given.get("beside")):
        raise UsageError("a run goes on where it was started", next_step="leave out --host")
    return hosts


def gpus_of(given: Given, found: Callable[[], list[HostGpu]] = host_gpus) -> list[str]:
    """The GPUs of --gpu by index or UUID, if it names several; one or none is `bench`'s matter.

    Raises UsageError, DeviceError.
    """
    text = str(given.get("gpu") or "")
    if text == ALL and given.get("host"):
        raise UsageError(
            "the GPUs of another host are not known here", next_step="name them: --gpu 0,1"
        )
    gpus = [str(index) for index in range(len(found()))] if text == ALL else text.split(",")
    gpus = [gpu.strip() for gpu in gpus]
    if text == ALL and not gpus:
        raise no_such_gpu(ALL, "this host lists no GPU")
    if len(gpus) < 2 and text != ALL:
        return []
    if not all(gpus) or len(set(gpus)) != len(gpus):
        raise UsageError(f"--gpu '{text}' names a GPU twice, or none", next_step="write 0,1")
    if given.get("beside") or (given.get("resume") and not given.get("split")):
        raise UsageError(
            "a run that goes on has one GPU, or several that share it",
            next_step="name one with --gpu, or write --resume RUN --gpu all --split",
        )
    return gpus


def check_there(gpus: list[str], given: Given, place: Place) -> None:
    """Raises DeviceError or EngineError if one of several GPUs cannot be had: none is begun then.

    With --device cpu their names only tell the benches apart.
    """
    where = {name: given.get(name) for name in WHERE}
    for gpu in gpus:
        options = BenchOptions.parse({**where, "gpu": gpu})
        around = look(gpu, options.reaching(place.environment))
        choose(options.runtime, options.device, around, asked=options.asked)

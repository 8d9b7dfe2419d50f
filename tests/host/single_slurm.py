"""Slurm on this machine alone, from Debian's packages: munged, slurmctld and slurmd of a test."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

START_LIMIT_S = 60
SETTINGS = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why it cannot run here; empty if it can."""
    where = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    names = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo")
    absent = [name for name in names if shutil.which(name, path=where) is None]
    if absent:
        return f"needs {', '.join(absent)} (Debian: munge, slurmctld, slurmd, slurm-client)"
    return "" if os.geteuid() == 0 else "needs root, as whom slurmd starts jobs"


@contextmanager
def single_slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Runs the three; yields the environment in which `sbatch` finds them."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    host = socket.gethostname().partition(".")[0]
    settings = folder / "slurm.conf"
    settings.write_text(
        SETTINGS.format(host=host, folder=folder, ports=free_ports(2), cores=os.cpu_count() or 1)
    )
    environment = {**os.environ, "SLURM_CONF": str(settings)}
    environment["PATH"] += ":/usr/sbin:/sbin"
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    with ExitStack() as stack:
        for command in (
            ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge],
            ["slurmctld", "-D", "-f", str(settings)],
            ["slurmd", "-D", "-f", str(settings), "-N", host],
        ):
            log = stack.enter_context((folder / f"{command[0]}.out").open("wb"))
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            stack.callback(stop, process)
        await_idle(environment, folder)
        yield environment


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def await_idle(environment: dict[str, str], folder: Path) -> None:
    """Returns once the node takes jobs."""
    end_s = time.monotonic() + START_LIMIT_S
    state = ""
    while time.monotonic() < end_s:
        command = ["sinfo", "--noheader", "--format=%T"]
        state = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
        if state.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log"))
    raise AssertionError(f"the node is '{state.strip()}' and not idle:\n{logs}")


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]

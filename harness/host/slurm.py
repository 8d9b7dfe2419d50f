"""The script that runs a submission under Slurm: one node, one container, records beside the jobs.

Rendered for three programs that start containers. Docker's line confines as `invoke bench` does;
Podman takes the same one, and Apptainer's is as near to it as it goes without root.
"""

import math
from typing import Literal, get_args

from harness.errors import UsageError
from harness.host.lockdown import PIDS_LIMIT, TMPFS
from harness.host.submission import SCRIPT, Submission, quoted
from harness.result import Fact

Launcher = Literal["docker", "podman", "apptainer"]
SBATCH = "submit.sbatch"
DOCKER_CONFINES = (
    "network none, read-only root, no capabilities, no new privileges, limit of processes, user "
    "of the job"
)

HEAD = """\
#!/bin/bash
# Submit it from this folder with `sbatch {script}`; afterwards: invoke collect --source FOLDER
#SBATCH --job-name=vace-bench
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --time={minutes}
#SBATCH --output=slurm-%j.log
#SBATCH --signal=B:TERM@60
{gpu}# Add what your site asks for (partition, account), and --exclusive for a quiet node.
set -eu
cd "$SLURM_SUBMIT_DIR"
"""


def parse_launcher(text: str | None) -> Launcher:
    """What starts the container on the node; Docker unless it is named. Raises UsageError."""
    for known in get_args(Launcher):
        if (text or "docker") == known:
            launcher: Launcher = known
            return launcher
    raise UsageError(
        f"--launcher '{text}' is unknown",
        next_step=f"choose one of {', '.join(get_args(Launcher))}",
    )


def confines(launcher: Launcher) -> Fact:
    """What the record says about the container's confinement."""
    if launcher == "apptainer":
        return Fact(value=None, reason="as Apptainer and the site have it")
    return Fact(value=DOCKER_CONFINES)


def script(submission: Submission, launcher: Launcher) -> dict[str, str]:
    """The batch script by its name."""
    head = HEAD.format(
        script=SBATCH,
        minutes=math.ceil(submission.limit_s / 60),
        gpu="#SBATCH --gpus=1\n" if submission.gpu else "",
    )
    body = _apptainer(submission) if launcher == "apptainer" else _docker(submission, launcher)
    return {SBATCH: head + body}


def _docker(submission: Submission, program: str) -> str:
    folder, options = next(iter(TMPFS.items()))
    command = [
        *("srun", program, "run", "--rm", "--init", "--name", '"$name"'),
        *("--network", "none", "--read-only", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "--pids-limit", str(PIDS_LIMIT)),
        *("--ulimit", "core=0", "--tmpfs", f"{folder}:{options}"),
        *("--user", '"$(id -u):$(id -g)"', "--env", "HOME=/tmp", "--env", "USER=bench"),
        *("--volume", '"$PWD:/exchange"'),
        *(["--gpus", '"device=${CUDA_VISIBLE_DEVICES:-0}"'] if submission.gpu else []),
        *("--entrypoint", "sh", submission.image, f"/exchange/{SCRIPT}"),
    ]
    stop = f'{program} rm --force "$name" >/dev/null 2>&1 || true'
    lines = [
        'name="vace-bench-$SLURM_JOB_ID"',
        f"trap '{stop}' EXIT  # also where the job was cancelled",
        "trap 'exit 143' TERM",
        f"{quoted(command)} &",
        "wait $!",
    ]
    return "\n".join(lines) + "\n"


def _apptainer(submission: Submission) -> str:
    command = [
        *("srun", "apptainer", "exec", "--containall", "--no-home", "--cleanenv"),
        *(["--nv"] if submission.gpu else []),
        *("--workdir", '"$scratch"', "--bind", '"$PWD:/exchange"', "--pwd", "/exchange"),
        *("--env", "HOME=/tmp,USER=bench", submission.image, "sh", f"/exchange/{SCRIPT}"),
    ]
    lines = [
        "scratch=$(mktemp -d)  # compile caches need more than Apptainer's own /tmp has",
        "trap 'rm -rf \"$scratch\"' EXIT",
        quoted(command),
    ]
    return "\n".join(lines) + "\n"

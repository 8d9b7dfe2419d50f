"""A folder that a cluster's scheduler can run without this project: its layout and its script.

    run.json             the plan; the GPU's name is not known yet
    jobs/<n>/job.json    one process of a case, in the order in which they run
    run.sh               inside the image: every job in a process of its own, into its own folder
    submit.sbatch        for Slurm;  job.json and bring-back.sh for Kubernetes

Records come to lie beside the jobs.
"""

import shlex
from dataclasses import dataclass

JOBS = "jobs"
SCRIPT = "run.sh"
EXIT_CODE = "exit-code"
OUTPUT = "output.txt"
INSTALL = "install.json"
NOT_MEASURED_YET = "submitted"  # in place of the GPU's folder name
SUBMITTED_FACT = "run.submitted"

RUN_SCRIPT = """\
#!/bin/sh
# Runs inside the image. Each job is a process of its own with empty compile caches, one after
# another; what has its record already is left out, so that a job submitted again goes on.
cp /opt/vace-bench/install.json /exchange/install.json
for folder in /exchange/jobs/*; do
    [ ! -e "$folder/record.json" ] || continue
    echo "job ${folder##*/}"
    caches=$(mktemp -d)
    TORCHINDUCTOR_CACHE_DIR="$caches/inductor" TRITON_CACHE_DIR="$caches/triton" \\
        python -m harness.measure --job "$folder" >"$folder/output.txt" 2>&1
    echo $? >"$folder/exit-code"
    rm -rf "$caches"
done
"""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a scheduler's script is rendered from."""

    name: str  # of the run
    image: str  # as the cluster knows it
    gpu: bool
    limit_s: float  # of all jobs together
    files: dict[str, bytes]  # what goes to the cluster, by path


def folder_of(number: int) -> str:
    """'0007' for the seventh process in order."""
    return f"{number + 1:04d}"


def quoted(words: list[str]) -> str:
    """A command for a shell script, a line for each option; words in double quotes stay as are."""
    lines: list[str] = []
    for word in words:
        text = word if word.startswith('"') else shlex.quote(word)
        if word.startswith("--") or not lines:
            lines.append(text)
        else:
            lines[-1] += f" {text}"
    return " \\\n    ".join(lines)

"""What `--help` says of each option, for every task that takes it."""

IMAGE_HELP = {
    "base-image": "base image (a CUDA image pinned by tag)",
    "torch": "torch of the image: a requirement such as torch==2.13.0, or keep",
    "wheelhouse": "folder with wheels that the build prefers",
    "ca-bundle": "certificates for the package index during the build",
    "offline": "build without any network; every wheel comes from the wheelhouse",
}
BENCH_HELP = {
    "matrix": "quick, full, selfcheck, profile, fixes, limit, own or a .toml file (docs/matrix.md)",
    "pipeline": "Python file with a pipeline of your own (docs/own-pipeline.md)",
    "only": "keep the cases whose id matches a pattern, e.g. 'e2e-*,paired-*'",
    "runtime": "auto, docker or local",
    "device": "auto, cuda or cpu",
    "host": "another host whose engine runs the cases, ssh://user@box; or several, by commas",
    "gpu": "index or UUID of the GPU; several by commas, or all: a run each, in turn",
    "cpus": "CPUs of the host that the cases may use, e.g. 0-15",
    "parallel": "with several GPUs: their runs at once, which the records say",
    "split": "with several GPUs: one run, whose processes they share",
    "variant": "changes of the workload: a fix, a stack, or several joined by '+'",
    "dtype": "bfloat16, or float16 for GPUs before compute capability 8.0",
    "preset": "auto, full or tiny",
    "size": "frame size WxH, multiples of 16",
    "weights": "folder with the published checkpoints; without it weights are seeded",
    "video": "video file to feed; what is not given is generated",
    "depth": "depth video file to feed",
    "mask": "mask video file to feed, of the video's frame size",
    "processes": "fresh processes of each case whose chunks are timed; three for a verdict",
    "budget": "minutes within which undecided comparisons get more processes",
    "limit": "minutes after which a case counts as hung and is stopped",
    "resume": "id of an interrupted run to go on with",
    "beside": "id of a run under way on another GPU, to measure some of its processes on this one",
    "html": "write report.html beside report.md, one file to show to others",
    "dry-run": "show the plan and what would be built; run nothing",
    "json": "print the dry run's plan as JSON",
    "quiet": "print the report's path and nothing else",
    **IMAGE_HELP,
}

NOT_IN_SELFCHECK = ("matrix", "pipeline", "variant", "video", "depth", "mask")
SELFCHECK_HELP = {name: text for name, text in BENCH_HELP.items() if name not in NOT_IN_SELFCHECK}

PROFILE_HELP = {
    "case": "keep the cases whose id matches a pattern, e.g. '*-depth-*'",
    **{name: text for name, text in SELFCHECK_HELP.items() if name != "only"},
}

COMPARE_HELP = {
    "a": "id or folder of a run, or RUN:CASE for one case of it",
    "b": "what is held against it: the same forms; several by commas for one table",
    "across": "keys whose difference is the question, e.g. gpu,torch.version",
    "measure": "wall or busy decides the exit code; left out: busy where both have it",
    "out": "folder for comparison.md and comparison.json",
    "json": "print JSON in place of Markdown",
}
REPRO_HELP = {
    "run": "id or folder of the run to repeat",
    "across": COMPARE_HELP["across"],
    "measure": COMPARE_HELP["measure"],
    "dry-run": "show the command of then and what differs; run nothing",
    "quiet": BENCH_HELP["quiet"],
    **{
        name: BENCH_HELP[name] for name in ("host", "pipeline", "weights", "video", "depth", "mask")
    },
    "gpu": "index or UUID of the GPU",
    **{name: BENCH_HELP[name] for name in ("cpus", "budget", "limit")},
    **IMAGE_HELP,
}
GATE_HELP = {
    "baseline": "id or folder of the run to hold against",
    "run": "the run to judge; left out: the newest other one of this matrix and GPU",
    "max-regression": "margin that a case may be slower by, e.g. 3% or 0.03",
    "measure": COMPARE_HELP["measure"],
    "across": COMPARE_HELP["across"],
}

SUBMIT_HELP = {
    "to": "slurm or k8s",
    "launcher": "what starts the container on a Slurm node: docker, podman or apptainer",
    "image": "the image as the cluster knows it; left out: the tag of the one built here",
    "out": "folder to write; left out: submit-<run>",
    **{name: BENCH_HELP[name] for name in ("matrix", "only", "variant", "dtype", "preset", "size")},
    "device": "cuda, which auto means here, or cpu",
    "processes": BENCH_HELP["processes"],
    **IMAGE_HELP,
}

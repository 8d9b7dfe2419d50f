"""Does this implementation reproduce the reference? Checks every golden file of a folder.

    python -m harness.workload.conformance DIR [--variant NAME] [--device cuda]

One line a file: outputs compared of outputs stored, largest difference, its limit, their ratio.
Exit code 1 if a limit is passed, a stored output was not compared or a file is not recognised,
2 if the folder holds no golden file. A variant is held against the files of forwards and of the
chunk loop; of a forward's inner outputs, which it may not have, only the hints and caches count.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError

from harness.errors import HarnessError
from harness.variants import BASELINE
from harness.workload import conformance_model as model
from harness.workload import conformance_units as units
from harness.workload import conformance_vae as vae
from harness.workload.conformance_subject import Subject
from harness.workload.golden import Comparison, GoldenFile

BASELINE_HERE = Subject()
BF16_MEAN_LIMIT = 0.01  # mean absolute difference over a bfloat16 file


@dataclass(frozen=True)
class Check:
    """How files with one name prefix are checked, and which of their tensors are inputs."""

    prefix: str
    compare: Callable[[GoldenFile, Subject], Iterator[Comparison]]
    inputs: Callable[[GoldenFile], set[str]]
    of_variants: bool = False


def _part(
    prefix: str,
    compare: Callable[[GoldenFile], Iterator[Comparison]],
    inputs: Callable[[GoldenFile], set[str]],
) -> Check:
    """A check of single operations and modules, which is the same for every variant."""
    return Check(prefix, lambda file, _: compare(file), inputs)


CHECKS = (
    _part("weights_", lambda _: iter(()), lambda file: set(file.tensors)),
    _part("units", units.check_units, units.inputs_units),
    _part("scheduler", units.check_scheduler, units.inputs_scheduler),
    _part("lora_unit", units.check_lora, units.inputs_lora),
    Check("dit_vace_unpadded", model.check_unpadded, model.inputs_unpadded, of_variants=True),
    Check("dit_", model.check_dit, model.inputs_dit, of_variants=True),
    Check("loop_", model.check_loop, model.inputs_loop, of_variants=True),
    _part("tae", vae.check_tae, vae.inputs_tae),
    _part("wanvae", vae.check_wanvae, vae.inputs_wanvae),
    _part("vace_context", vae.check_vace_context, vae.inputs_vace_context),
)


@dataclass(frozen=True)
class Verdict:
    """One file's line, and what is wrong with it."""

    line: str
    problems: list[str]


def _check_of(path: Path) -> Check | None:
    return next((check for check in CHECKS if path.name.startswith(check.prefix)), None)


@torch.no_grad()
def check_file(path: Path, subject: Subject = BASELINE_HERE) -> Verdict:
    """Runs the check that the file's name asks for."""
    check = _check_of(path)
    if check is None:
        return Verdict(f"{path.name}: not recognised", ["no check has this name prefix"])
    try:
        file = GoldenFile.load(path)
        comparisons = list(check.compare(file, subject))
        stored = set(file.tensors) - check.inputs(file)
        stored = {name for name in stored if subject.gives(name)}
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        problem = f"cannot be checked ({type(error).__name__}: {error})"
        return Verdict(f"{path.name}: {problem}", [problem])
    return _judge(
        path.name, comparisons, stored, bf16=file.metadata.get("dtype", "").endswith("bfloat16")
    )


def _judge(name: str, comparisons: list[Comparison], stored: set[str], *, bf16: bool) -> Verdict:
    compared = {comparison.tensor for comparison in comparisons}
    problems = [
        f"{c.tensor}: difference {c.difference:.3g}, ratio {c.ratio:.3g} to its limit"
        for c in comparisons
        if not c.ratio <= 1
    ]
    problems += [f"{tensor}: stored but not compared" for tensor in sorted(stored - compared)]
    covered = f"{len(compared & stored)} of {len(stored)} outputs"
    if not comparisons:
        return Verdict(f"{name}: {covered}, weights for other files", problems)
    worst = max(comparisons, key=lambda comparison: comparison.ratio)
    line = (
        f"{name}: {covered}, largest difference {max(c.difference for c in comparisons):.2e}, "
        f"closest to its limit {worst.tensor} {worst.difference:.2e} of {worst.limit:.1e}, "
        f"ratio {worst.ratio:.3f}"
    )
    if bf16:
        mean = mean_difference(comparisons)
        line += f", mean {mean:.2e} of {BF16_MEAN_LIMIT}"
        if not mean <= BF16_MEAN_LIMIT:
            problems.append(f"mean difference {mean:.3g} over the file is above {BF16_MEAN_LIMIT}")
    return Verdict(f"{line}  {'FAILED' if problems else 'ok'}", problems)


def mean_difference(comparisons: list[Comparison]) -> float:
    """Mean absolute difference over all floating-point outputs of a file."""
    floats = [c for c in comparisons if c.want.is_floating_point() and c.got.shape == c.want.shape]
    total = sum(float((c.got.double() - c.want.double()).abs().sum()) for c in floats)
    return total / max(sum(c.want.numel() for c in floats), 1)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.workload.conformance", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with golden files")
    parser.add_argument("--variant", default=BASELINE, help="the fix, stack or fixes to examine")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    given = parser.parse_args(arguments)
    folder: Path = given.folder
    try:
        subject = Subject.of(given.variant, given.device)
    except HarnessError as error:
        print(f"error: {error.line}", file=sys.stderr)
        return error.exit_code
    paths = sorted(folder.glob("*.safetensors"))
    if not subject.is_baseline:
        paths = [path for path in paths if (check := _check_of(path)) and check.of_variants]
        print(subject.description, flush=True)
    if not paths:
        print(f"{folder}: no golden file (*.safetensors) here; name their folder", file=sys.stderr)
        return 2
    failed = 0
    for path in paths:
        verdict = check_file(path, subject)
        print(verdict.line, flush=True)
        for problem in verdict.problems:
            print(f"    {path.name}: {problem}", flush=True)
        failed += bool(verdict.problems)
    print(f"{len(paths)} files, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

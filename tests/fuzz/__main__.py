"""Fuzzes the loaders of records, matrices and traces.

    python -m tests.fuzz --loader record --seconds 60 --seed 1

Prints a line every few seconds and a row of docs/fuzzing.md's table at the end; inputs that crash
are kept in `.fuzz/LOADER/`. Exit code 0 without a crash, 1 with one, 2 if the fuzzer cannot run.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

from tests.fuzz.campaign import HEAD, Campaign, CannotFuzzError

LOADERS = ("record", "matrix", "trace")
STATE = Path(__file__).resolve().parents[2] / ".fuzz"


def main(arguments: list[str]) -> int:
    """Runs the loaders one after the other; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--loader", choices=[*LOADERS, "all", "planted"], default="all")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each loader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, default=STATE, help="folder for what is found")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("atheris") is None:
        print("error: atheris is not installed; pip install -r locks/dev.txt", file=sys.stderr)
        return 2
    rows = []
    for loader in LOADERS if options.loader == "all" else (options.loader,):
        campaign = Campaign(loader, options.seconds, options.seed, options.state / loader)
        try:
            campaign.run(lambda line: print(line, flush=True))
        except CannotFuzzError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        rows.append(campaign)
    print(HEAD, *(campaign.row for campaign in rows), sep="\n")
    return 1 if any(campaign.crashes for campaign in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

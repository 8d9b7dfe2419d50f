"""Runs inside the image build, with the standard library only: torch, then the locked packages.

Usage: python3 install.py TORCH, in a folder that holds container.in and container.txt (the lock),
wheelhouse/ and ca-bundle.pem (either may be empty). TORCH is a requirement such as `torch==2.13.0`,
installed into a virtual environment of its own, or `keep`: the interpreter and torch of the base
image stay, and only what it lacks goes into a folder on PYTHONPATH. With VACE_BENCH_OFFLINE=1 every
package comes from the wheelhouse. What was installed, with hashes, is written to install.json.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote

HOME = Path("/opt/vace-bench")
BUILD = Path(__file__).resolve().parent
WHEELHOUSE = BUILD / "wheelhouse"
CA_BUNDLE = BUILD / "ca-bundle.pem"
SITE = HOME / "site"
KEEP = "keep"

# Pure Python on top of Triton; not in the lock because it names torch as a dependency.
SAGE_VERSION = "1.0.6"
SAGE = (
    f"sageattention=={SAGE_VERSION} "
    "--hash=sha256:fafc66569bed62a16839e820c2612141b5a20accf55b876d941bab9c0ac5d888"
)


def main(torch: str) -> None:
    """Installs everything and writes the report."""
    HOME.mkdir(parents=True, exist_ok=True)
    kept: dict[str, str] = {}
    if torch == KEEP:
        python, where = [sys.executable], ["--target", str(SITE)]
        kept = versions_to_keep((BUILD / "container.in").read_text()) | kept_sage()
        torch_fact: dict[str, Any] = {"version": kept_torch(), "source": "base image"}
    else:
        subprocess.run([sys.executable, "-m", "venv", HOME / "venv"], check=True)
        python, where = [str(HOME / "venv/bin/python")], []
        installed = pip(python, [torch])
        torch_fact = {"source": "wheel", **installed.pop("torch"), "dependencies": installed}
    lines = [*requirements((BUILD / "container.txt").read_text()), SAGE]
    wanted = [line for line in lines if distribution(line) not in kept]
    packages = install_locked(python, wanted, where) if wanted else {}
    wrap(python[0])
    report = {"torch": torch_fact, "kept": kept, "installed": packages}
    (HOME / "install.json").write_text(json.dumps(report, indent=1) + "\n")


def install_locked(python: list[str], lines: list[str], where: list[str]) -> dict[str, Any]:
    """Installs just the given requirement lines, each by its hashes."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lines))
        file.flush()
        return pip(python, ["--no-deps", "--require-hashes", *where, "-r", file.name])


def requirements(lock: str) -> list[str]:
    """The lock's requirements, one a line with their hashes."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n?", "", lock))
    return [line.strip() for line in joined.splitlines() if line.strip()]


def distribution(requirement: str) -> str:
    """The normalised name a requirement line begins with."""
    name = re.split(r"[\s=<>~!;\[]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def kept_torch() -> str:
    """Version of the base image's torch; ends the build if it has none."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        sys.exit(f"TORCH=keep, but {sys.executable} of the base image has no torch")


def versions_to_keep(floors: str) -> dict[str, str]:
    """Distributions of the base image that are new enough for the lock's lower bounds."""
    kept = {}
    for name, floor in re.findall(r"(?m)^([\w.-]+)>=([\d.]+)", floors):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if release(version) >= release(floor):
            kept[name] = version
    return kept


def kept_sage() -> dict[str, str]:
    """SageAttention if the base image has just this version: its kernels differ between them."""
    try:
        version = metadata.version("sageattention")
    except metadata.PackageNotFoundError:
        return {}
    return {"sageattention": version} if version == SAGE_VERSION else {}


def release(version: str) -> tuple[int, ...]:
    """'2.13.0+cpu' -> (2, 13, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def pip(python: list[str], arguments: list[str]) -> dict[str, Any]:
    """Runs pip; returns version, file and SHA-256 of each distribution it installed."""
    options = ["--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    options += ["--progress-bar", "off", "--find-links", str(WHEELHOUSE)]
    if os.environ.get("VACE_BENCH_OFFLINE") == "1":
        options.append("--no-index")
    if CA_BUNDLE.stat().st_size:
        options += ["--cert", str(CA_BUNDLE)]
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [*pip_program(python), "install", *options, "--report", report.name, *arguments]
        if subprocess.run(command).returncode:
            sys.exit(f"pip could not install {' '.join(arguments)}")
        items = json.loads(Path(report.name).read_text())["install"]
    return {
        re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower(): {
            "version": item["metadata"]["version"],
            "file": unquote(item["download_info"]["url"].rpartition("/")[2]),
            "sha256": wheel_sha256(item["download_info"]),
        }
        for item in items
    }


def wheel_sha256(download: dict[str, Any]) -> str:
    """A wheel's hash: pip's own, else (it gives none for local files) that of the wheelhouse's."""
    hashes = download.get("archive_info", {}).get("hashes", {})
    if "sha256" in hashes:
        return str(hashes["sha256"])
    wheel = WHEELHOUSE / unquote(download["url"].rpartition("/")[2])
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def pip_program(python: list[str]) -> list[str]:
    """The environment's own pip, else pip's wheel in the wheelhouse, which runs unpacked or not."""
    probe = [*python, "-c", "import pip"]
    if subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0:
        return [*python, "-m", "pip"]
    wheels = sorted(WHEELHOUSE.glob("pip-*.whl"))
    if not wheels:
        sys.exit(f"{python[0]} has no pip: put pip's wheel into the wheelhouse")
    return [*python, f"{wheels[-1]}/pip"]


def wrap(python: str) -> None:
    """`python` on PATH; a script and not a link, which would hide a virtual environment."""
    folder = HOME / "bin"
    folder.mkdir(exist_ok=True)
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
    script.chmod(0o755)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Runs inside the image build, with the standard library only: torch, then the locked packages.

Usage: python3 install.py TORCH, in a folder that holds container.in, the locks container.txt and
torch.txt, wheelhouse/ and ca-bundle.pem (either may be empty). TORCH is a requirement such as
`torch==2.13.0`, installed into a virtual environment of its own, or `keep`: the interpreter and
torch of the base image stay, and only what it lacks goes into a folder on PYTHONPATH. With
VACE_BENCH_OFFLINE=1 every package comes from the wheelhouse.

What is there afterwards, with hashes, is written to install.json. Files bear SOURCE_DATE_EPOCH, and
compiled ones depend on their source alone, so that two builds of the same wheels are the same.
"""

import hashlib
import json
import os
import platform
import re
import shutil
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
LOCKED_TORCH = "torch==2.13.0"  # what locks/torch.txt is made for
# Of the virtual environment, and of no use once everything is installed.
BALLAST = ("pip", "pip-*.dist-info", "torch/test", "torch/bin/test_*", "torch/bin/protoc*")

LICENCE_CHARACTERS = 80  # more is the licence's text

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
        torch_fact = install_torch(python, torch)
    lines = [*requirements((BUILD / "container.txt").read_text()), SAGE]
    wanted = [line for line in lines if distribution(line) not in kept]
    packages = install_locked(python, wanted, where) if wanted else {}
    wrap(python[0])
    report = {
        "torch": torch_fact,
        "kept": kept,
        "installed": packages,
        "base_python": base_packages() if torch == KEEP else {},
        "python": sys.version.split()[0],
        "release": system_release(),
        "system": system_packages(),
        "removed": [] if torch == KEEP else remove_ballast(),
    }
    (HOME / "install.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    settle(python[0], int(os.environ["SOURCE_DATE_EPOCH"]))


def install_torch(python: list[str], torch: str) -> dict[str, Any]:
    """Installs torch and what it needs: by hash for the torch that the lock was made for."""
    locked = {}
    if torch == LOCKED_TORCH:
        locked = install_locked(python, requirements((BUILD / "torch.txt").read_text()), [])
    installed = pip(python, [torch])
    own = installed.pop("torch")
    return {
        "source": "wheel",
        **own,
        "dependencies": locked | installed,
        "dependencies_locked": bool(locked),
    }


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
    options = ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--no-compile"]
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
            "license": licence(item["metadata"]),
        }
        for item in items
    }


def licence(metadata: dict[str, Any]) -> str | None:
    """A package's licence as its metadata names it: an SPDX expression, else a short name."""
    stated = metadata.get("license_expression") or metadata.get("license") or ""
    return stated if 0 < len(stated) < LICENCE_CHARACTERS else None


def base_packages() -> dict[str, str]:
    """Every distribution of the base image's own interpreter."""
    found = {item.metadata["Name"]: item.version for item in metadata.distributions()}
    return {name: version for name, version in found.items() if name}


def system_release() -> dict[str, str]:
    """Name and version of the base's distribution, as it states them."""
    stated = platform.freedesktop_os_release()
    return {name: stated[name] for name in ("ID", "VERSION_ID") if name in stated}


def system_packages() -> dict[str, str]:
    """Installed Debian packages by name; empty on a base without them."""
    if shutil.which("dpkg-query") is None:
        return {}
    command = [
        "dpkg-query",
        "--show",
        "--showformat",
        "${db:Status-Status} ${Package} ${Version}\n",
    ]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = (line.split() for line in answer.stdout.splitlines())
    return {name: version for status, name, version in rows if status == "installed"}


def remove_ballast() -> list[str]:
    """Removes pip and the test programs that torch's wheel brings; returns what was there."""
    found = [
        path
        for site in HOME.glob("venv/lib/python3*/site-packages")
        for pattern in BALLAST
        for path in site.glob(pattern)
    ]
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return sorted({pattern for pattern in BALLAST for path in found if path.match(pattern)})


def settle(python: str, epoch: int) -> None:
    """Compiles all modules, and gives every file the same time.

    A compiled file is trusted without a look at its source: nothing in the image changes.
    """
    folders = [str(path) for path in (HOME / "venv/lib", SITE) if path.is_dir()]
    compileall = [
        "-m",
        "compileall",
        "-q",
        "-f",
        "-j",
        "0",
        "--invalidation-mode",
        "unchecked-hash",
    ]
    # Some packages ship modules for other Python versions, which do not compile here.
    subprocess.run([python, *compileall, *folders], stdout=subprocess.DEVNULL)
    for path in [HOME, *HOME.rglob("*")]:
        os.utime(path, (epoch, epoch), follow_symlinks=False)


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

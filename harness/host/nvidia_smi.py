"""What nvidia-smi says of the host's GPUs: driver, MIG mode and instances. It is asked, never told.

NVML is what knows of MIG; the host side has no NVML binding, and nvidia-smi comes with the driver.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

TIMEOUT_S = 20
FOLDERS = {  # beside PATH: where it lies -> the libraries that it needs
    "usr/lib/wsl/lib": "usr/lib/wsl/lib",
    "usr/local/nvidia/bin": "usr/local/nvidia/lib64",
}
QUERY = ("--query-gpu=index,uuid,driver_version,mig.mode.current", "--format=csv,noheader")
MISMATCH = "driver/library version mismatch"  # NVML's error 18


@dataclass(frozen=True)
class MigInstance:
    """A part of a GPU that computes on its own."""

    gpu: int  # index, as nvidia-smi lists GPUs
    index: int  # of the instance on its GPU
    profile: str  # e.g. 1g.10gb
    uuid: str  # MIG-...
    gpu_instance: int
    compute_instance: int


@dataclass(frozen=True)
class SmiGpu:
    """A GPU as nvidia-smi lists it."""

    index: int
    uuid: str
    mig: bool


@dataclass(frozen=True, kw_only=True)
class Smi:
    """Everything asked. `failure` is its own last line where it could not answer."""

    is_there: bool = True
    failure: str | None = None
    driver: str | None = None
    gpus: tuple[SmiGpu, ...] = ()
    instances: tuple[MigInstance, ...] = ()

    @property
    def is_mismatched(self) -> bool:
        """The driver's libraries and the loaded kernel module are of different versions."""
        return MISMATCH in (self.failure or "").lower()

    def split_gpu(self, gpu: str | None) -> SmiGpu | None:
        """The GPU that is asked for by index or UUID (None: the first), if it is in MIG mode."""
        chosen = next((g for g in self.gpus if gpu in (None, str(g.index), g.uuid)), None)
        return chosen if chosen is not None and chosen.mig else None

    def instances_of(self, gpu: SmiGpu) -> list[MigInstance]:
        """The instances that a GPU in MIG mode is split into."""
        return [instance for instance in self.instances if instance.gpu == gpu.index]


NO_SMI = Smi(is_there=False)


def is_instance(gpu: str | None) -> bool:
    """Whether a GPU is named by the UUID of a MIG instance."""
    return gpu is not None and gpu.startswith("MIG-")


def ask(root: Path = Path("/")) -> Smi:
    """Asks nvidia-smi; its long answer only where a GPU is in MIG mode."""
    command = _command(root)
    if command is None:
        return NO_SMI
    program, environment = command
    code, text = _run([program, *QUERY], environment)
    if code != 0:
        return Smi(failure=_last_line(text))
    driver, gpus = parse_query(text)
    instances: list[MigInstance] = []
    if any(gpu.mig for gpu in gpus):
        listed = _run([program, "-L"], environment)[1]
        instances = parse_instances(listed, _run([program, "-q", "-x"], environment)[1])
    return Smi(driver=driver, gpus=tuple(gpus), instances=tuple(instances))


def parse_query(text: str) -> tuple[str | None, list[SmiGpu]]:
    """The driver and the GPUs of the short answer, whose MIG mode may be [N/A]."""
    driver, gpus = None, []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 4 and fields[0].isdigit():
            driver = fields[2]
            gpus.append(SmiGpu(int(fields[0]), fields[1], mig=fields[3] == "Enabled"))
    return driver, gpus


def parse_instances(listed: str, described: str) -> list[MigInstance]:
    """MIG instances: UUIDs and profiles from `-L`, the ids that name device nodes from `-q -x`.

    Without the second answer their ids are -1, and no device node can be named.
    """
    ids = _instance_ids(described)
    instances, gpu = [], -1
    for line in listed.splitlines():
        if head := re.match(r"GPU (\d+):", line):
            gpu = int(head[1])
        found = re.match(r"\s+MIG (\S+)\s+Device\s+(\d+):\s+\(UUID: (MIG-[^)]+)\)", line)
        if found:
            index = int(found[2])
            of_gpu, of_compute = ids.get((gpu, index), (-1, -1))
            instances.append(MigInstance(gpu, index, found[1], found[3], of_gpu, of_compute))
    return instances


def _instance_ids(described: str) -> dict[tuple[int, int], tuple[int, int]]:
    """(GPU, instance) -> (GPU instance id, compute instance id)."""
    try:
        log = ElementTree.fromstring(described)
    except ElementTree.ParseError:
        return {}
    return {
        (gpu, int(device.findtext("index", "-1"))): (
            int(device.findtext("gpu_instance_id", "-1")),
            int(device.findtext("compute_instance_id", "-1")),
        )
        for gpu, element in enumerate(log.findall("gpu"))
        for device in element.findall("mig_devices/mig_device")
    }


def _command(root: Path) -> tuple[str, dict[str, str]] | None:
    """The program and its environment. Another root than the host's own is only looked at."""
    if root != Path("/"):
        return None
    environment = {**os.environ, "LC_ALL": "C"}
    if program := shutil.which("nvidia-smi"):
        return program, environment
    for folder, libraries in FOLDERS.items():
        program = str(root / folder / "nvidia-smi")
        if os.access(program, os.X_OK):
            old = environment.get("LD_LIBRARY_PATH", "")
            path = ":".join(filter(None, [str(root / libraries), old]))
            return program, {**environment, "LD_LIBRARY_PATH": path}
    return None


def _run(command: Sequence[str], environment: dict[str, str]) -> tuple[int, str]:
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment
        )
    except subprocess.TimeoutExpired:
        return -1, f"nvidia-smi did not answer in {TIMEOUT_S} s"
    except OSError as error:
        return -1, f"nvidia-smi cannot be started ({error.strerror})"
    return answer.returncode, answer.stdout or answer.stderr


def _last_line(text: str) -> str:
    """The line that says why; a mismatch is followed by a line with the library's version."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if MISMATCH in line.lower()] or lines[-1:]
    return told[0] if told else "nvidia-smi failed and said nothing"

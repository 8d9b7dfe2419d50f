"""Checks of a container of a case: what the engine says of it, and what a process inside can do.

Every problem is one line. `inspect_problems` reads the engine's description of the running
container; `PROBE` runs inside, tries what must fail and prints what it saw, for `probe_problems`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

ALLOWED_TMPFS = {"/tmp"}
WRITABLE_MOUNTS = {"/exchange", "/cache"}
READ_ONLY_MOUNTS = {"/weights", "/usr/local/nvidia"}
MOST_MEMORY_SHARE = 0.95
ESCAPED = "escaped as root"

# What must be refused from inside. Each attempt says "denied" or what it got.
PROBE = r"""
import ctypes, json, os, pathlib, socket, subprocess, sys

marker, port = sys.argv[1][::-1], int(sys.argv[2])  # turned around: it must not see itself
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)

def attempt(act):
    try:
        return str(act())
    except (OSError, subprocess.SubprocessError) as error:
        return f"denied: {type(error).__name__}"

def write(path):
    pathlib.Path(path, "intruder").write_text("x")
    return "written"

def connect():
    socket.create_connection(("127.0.0.1", port), 2).close()
    return "connected"

def raw():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    return "opened"

def become_root():
    os.setuid(0)
    return "root"

def by_setuid_program():
    answer = subprocess.run(["/usr/bin/escape"], capture_output=True, text=True, timeout=20)
    return answer.stdout.strip() or f"denied: exit {answer.returncode}"

def mount():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount")
    return "mounted"

def set_no_name():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.sethostname(b"intruder", 8):
        raise OSError(ctypes.get_errno(), "sethostname")
    return "named"

def keyring():
    # A system call that the engine's default filter forbids to everybody: add_key on x86_64, ARM.
    number = {"x86_64": 248, "aarch64": 217}[os.uname().machine]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, b"user", b"intruder", b"x", 1, -3) < 0:
        raise OSError(ctypes.get_errno(), "add_key")
    return "added"

def processes():
    lines = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            pass
    return lines

def cgroup(*names):
    for name in names:
        try:
            return open(name).read().strip()
        except OSError:
            pass
    return "max"

seen = processes()
print(json.dumps({
    "uid": os.getuid(), "euid": os.geteuid(),
    "CapEff": status["CapEff"].strip(), "CapBnd": status["CapBnd"].strip(),
    "NoNewPrivs": status["NoNewPrivs"].strip(), "Seccomp": status["Seccomp"].strip(),
    "read_only_root": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
    "tmp_nosuid": bool(os.statvfs("/tmp").f_flag & os.ST_NOSUID),
    "tmp_nodev": bool(os.statvfs("/tmp").f_flag & os.ST_NODEV),
    "tmp_exec": not os.statvfs("/tmp").f_flag & os.ST_NOEXEC,
    "home": os.environ["HOME"], "user": os.environ["USER"],
    "writes": {path: attempt(lambda: write(path)) for path in
               ("/", "/etc", "/usr", "/opt/vace-bench", "/opt/vace-bench/app/harness", "/root",
                "/var", "/sys/fs/cgroup", "/proc/sys/kernel", "/weights")},
    "needed": {path: attempt(lambda: write(path)) for path in ("/tmp", "/exchange")},
    "connect": attempt(connect), "raw": attempt(raw),
    "interfaces": sorted(os.listdir("/sys/class/net")),
    "setuid": attempt(become_root), "setuid_program": attempt(by_setuid_program),
    "mount": attempt(mount), "sethostname": attempt(set_no_name), "keyring": attempt(keyring),
    "sees_host": any(marker in line for line in seen), "processes": len(seen),
    "first": open("/proc/1/comm").read().strip(),
    "pids": cgroup("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
    "memory": cgroup("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    "core": __import__("resource").getrlimit(__import__("resource").RLIMIT_CORE)[1],
    "sockets": [path for path in ("/var/run/docker.sock", "/run/docker.sock",
                "/run/containerd/containerd.sock") if os.path.exists(path)],
}))
"""


def inspect_problems(described: Mapping[str, Any], host_memory_bytes: int) -> list[str]:
    """What the engine says of a container that it must not say."""
    host = described["HostConfig"]
    expected = {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "Privileged": False,
        "Init": True,
    }
    problems = [
        f"{name} is {host.get(name)!r}, not {value!r}"
        for name, value in expected.items()
        if host.get(name) != value
    ]
    problems += [f"{name} is set" for name in ("CapAdd", "Devices", "PortBindings") if host[name]]
    problems += [
        f"{name} is the host's"
        for name in ("PidMode", "IpcMode", "UTSMode", "UsernsMode")
        if host.get(name) == "host"
    ]
    cores = [one["Hard"] for one in host.get("Ulimits") or [] if one["Name"] == "core"]
    problems += [] if cores == [0] else ["core files are allowed"]
    options = host.get("SecurityOpt") or []
    problems += [] if "no-new-privileges" in options else ["new privileges are allowed"]
    problems += [f"security option {one}" for one in options if "unconfined" in one]
    if described["Config"]["User"].partition(":")[0] in ("", "0", "root"):
        problems.append("the user is root")
    if not 0 < (host.get("PidsLimit") or 0) <= 4096:
        problems.append("processes have no limit")
    if not 0 < host.get("Memory", 0) <= host_memory_bytes * MOST_MEMORY_SHARE:
        problems.append("memory has no limit")
    elif host.get("MemorySwap") != host["Memory"]:
        problems.append("swap has no limit")
    return problems + list(_mount_problems(described))


def _mount_problems(described: Mapping[str, Any]) -> Iterator[str]:
    for mount in described["Mounts"]:
        target = mount["Destination"]
        if "docker.sock" in str(mount.get("Source")) or "containerd.sock" in str(mount["Source"]):
            yield f"the engine's socket is mounted at {target}"
        if target in READ_ONLY_MOUNTS and mount["RW"]:
            yield f"{target} is writable"
        elif target not in READ_ONLY_MOUNTS | WRITABLE_MOUNTS:
            yield f"{target} is mounted"
        if target in WRITABLE_MOUNTS and mount["Type"] != "volume":
            yield f"{target} is a folder of the host"
    for target, options in (described["HostConfig"].get("Tmpfs") or {}).items():
        if target not in ALLOWED_TMPFS:
            yield f"{target} is a tmpfs"
        missing = {"nosuid", "nodev"} - set(options.split(","))
        if missing:
            yield f"{target} lacks {', '.join(sorted(missing))}"


def probe_problems(seen: Mapping[str, Any], host_memory_bytes: int) -> list[str]:
    """What a process inside could do or see that it must not."""
    return [
        *_identity_problems(seen),
        *_attempt_problems(seen),
        *_view_problems(seen),
        *_limit_problems(seen, host_memory_bytes),
    ]


def _identity_problems(seen: Mapping[str, Any]) -> Iterator[str]:
    if 0 in (seen["uid"], seen["euid"]):
        yield "it is root"
    for name in ("CapEff", "CapBnd"):
        if int(seen[name], 16):
            yield f"it has capabilities ({name} {seen[name]})"
    if seen["NoNewPrivs"] != "1":
        yield "it may gain privileges"
    if seen["Seccomp"] != "2":
        yield "its system calls are not filtered"


def _attempt_problems(seen: Mapping[str, Any]) -> Iterator[str]:
    for path, got in seen["writes"].items():
        if not got.startswith("denied"):
            yield f"it wrote into {path}"
    for path, got in seen["needed"].items():
        if got != "written":
            yield f"it cannot write into {path}, which it needs"
    if not seen["tmp_exec"] or (seen["home"], seen["user"]) != ("/tmp", "bench"):
        yield "it cannot load what it compiles, or has no home"
    for name in ("connect", "raw", "setuid", "mount", "sethostname", "keyring"):
        if not seen[name].startswith("denied"):
            yield f"{name} succeeded: {seen[name]}"
    if ESCAPED in seen["setuid_program"]:
        yield "a setuid program made it root"


def _view_problems(seen: Mapping[str, Any]) -> Iterator[str]:
    if not seen["read_only_root"]:
        yield "its root is writable"
    if not (seen["tmp_nosuid"] and seen["tmp_nodev"]):
        yield "/tmp allows setuid programs or devices"
    if seen["interfaces"] != ["lo"]:
        yield f"it has network interfaces: {', '.join(seen['interfaces'])}"
    if seen["sees_host"]:
        yield "it sees the host's processes"
    if "init" not in seen["first"] and "tini" not in seen["first"]:
        yield f"its first process is {seen['first']}, which reaps no orphans"
    if seen["sockets"]:
        yield f"it reaches the engine's socket {seen['sockets'][0]}"


def _limit_problems(seen: Mapping[str, Any], host_memory_bytes: int) -> Iterator[str]:
    if seen["pids"] == "max":
        yield "it may start processes without limit"
    if seen["memory"] == "max" or int(seen["memory"]) > host_memory_bytes * MOST_MEMORY_SHARE:
        yield "it may take all memory"
    if seen["core"] != 0:
        yield "it may leave core files"

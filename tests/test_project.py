"""The project as a whole: locks, README, CI, sizes, imports: what a reviewer counts by hand."""

import ast
import gzip
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import __version__

ROOT = Path(__file__).resolve().parent.parent
LOCKS = [ROOT / "locks" / f"{name}.txt" for name in ("container", "host", "dev")]
TORCH_LOCK = ROOT / "locks" / "torch.txt"  # of what torch needs, for the image
SOURCES = [*sorted((ROOT / "harness").rglob("*.py")), ROOT / "tasks.py"]
FOLDERS = (".ci", "docs", "examples", "harness", "locks", "templates", "tests")
MARKDOWN = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_LIST_S = 1.0
# torch and what only torch needs; two of NVIDIA's are ours, and pip-audit's cache needs filelock.
TORCH_ONLY = re.compile(
    r"(torch|triton|sympy|networkx|fsspec|mpmath|cuda-.*|nvidia-(?!(ml-py|cudnn-frontend)$).*)"
)
# Addresses of package indexes, and folders of a developer's machine.
FORBIDDEN = re.compile(r"pypi\.org|pythonhosted|download\.pytorch|/opt/(wheels|pypi)|/work/|/root/")


def requirements(lock: Path) -> dict[str, list[str]]:
    """Requirement line -> its hashes."""
    joined = lock.read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    return {line.split(" --hash")[0].strip(): re.findall(r"--hash=(\S+)", line) for line in lines}


def pins(lock: Path) -> set[str]:
    """Names with their versions, without what they are restricted to."""
    return {requirement.partition(" ;")[0] for requirement in requirements(lock)}


def names(lock: Path) -> set[str]:
    return {requirement.partition("==")[0] for requirement in requirements(lock)}


def readme_command(name: str) -> str:
    marker = re.escape(f"<!-- command: {name} -->")
    found = re.search(
        rf"^{marker}\n```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S
    )
    assert found is not None, f"README.md has no command '{name}'"
    return found[1]


def text_files() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.suffix in (".md", ".py", ".toml"))
    yield ROOT / "Dockerfile"
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in (".pyc", ".gz", ".safetensors", ".mp4"):
                yield path


def text_of(path: Path) -> str:
    blob = path.read_bytes()
    return (gzip.decompress(blob) if path.suffix == ".gz" else blob).decode()


@pytest.mark.parametrize("lock", [*LOCKS, TORCH_LOCK], ids=lambda path: path.stem)
def test_a_lock_pins_everything_with_hashes_and_names_no_source(lock: Path) -> None:
    for requirement, hashes in requirements(lock).items():
        assert re.fullmatch(r"[a-z0-9-]+==[^ ;]+( ; .+)?", requirement)
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes)
    assert not re.search(r"index-url|find-links|://|file:| @ ", lock.read_text())


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_leaves_torch_to_a_step_of_its_own(lock: Path) -> None:
    assert [name for name in names(lock) if TORCH_ONLY.fullmatch(name)] == []


def test_the_locks_agree_and_the_containers_is_small() -> None:
    container, host, dev, torch = (pins(lock) for lock in [*LOCKS, TORCH_LOCK])
    assert container < host < dev
    shared = {pin.partition("==")[0] for pin in torch} & names(LOCKS[2])
    assert {pin for pin in torch if pin.partition("==")[0] in shared} <= dev
    assert names(LOCKS[0]) == {
        "msgspec",
        "numpy",
        "nvidia-cudnn-frontend",
        "nvidia-ml-py",
        "safetensors",
    }


def test_every_dependency_is_locked_and_explained() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.M | re.S)
    assert block is not None
    declared = set(re.findall(r'^  "([a-z0-9-]+)', block[1], re.M))
    assert declared <= names(LOCKS[1])
    documented = (ROOT / "docs" / "dependencies.md").read_text()
    assert [name for name in declared | names(LOCKS[0]) if f"| {name}" not in documented] == []


@pytest.mark.parametrize("name", ["docker", "bench", "test"])
def test_a_readme_command_sets_up_and_uses_only_its_own_environment(name: str) -> None:
    steps = [step.strip() for step in readme_command(name).split("&&")]
    assert steps[0] == "python3 -m venv .venv"
    assert all(step.startswith(".venv/bin/") for step in steps[1:])
    installed = re.search(r"--require-hashes -r (\S+)", steps[1])
    assert installed is not None
    assert (ROOT / installed[1]).is_file()
    assert steps[-1] == f".venv/bin/invoke {'test' if name == 'test' else 'bench'}"
    assert ("torch" in readme_command(name)) == (name != "docker")


def test_ci_runs_the_readmes_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "set -euo pipefail" in script
    assert "VACE_BENCH_REQUIRE_DOCKER=1" in script
    assert "VACE_BENCH_REQUIRE_BROWSER=1" in script
    function = re.search(r"^readme_command\(\) \{.*?^\}", script, re.M | re.S)
    assert function is not None
    extracted = subprocess.run(
        ["bash", "-c", f"{function[0]}\nreadme_command test"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert extracted.stdout == readme_command("test")


def test_one_version_of_torch_and_sageattention_everywhere() -> None:
    places = ["README.md", "Dockerfile", "harness/host/image.py", "harness/host/install.py"]
    text = "\n".join((ROOT / place).read_text() for place in [*places, "docs/dependencies.md"])
    assert set(re.findall(r"\btorch==([\d.]+\d)", text)) == {"2.13.0"}
    assert set(re.findall(r"sageattention==([\d.]+\d)", text)) == {"1.0.6"}


def test_the_changelog_has_this_version() -> None:
    assert re.search(rf"^## \[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d$",
                     (ROOT / "CHANGELOG.md").read_text(), re.M)  # fmt: skip


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.name)
def test_links_between_documents_resolve(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_readmes_sample_is_what_the_report_says() -> None:
    readme = (ROOT / "README.md").read_text()
    sample = readme.split("<!-- sample report: begin -->")[1].split("<!-- sample report: end -->")[
        0
    ]
    report: list[str] = []
    quoted = 0
    for row in sample.splitlines():
        if (linked := re.search(r"\]\(([^)]+/report\.md)\)", row)) is not None:
            report = (ROOT / linked[1]).read_text().splitlines()
        if row.startswith("> "):
            assert row.removeprefix("> ") in report
            quoted += 1
    assert quoted >= 5


def test_no_file_names_a_package_index_or_a_developers_folder() -> None:
    hits = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in text_files()
        if path != Path(__file__) and (found := FORBIDDEN.search(text_of(path)))
    ]
    assert hits == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_file_is_small_documented_and_handles_errors_by_name(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "no module docstring"
    assert text.count("\n") <= MAX_FILE_LINES
    assert not re.search(r"TODO|FIXME|XXX|NotImplementedError", text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert length(node) <= MAX_FUNCTION_LINES, f"{node.name} has {length(node)} lines"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: bare except"


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = function.body[0]
    has_docstring = ast.get_docstring(function) is not None
    docstring = first.end_lineno - first.lineno + 1 if has_docstring and first.end_lineno else 0
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1 - docstring


def invoke(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "invoke", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_the_list_of_tasks_comes_at_once() -> None:
    times_s = []
    for _ in range(3):  # the best of three: another process may hold the cores
        start_s = time.monotonic()
        listed = invoke("--list")
        times_s.append(time.monotonic() - start_s)
        assert listed.returncode == 0, listed.stderr
    for task in ("audit", "bench", "build", "clean", "doctor", "lint", "report", "sbom", "test"):
        assert re.search(rf"^  {task}\b", listed.stdout, re.M), task
    assert min(times_s) < MAX_LIST_S


def test_the_host_side_never_loads_torch_or_the_measured_side() -> None:
    packages = ("host", "analysis", "report")
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in packages
        for path in sorted((ROOT / "harness" / package).glob("[!_]*.py"))
    ]
    code = f"""
import importlib, sys
for name in {["tasks", *modules]!r}:
    importlib.import_module(name)
print(sorted({{"torch", "pynvml", "harness.workload", "harness.measure"}} & set(sys.modules)))
"""
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


def test_a_host_without_a_video_decoder_measures_generated_clips() -> None:
    code = "import sys; sys.modules['av'] = None; import harness.host.bench, harness.host.doctor"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_import_contracts_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([program], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout

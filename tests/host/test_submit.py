"""A submission for Slurm or Kubernetes: written, run for real on this machine, made a run again."""

import base64
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.errors import CaseError, RecordError, StorageError, UsageError
from harness.host.collect import collect
from harness.host.engine import Engine
from harness.host.image import ImageOptions, image_tag
from harness.host.lockdown import USER_ID
from harness.host.ready import Place
from harness.host.screen import Screen
from harness.host.submit import Wish, submit
from harness.job import Job
from harness.report.audit import check_provenance
from harness.result import Fact, encode
from harness.store import RunFolder
from tests.host.conftest import REQUIRED, Invoke
from tests.host.fake_api import FakeApi
from tests.host.single_slurm import missing, single_slurm
from tests.host.test_session import TOOLS
from tests.host.test_tasks import one_line
from tests.samples import result

ROOT = Path(__file__).resolve().parents[2]
MATRIX = """
name = "one"
[[cases]]
kind = ["e2e"]
mode = ["text"]
processes = 2
blocks = 1
chunks_per_block = 1
warmup_max_chunks = 5
"""


@pytest.fixture
def place(tmp_path: Path, surroundings: dict[str, str]) -> Place:
    (tmp_path / "one.toml").write_text(MATRIX)
    return Place(project=ROOT, reports=tmp_path / "reports", environment=surroundings)


def wish(tmp_path: Path, **changes: str) -> Wish:
    names = ("to", "launcher", "image", "out")
    given = {"to": "slurm", "out": str(tmp_path / "sent"), **changes}
    return Wish.parse({name: given.get(name) for name in names})


def written(place: Place, tmp_path: Path, device: str = "cpu", **changes: str) -> Path:
    """A submission of two processes of a case, its image from an engine in memory."""
    tag = image_tag(ROOT, ImageOptions(base_image="base"), "sha256:base")
    images: dict[str, dict[str, Any]] = {"base": {"Id": "sha256:base"}, tag: {"Id": "sha256:built"}}
    engine = Engine(FakeApi(images_by_name=images), is_local=True)
    given = {"matrix": str(tmp_path / "one.toml"), "device": device, "base_image": "base"}
    return submit(wish(tmp_path, **changes), given, place, engine, lambda line: None)


def job_of(folder: Path, number: int) -> Job:
    return msgspec.json.decode((folder / f"jobs/000{number}/job.json").read_bytes(), type=Job)


def finish(folder: Path, number: int) -> None:
    """What a node leaves behind of a job."""
    job = job_of(folder, number)
    (folder / f"jobs/000{number}/record.json").write_bytes(encode(result(job.case)))
    (folder / f"jobs/000{number}/exit-code").write_text("0\n")


def test_a_folder_holds_the_plan_and_its_jobs(place: Place, tmp_path: Path) -> None:
    folder = written(place, tmp_path)
    plan = RunFolder(folder).manifest()
    assert plan.runtime_reason == "slurm with docker; all processes in one container"
    assert [job_of(folder, number).process for number in (1, 2)] == [0, 1]
    assert job_of(folder, 1).salt == job_of(folder, 2).salt != ""
    assert job_of(folder, 1).limit_s
    subprocess.run(["sh", "-n", folder / "run.sh"], check=True)
    with pytest.raises(StorageError, match="never overwritten"):
        written(place, tmp_path)


@pytest.mark.parametrize("launcher", ["docker", "podman", "apptainer"])
def test_a_slurm_script_asks_for_a_gpu_and_is_bash(
    place: Place, tmp_path: Path, launcher: str
) -> None:
    script = written(place, tmp_path, "cuda", launcher=launcher, image="a b:1") / "submit.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text()
    assert "#SBATCH --gpus=1\n" in text
    assert f"{launcher} " in text and "'a b:1'" in text
    gpu = "--nv" if launcher == "apptainer" else '--gpus "device=${CUDA_VISIBLE_DEVICES:-0}"'
    assert gpu in text


def test_a_slurm_script_confines_as_a_run_here_does(place: Place, tmp_path: Path) -> None:
    text = (written(place, tmp_path) / "submit.sbatch").read_text()
    assert "--gpus" not in text
    for option in (
        "--network none", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges",
        "--init", "--pids-limit 4096", "--ulimit core=0",
        "--tmpfs /tmp:exec,nosuid,nodev,mode=1777", '--user "$(id -u):$(id -g)"',
    ):  # fmt: skip
        assert f"    {option} \\\n" in text, option


def pod_of(folder: Path) -> dict[str, Any]:
    listed = json.loads((folder / "job.json").read_text())["items"]
    assert [one["kind"] for one in listed] == ["ConfigMap", "NetworkPolicy", "Job"]
    spec: dict[str, Any] = listed[2]["spec"]["template"]["spec"]
    return spec


def test_kubernetes_objects_confine_their_pod(place: Place, tmp_path: Path) -> None:
    folder = written(place, tmp_path, "cuda", to="k8s", image="registry.example.org/vace:1")
    pod = pod_of(folder)
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.org/vace:1"
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 1}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (pod["securityContext"]["runAsUser"], pod["restartPolicy"]) == (USER_ID, "Never")
    listed = json.loads((folder / "job.json").read_text())["items"]
    labels = listed[2]["spec"]["template"]["metadata"]["labels"]
    policy = listed[1]["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert policy["policyTypes"] == ["Ingress", "Egress"]  # and no rule that lets anything through
    assert set(policy) == {"podSelector", "policyTypes"}
    assert len({one["metadata"]["name"] for one in listed}) == 1
    subprocess.run(["sh", "-n", folder / "bring-back.sh"], check=True)
    subprocess.run(["sh", "-n", "-c", container["command"][2]], check=True)


def test_what_cannot_be_submitted(place: Place, tmp_path: Path) -> None:
    for given in ({"to": "lsf"}, {"to": ""}):
        with pytest.raises(UsageError, match=r"--to .* is unknown; choose one of slurm, k8s"):
            wish(tmp_path, **given)
    for image in ("--privileged", '"$(id)"', "a\nb", " "):
        with pytest.raises(UsageError, match="is no name of an image"):
            wish(tmp_path, image=image)
    with pytest.raises(UsageError, match="--launcher 'rkt' is unknown"):
        wish(tmp_path, launcher="rkt")


def collected(folder: Path, place: Place) -> Path:
    return collect(str(folder), place, TOOLS, Screen(io.StringIO()))


def test_records_become_a_run_as_they_come_in(place: Place, tmp_path: Path) -> None:
    folder = written(place, tmp_path)
    with pytest.raises(UsageError, match="no case of submission sent has finished"):
        collected(folder, place)
    finish(folder, 1)
    path = collected(folder, place).parent
    assert path.parent == place.reports / "cpu"
    assert [process.number for process in RunFolder(path).load().todo] == [1]
    finish(folder, 2)
    assert collected(folder, place).parent == path
    run = RunFolder(path).load()
    assert run.todo == [] and len(run.finished) == 2
    facts = run.finished[0].provenance
    assert facts["image.id"].value == "sha256:built"
    assert facts["engine.version"].reason == (
        "the run was submitted (slurm with docker; all processes in one container)"
    )


def test_a_job_without_a_record_is_a_failure(place: Place, tmp_path: Path) -> None:
    folder = written(place, tmp_path)
    finish(folder, 1)
    (folder / "jobs/0002/exit-code").write_text("139\n")
    with pytest.raises(CaseError, match="1 of 2 processes failed"):
        collected(folder, place)
    (path,) = (place.reports / "cpu").iterdir()
    (failure,) = RunFolder(path).load().failures.values()
    assert "crashed (SIGSEGV); its output is in output.txt of job 0002" in failure.message
    assert failure.exit_code == 139


def test_what_a_node_may_not_send(place: Place, tmp_path: Path) -> None:
    folder = written(place, tmp_path)
    finish(folder, 1)
    record = folder / "jobs/0001/record.json"
    whole = record.read_bytes()
    other = msgspec.structs.replace(job_of(folder, 1).case, mode="depth")
    for blob, text in (
        (encode(result(other)), "is not of case e2e-text-eager"),
        (b"{", "damaged"),
        (b" " * (8 * 2**20 + 1), "is larger than"),
    ):
        record.write_bytes(blob)
        with pytest.raises(RecordError, match=text):
            collected(folder, place)
    record.unlink()
    (tmp_path / "elsewhere").write_bytes(whole)
    record.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match="is a link, which is not followed"):
        collected(folder, place)
    with pytest.raises(UsageError, match="is no folder of a submission"):
        collected(tmp_path, place)
    plan = RunFolder(folder).manifest()
    (folder / "run.json").write_bytes(
        encode(msgspec.structs.replace(plan, facts={"host.cpu": Fact(value="x")}))
    )
    with pytest.raises(UsageError, match="holds a run and no submission"):
        collected(folder, place)


# ------------------------------------------------------------------ for real


def sent(invoke: Invoke, tmp_path: Path, image_arguments: list[str], to: str) -> Path:
    (tmp_path / "one.toml").write_text(MATRIX.replace("processes = 2", "processes = 1"))
    folder = tmp_path / "sent"
    options = ["--matrix", str(tmp_path / "one.toml"), "--device", "cpu", "--out", str(folder)]
    answer = invoke("submit", "--to", to, *options, *image_arguments)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == str(folder)
    return folder


def check_collected(invoke: Invoke, folder: Path) -> None:
    answer = invoke("collect", "--source", str(folder))
    assert answer.returncode == 0, answer.stderr
    run = RunFolder(Path(answer.stdout.splitlines()[-1]).parent).load()
    assert run.todo == [] and len(run.finished) == 1
    for record in run.finished:
        check_provenance(run, record)
        assert record.provenance["container.network"].value is not None
        assert record.provenance["container.read_only_root"].value is True
    public = invoke("report", "--run", run.path.name, "--public")
    assert "name neither host nor user" in public.stdout, public.stderr


@pytest.mark.slow
def test_slurm_on_this_machine_runs_it(
    engine: Engine, image_arguments: list[str], invoke: Invoke, tmp_path: Path
) -> None:
    if reason := missing():
        pytest.fail(reason) if REQUIRED else pytest.skip(reason)
    folder = sent(invoke, tmp_path, image_arguments, "slurm")
    (tmp_path / "slurm").mkdir()
    with single_slurm(tmp_path / "slurm") as environment:
        command = ["sbatch", "--wait", "submit.sbatch"]
        ran = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500
        )
        log = "\n".join(path.read_text() for path in folder.glob("slurm-*.log"))
        assert ran.returncode == 0, (ran.stderr, log)
    assert log.splitlines()[-1] == "job 0001"
    check_collected(invoke, folder)


@pytest.mark.slow
def test_the_pod_of_kubernetes_runs_in_an_engine(
    engine: Engine, image_arguments: list[str], invoke: Invoke, tmp_path: Path
) -> None:
    """No cluster here: its only container, started by the engine with what the pod asks for."""
    folder = sent(invoke, tmp_path, image_arguments, "k8s")
    (container,) = pod_of(folder)["containers"]
    settings = json.loads((folder / "job.json").read_text())["items"][0]
    request, exchange = tmp_path / "request", tmp_path / "exchange"
    request.mkdir()
    exchange.mkdir()
    exchange.chmod(0o777)
    for name, text in settings["binaryData"].items():
        (request / name).write_bytes(base64.b64decode(text))
    for name, text in settings["data"].items():
        (request / name).write_text(text)
    assert {one["mountPath"] for one in container["volumeMounts"]} == {
        "/request", "/exchange", "/tmp"
    }  # fmt: skip
    (exchange / "collected").touch()  # so that it does not wait for a copy
    entry, *words = container["command"]
    name = f"vace-bench-test-{os.getpid()}"
    command = ["docker", "run", "--rm", "--name", name, "--read-only", "--network", "none"]
    command += ["--cap-drop", "ALL", "--user", f"{USER_ID}:{USER_ID}", "--tmpfs", "/tmp:exec"]
    command += ["--security-opt", "no-new-privileges"]
    command += [f"--env={one['name']}={one['value']}" for one in container["env"]]
    command += ["-v", f"{request}:/request:ro", "-v", f"{exchange}:/exchange"]
    command += ["--entrypoint", entry, container["image"], *words]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=500)
    finally:
        subprocess.run(["docker", "rm", "-f", name], capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert (exchange / "done").exists()
    blob = io.BytesIO()  # as bring-back.sh has it: tar there, tar here
    with tarfile.open(fileobj=blob, mode="w") as archive:
        for name in ("jobs", "install.json"):
            archive.add(exchange / name, name)
    blob.seek(0)
    with tarfile.open(fileobj=blob) as archive:
        archive.extractall(folder)
    check_collected(invoke, folder)


def test_the_commands_refuse_in_one_line(invoke: Invoke, tmp_path: Path) -> None:
    assert "--to '' is unknown" in one_line(invoke("submit"))
    assert "is no folder of a submission" in one_line(invoke("collect", "--source", "none"))

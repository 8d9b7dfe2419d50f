"""The objects that run a submission in a Kubernetes cluster, and the script that brings it back.

One JSON list: a ConfigMap with the jobs, a NetworkPolicy that lets nothing in or out, a Job of one
pod. The pod waits, for an hour at most, until its records have been copied out of it.
"""

import base64
import io
import math
import tarfile

import msgspec

from harness.errors import UsageError
from harness.host.lockdown import USER_ID
from harness.host.submission import JOBS, SCRIPT, Submission
from harness.result import Fact

OBJECTS = "job.json"
BRING_BACK = "bring-back.sh"
ARCHIVE = "jobs.tar"
MOST_ARCHIVE_BYTES = 700_000  # a ConfigMap holds 1 MiB, and base64 takes a third more
WAIT_FOR_COPY_S = 3600
WAIT_FOR_START = "2h"
CONFINES = Fact(
    value="no network by policy, read-only root, no capabilities, no privilege escalation, user "
    f"{USER_ID}, the runtime's seccomp profile"
)

START = f"""\
python -m tarfile -e /request/{ARCHIVE} /exchange
sh /request/{SCRIPT}
touch /exchange/done
waited=0
while [ ! -e /exchange/collected ] && [ $waited -lt {WAIT_FOR_COPY_S} ]; do
    sleep 5
    waited=$((waited + 5))
done
"""
BRING = f"""\
#!/bin/sh
# Starts the job, waits for it and copies its records into this folder; afterwards:
# invoke collect --source FOLDER
set -eu
cd "$(dirname "$0")"
kubectl apply -f {OBJECTS}
kubectl wait --for=condition=Ready pod -l job-name=%s --timeout={WAIT_FOR_START}
until kubectl exec job/%s -- test -e /exchange/done; do sleep 20; done
kubectl exec job/%s -- tar -C /exchange -cf - {JOBS} install.json | tar -xf - {JOBS} install.json
kubectl exec job/%s -- touch /exchange/collected
kubectl wait --for=condition=Complete job/%s --timeout=5m
kubectl delete -f {OBJECTS}
"""


def objects(submission: Submission) -> dict[str, str]:
    """The files by name. Raises UsageError for more jobs than a ConfigMap can hold."""
    name = f"vace-bench-{submission.name}"[:63].rstrip("-_").replace("_", "-")
    archive = _archive(submission.files)
    if len(archive) > MOST_ARCHIVE_BYTES:
        raise UsageError(
            f"the jobs take {len(archive) >> 10} KiB, more than a ConfigMap holds",
            next_step="leave some cases out with --only",
        )
    labels = {"app": name}
    listed = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "binaryData": {ARCHIVE: base64.b64encode(archive).decode()},
            "data": {SCRIPT: submission.files[SCRIPT].decode()},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name},
            "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress", "Egress"]},
        },
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": math.ceil(submission.limit_s) + WAIT_FOR_COPY_S,
                "template": {"metadata": {"labels": labels}, "spec": _pod(submission, name)},
            },
        },
    ]
    document = msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": listed})
    return {
        OBJECTS: msgspec.json.format(document, indent=1).decode() + "\n",
        BRING_BACK: BRING.replace("%s", name),
    }


def _pod(submission: Submission, name: str) -> dict[str, object]:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "bench",
                "image": submission.image,
                "command": ["sh", "-c", START],
                "env": [{"name": "HOME", "value": "/tmp"}, {"name": "USER", "value": "bench"}],
                "resources": {"limits": {"nvidia.com/gpu": 1} if submission.gpu else {}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "request", "mountPath": "/request", "readOnly": True},
                    {"name": "exchange", "mountPath": "/exchange"},
                    {"name": "tmp", "mountPath": "/tmp"},
                ],
            }
        ],
        "volumes": [
            {"name": "request", "configMap": {"name": name}},
            {"name": "exchange", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _archive(files: dict[str, bytes]) -> bytes:
    blob = io.BytesIO()
    with tarfile.open(fileobj=blob, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            if name.startswith(f"{JOBS}/"):
                item = tarfile.TarInfo(name)
                item.size = len(content)
                archive.addfile(item, io.BytesIO(content))
    return blob.getvalue()

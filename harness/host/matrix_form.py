"""The form of a matrix file for people and editors: a commented file to start from, a JSON schema.

    invoke new-matrix --name mine
    python -m harness.host.matrix_form > docs/matrix.schema.json

Both are made from the types that read a matrix, so they say what it takes.
"""

import os
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import UsageError, written_once
from harness.matrices import MATRICES
from harness.matrix import Matrix, MatrixName
from harness.variants import BASELINE, FIXES, STACKS

SCHEMA = "docs/matrix.schema.json"
DRAFT = "http://json-schema.org/draft-07/schema#"  # what TOML editors read

MEANING: dict[str, str] = {
    "kind": "e2e: chunks end to end; isolated: components alone; paired: arms in one process; "
    "quality: errors of arms against float32",
    "mode": "what VACE is fed with; text has no VACE branch",
    "compiled": "the VACE branch through torch.compile",
    "size": "WxH, multiples of 16; left out: --size, else the preset's",
    "vae": "tae is the fast autoencoder, wanvae the full one",
    "attention": "backend of the cached self-attention",
    "dtype": "of weights and activations; left out: --dtype, else bfloat16",
    "steps": "denoising forwards of a chunk",
    "window": "latent frames of the KV cache, sink and chunk included; in threes",
    "stretch": "chunks of a quality case before its prompt changes",
    "seed": "of weights, noise and generated clips",
    "arms": "of a paired or quality entry: base first, then again, compiled, delayN, no-telemetry "
    "or variants",
    "label": "stands for the arms in the case's id",
    "variant": "changes of the workload, joined by +; left out: --variant, else baseline",
    "processes": "fresh processes that measure the case; three are the least for a verdict",
    "bare": "on the host itself, also where the other cases are in containers",
    "profile": "attribute a few chunks to their parts; e2e only",
    "plant": "known costs, to check that the analysis names them",
    "warm_cache": "keep the caches of torch.compile between runs",
    "blocks": "timed blocks, synchronised at both ends",
    "chunks_per_block": "chunks in a block",
    "warmup_max_chunks": "warm-up ends here if it has not converged",
    "warmup_max_s": "the same in seconds",
    "measure_max_s": "no new timed block after this time, in seconds",
}
# What the commented file shows of each key: an example that loads.
EXAMPLES: dict[str, Any] = {
    "kind": ["e2e"],
    "mode": ["inpainting", "depth"],
    "compiled": [False, True],
    "size": ["512x512", "768x512"],
    "vae": ["tae"],
    "attention": ["default", "sdpa"],
    "dtype": ["bfloat16"],
    "steps": [4, 8],
    "window": [12, 24],
    "stretch": 12,
    "seed": [42, 43],
    "variant": [BASELINE, "lossless"],
    "processes": 3,
    "profile": True,
    "blocks": 5,
    "chunks_per_block": 10,
    "warmup_max_chunks": 20,
    "warmup_max_s": 120.0,
    "measure_max_s": 60.0,
}
GIVEN = ("kind", "mode")  # in the entry itself; the other keys stand there as comments


def schema() -> dict[str, Any]:
    """The JSON schema of a matrix file, with the known variants to choose from."""
    made: dict[str, Any] = _portable(msgspec.json.schema(Matrix))
    fields = made["$defs"]["Axes"]["properties"]
    for name, text in MEANING.items():
        fields[name]["description"] = text
    known = [*STACKS, *FIXES]
    for name, names in (("variant", [BASELINE, *known]), ("arms", ["base", "compiled", *known])):
        fields[name]["items"] = {"anyOf": [{"enum": names}, fields[name]["items"]]}
    # An editor of this draft reads nothing beside a reference: the matrix itself is the root.
    matrix = made["$defs"].pop("Matrix")
    return {"$schema": DRAFT, **matrix, "$defs": made["$defs"]}


def schema_file() -> bytes:
    """The schema as it is kept in the tree."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=1) + b"\n"


def new_matrix(project: Path, name: str, out: str | None = None) -> Path:
    """Writes a commented matrix, `<name>.toml` unless `out` names it; returns its path.

    Raises UsageError for a name that no matrix can have, StorageError for a file that is there.
    """
    try:
        msgspec.convert(name, MatrixName)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"--name '{name}' is no name of a matrix",
            next_step="take lower-case letters, digits, - and _, at most 32",
        ) from error
    if name in MATRICES:
        raise UsageError(f"matrix '{name}' is built in", next_step="take another --name")
    target = Path(out or f"{name}.toml")
    where = os.path.relpath(project / SCHEMA, os.path.abspath(target.parent))
    with written_once(target.name, f"write {target.name}"), target.open("x") as file:
        file.write(_commented(name, where))
    return target


def _commented(name: str, schema_path: str) -> str:
    rows = [("" if key in GIVEN else "# ") + f"{key} = {_toml(EXAMPLES[key])}" for key in EXAMPLES]
    width = max(map(len, rows))
    entry = [f"{row:<{width}}  # {MEANING[key]}" for row, key in zip(rows, EXAMPLES, strict=True)]
    return "\n".join(
        [
            f"#:schema {schema_path}",
            f"# Show its cases: invoke bench --dry-run --matrix {name}.toml",
            "# Every key is explained in docs/matrix.md.",
            f'name = "{name}"  # part of the run\'s id',
            "",
            "[[cases]]  # every combination of the lists becomes a case; more entries may follow",
            *entry,
            "",
        ]
    )


def _toml(value: Any) -> str:
    return msgspec.json.encode(value).decode().replace(",", ", ")  # TOML writes these alike


def _portable(value: Any) -> Any:
    """The schema with patterns as JSON Schema has them: `$` is its end of a text."""
    if isinstance(value, dict):
        return {
            key: inner.replace(r"\Z", "$") if key == "pattern" else _portable(inner)
            for key, inner in value.items()
        }
    return [_portable(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    print(schema_file().decode(), end="")

"""What must be equal before two measurements are compared, and what else differs between them.

An environment is what the plan, the case and the provenance say, by key. A difference is asked for
(the user named it), refused (a ratio would mean something else than it seems to) or only shown.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from harness.errors import UsageError
from harness.matrix import Case
from harness.result import Fact, Result
from harness.run import Manifest

Environment = dict[str, Fact]
Role = Literal["asked", "refused", "shown"]

# Key, or the beginning of keys up to a dot -> why a ratio means little where it differs.
MUST_MATCH: dict[str, str] = {
    "case.kind": "chunks of another kind of case run under other circumstances",
    "case.mode": "another mode does other work",
    "case.pipeline": "another pipeline does other work",
    "case.preset": "another preset is another model",
    "case.device": "a CPU run is a functional check",
    "case.width_px": "the work grows with the size",
    "case.height_px": "the work grows with the size",
    "case.vae": "another VAE does other work",
    "case.weights": "other weights may take other paths",
    "case.attention": "another backend is another kernel",
    "runtime": "a container may cost time",
    "clip": "other frames are other input",
    "attention.cached_self": "the backend that was really used is another",
    "attention.cross": "the backend that was really used is another",
    "attention.vace_self": "the backend that was really used is another",
    "workload.dtype": "another type does other work",
    "workload.seed": "another seed makes other weights and noise",
    "gpu.name": "another GPU",
    "gpu.mig": "a part of a GPU is another GPU",
    "gpu.power_limit_w": "the power limit sets the clock under load",
    "torch.version": "another torch brings other kernels",
    "torch.cuda": "another CUDA brings other libraries",
    "package.triton": "another Triton compiles other kernels",
    "package.sageattention": "another SageAttention brings another kernel",
}
# Naming two cases asks for every field in which they differ, but for these.
HELD_FIELDS = ("kind", "preset", "device", "width_px", "height_px")
# Field of a case -> keys that change with it.
FOLLOWS: dict[str, tuple[str, ...]] = {
    "mode": ("clip",),
    "vae": ("weights",),
    "weights": ("weights",),
    "attention": ("attention",),
    "seed": ("workload.seed", "clip", "weights"),
    "bare": ("runtime",),
}
# Provenance that is a state or an outcome, and differs between any two processes.
NOT_ENVIRONMENT = ("gpu.idle", "measure")
BRIEF = 48  # characters of a value in an error's line


@dataclass(frozen=True)
class Difference:
    """A key that the two sides do not share; None: this side does not record it."""

    key: str
    a: Fact | None
    b: Fact | None
    role: Role

    @property
    def texts(self) -> tuple[str, str]:
        """Both values in words."""
        return text(self.a), text(self.b)

    @property
    def reason(self) -> str:
        """Why the key matters to a ratio; empty for one that need not match."""
        return next((why for key, why in MUST_MATCH.items() if covered(self.key, (key,))), "")


def environment(manifest: Manifest, results: Sequence[Result]) -> Environment:
    """What is known about the processes of one case; a key on which they differ holds all values.

    `results` must not be empty.
    """
    case = results[0].case
    found = {
        f"case.{name}": Fact(value=", ".join(value) if isinstance(value, tuple) else value)
        for name, value in msgspec.structs.asdict(case).items()
    }
    bare = case.bare or manifest.runtime == "local"
    found["runtime"] = Fact(value="bare" if bare else "container")
    recorded = [
        {f"clip.{clip.role}": Fact(value=clip.sha256) for clip in result.clips} | result.provenance
        for result in results
    ]
    for key in dict.fromkeys(key for facts in recorded for key in facts):
        found[key] = _merged([facts[key] for facts in recorded if key in facts])
    return {**manifest.facts, **found}


def differences(a: Environment, b: Environment, asked: Collection[str] = ()) -> list[Difference]:
    """Keys of different value. What only one side records is shown: it proves no difference."""
    found = []
    for key in dict.fromkeys([*a, *b]):
        one, other = a.get(key), b.get(key)
        values = one.value if one else None, other.value if other else None
        if values[0] == values[1] or covered(key, NOT_ENVIRONMENT):
            continue
        role: Role = "shown"
        if covered(key, asked):
            role = "asked"
        elif one and other and covered(key, MUST_MATCH):
            role = "refused"
        found.append(Difference(key, one, other, role))
    return found


def asked_by_cases(a: Case, b: Case) -> list[str]:
    """Keys that naming two different cases asks about: fields that differ, and what follows."""
    if a.id == b.id:
        return []
    fields = [
        name
        for name, value in msgspec.structs.asdict(a).items()
        if value != getattr(b, name) and name not in HELD_FIELDS
    ]
    return [key for name in fields for key in (f"case.{name}", *FOLLOWS.get(name, ()))]


def check_comparable(found: Sequence[Difference], a: str, b: str) -> None:
    """Raises UsageError that names every key which must match, does not and was not asked for."""
    refused = {one.key: one for one in found if one.role == "refused"}
    if not refused:
        return
    named = "; ".join(
        f"{key}: {' against '.join(map(_brief, one.texts))}" for key, one in refused.items()
    )
    raise UsageError(
        f"{a} and {b} cannot be compared: {named}",
        next_step=f"if that is the question, add --across {','.join(refused)}",
    )


def parse_across(given: str | None) -> tuple[str, ...]:
    """'gpu, torch.version' -> its keys. Raises UsageError for an empty one."""
    if given is None:
        return ()
    keys = tuple(key.strip() for key in given.split(","))
    if not all(keys):
        raise UsageError(
            f"--across '{given}' holds an empty key", next_step="write e.g. --across gpu,torch"
        )
    return keys


def check_across(across: Sequence[str], environments: Sequence[Environment]) -> None:
    """Raises UsageError for a key of --across that no record has: it would ask for nothing."""
    known = sorted({key for facts in environments for key in facts})
    for prefix in across:
        if not any(covered(key, (prefix,)) for key in known):
            heads = dict.fromkeys(key.partition(".")[0] for key in known)
            raise UsageError(
                f"--across '{prefix}' is no key of these records",
                next_step=f"keys begin with {', '.join(heads)}",
            )


def covered(key: str, prefixes: Collection[str]) -> bool:
    """Whether a key is one of these, or lies below one."""
    return any(key == prefix or key.startswith(f"{prefix}.") for prefix in prefixes)


def text(fact: Fact | None) -> str:
    """A value in words."""
    if fact is None:
        return "not recorded"
    if fact.value is None:
        return f"not available ({fact.reason or 'no reason recorded'})"
    if isinstance(fact.value, bool):
        return "yes" if fact.value else "no"
    return str(fact.value)


def _brief(value: str) -> str:
    return value if len(value) <= BRIEF else f"{value[: BRIEF - 1]}…"


def _merged(facts: Sequence[Fact]) -> Fact:
    """What several processes say of one key, whichever of them says it."""
    if all(fact.value == facts[0].value for fact in facts):
        return facts[0]
    return Fact(value=", ".join(sorted({text(fact) for fact in facts})))

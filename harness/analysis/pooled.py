"""Whether processes whose times stand in one row ran the same code, image and fixes.

A run can go on in another checkout or with another image, and then holds processes of both. What a
record does not say proves no difference.
"""

from collections.abc import Iterable, Sequence

from harness.result import Result

# Facts that pooled processes should share -> what several of their values are called.
VERSIONS: dict[str, str] = {
    "git.commit": "commits",
    "image.base_id": "base images",
    "image.lock_sha256": "lock files",
    "torch.version": "versions of torch",
    "gpu.driver": "versions of the driver",
}
HASHES = ("git.commit", "image.base_id", "image.lock_sha256")
HASH_CHARACTERS = 12  # of a hash in words
STACK_FACTS = "workload.fixes."


def unequal_versions(results: Sequence[Result]) -> list[str]:
    """'commits A and B', and so on for each fact of which the processes name several values."""
    return [
        f"{words} {' and '.join(values)}"
        for name, words in VERSIONS.items()
        if len(values := _values(results, name)) > 1
    ]


def unequal_fixes(results: Sequence[Result]) -> list[str]:
    """'several sets of fixes by the name ARM', and the fixes that only some processes had."""
    names = dict.fromkeys(n for one in results for n in one.provenance if n.startswith(STACK_FACTS))
    arms = [name.removeprefix(STACK_FACTS) for name in names]
    found = {arm: _not_in_all(fixes_recorded(one, arm) for one in results) for arm in arms}
    return [
        f"several sets of fixes by the name {arm} (not in all: {', '.join(fixes)})"
        for arm, fixes in found.items()
        if fixes
    ]


def fixes_recorded(result: Result, arm: str) -> frozenset[str] | None:
    """The fixes of an arm as its record tells them; None where it does not."""
    fact = result.provenance.get(STACK_FACTS + arm)
    if fact is None or not isinstance(fact.value, str):
        return None
    return frozenset(fact.value.split(", "))


def proves_others(proof: Result, timed: Sequence[Result], arm: str) -> bool:
    """Whether the records say that an arm was proven with other fixes than it was timed with."""
    known = {fixes_recorded(one, arm) for one in (proof, *timed)} - {None}
    return len(known) > 1


def _values(results: Sequence[Result], name: str) -> list[str]:
    """What the processes say of a fact, each value once; a commit with changes is another one."""
    values: dict[str, None] = {}
    for result in results:
        fact = result.provenance.get(name)
        if fact is None or fact.value is None:
            continue
        text = str(fact.value)
        if name in HASHES:
            text = text.removeprefix("sha256:")[:HASH_CHARACTERS]
        dirty = result.provenance.get("git.dirty")
        changed = name == "git.commit" and dirty is not None and dirty.value is True
        values[f"{text} with changes" if changed else text] = None
    return list(values)


def _not_in_all(sets: Iterable[frozenset[str] | None]) -> list[str]:
    """Fixes that are in some of the recorded sets and not in all."""
    known = [fixes for fixes in sets if fixes is not None]
    return sorted(frozenset().union(*known) - frozenset.intersection(*known)) if known else []

"""Test Setup and Reproduce: what was run, on what, how, and how to run it again."""

import shlex
from dataclasses import dataclass

from harness.matrix import Case
from harness.presets import PRESETS
from harness.record_parts import ClipUse
from harness.report.cells import NOTHING, Block, Cell, Inline, Line, Table, count, line, table
from harness.report.material import Material, fact_cell, of, of_all, plan
from harness.report.sections.case_account import account
from harness.result import Fact, Result
from harness.variants import is_variant, resolve

# What the tables show, in this order; every other fact is in the full list.
PINS: tuple[tuple[str, str], ...] = (
    ("Image", "image.id"),
    ("Base image", "image.base"),
    ("Digest of the base image", "image.base_digest"),
    ("Lock file of the image (sha256)", "image.lock_sha256"),
    ("torch in the image", "image.torch_requirement"),
    ("Where torch comes from", "torch.source"),
    ("torch wheel (sha256)", "torch.wheel_sha256"),
    ("Packages kept from the base image", "image.kept_packages"),
    ("Commit", "git.commit"),
    ("Uncommitted changes", "git.dirty"),
    ("vace-bench", "harness.version"),
)
MOST_VALUES = 4  # of a fact that differs: more, or longer ones, are not listed
LONGEST_VALUE = 20  # characters
VAE_LABELS = {"tae": "TAE", "wanvae": "WanVAE"}
SHOWN_FACTS: tuple[tuple[str, str], ...] = (
    ("GPU", "gpu.name"),
    ("GPU id (salted hash)", "gpu.uuid_hash"),
    ("Compute capability", "gpu.capability"),
    ("Power limit (W)", "gpu.power_limit_w"),
    ("Largest SM clock (MHz)", "gpu.max_sm_clock_mhz"),
    ("PCIe link under load", "gpu.pcie"),
    ("Driver", "gpu.driver"),
    ("CUDA of the driver", "gpu.cuda_driver_version"),
    ("CUDA of torch", "torch.cuda"),
    ("torch", "torch.version"),
    ("Triton", "package.triton"),
    ("SageAttention", "package.sageattention"),
    ("Cached self-attention of the baseline", "attention.cached_self"),
    ("Cross-attention of the baseline", "attention.cross"),
    ("VACE self-attention of the baseline", "attention.vace_self"),
    ("Attention chosen by", "attention.chosen_by"),
    ("SDPA took", "attention.sdpa_kernel"),
    ("Weights", "weights.source"),
    ("Pipeline's file", "pipeline.file"),
    ("Pipeline's file (sha256)", "pipeline.sha256"),
    ("First steady chunk", "pipeline.first_steady_chunk"),
    ("Chunks without a reset", "pipeline.chunks_per_cycle"),
    ("Type of weights and activations", "workload.dtype"),
    ("CPU", "cpu.model"),
    ("CPUs usable", "cpu.count"),
    ("Kernel", "os.kernel"),
    ("Python", "python.version"),
    ("Container engine", "engine.version"),
    ("Lock-down", "container.lockdown"),
    ("Way to the GPU", "engine.gpu_way"),
    ("Benches on other GPUs meanwhile", "run.beside"),
    *PINS,
)


@dataclass(frozen=True)
class Setup:
    """What was measured and on what."""

    workload: Line
    runtime: Line
    in_container: bool
    some_bare: bool
    facts: Table | None
    cases: Table | None
    clips: Table | None
    all_facts: Table | None


@dataclass(frozen=True)
class Reproduce:
    """How to run the same again."""

    command: Block
    facts: Table | None


def setup(material: Material) -> Setup:
    """The section from the plan, the provenance and the cases' own account."""
    manifest = material.run.manifest
    return Setup(
        workload=_workload(material),
        runtime=line(
            "Runtime: ",
            Cell(manifest.runtime, (plan("/runtime"),)),
            ", because ",
            Cell(manifest.runtime_reason, (plan("/runtime_reason"),)),
            ". Matrix ",
            Cell(manifest.matrix, (plan("/matrix"),), "code"),
            ", started ",
            Cell(manifest.created_utc, (plan("/created_utc"),)),
            ".",
        ),
        in_container=manifest.runtime == "docker",
        some_bare=any(case.bare for case in manifest.cases),
        facts=_shown(material, SHOWN_FACTS),
        cases=_cases(material),
        clips=_clips(material.results),
        all_facts=_all_facts(material),
    )


def reproduce(material: Material) -> Reproduce:
    """The command as typed, and what pins its outcome."""
    command = shlex.join(material.run.manifest.command)
    return Reproduce(Block(command, (plan("/command"),), "sh"), _shown(material, PINS))


def _workload(material: Material) -> Line:
    if material.own:
        return _own_workload(material)
    manifest = material.run.manifest
    case = manifest.cases[0]
    source = plan("/cases/0/preset")
    model = PRESETS[case.preset].model
    sizes = sorted({f"{case.width_px}x{case.height_px}" for case in manifest.cases})
    vaes = sorted({VAE_LABELS[case.vae] for case in manifest.cases})
    return line(
        "Workload: preset ",
        Cell(case.preset, (source,), "code"),
        " at ",
        Cell(", ".join(sizes), (plan("/cases/*/width_px"), plan("/cases/*/height_px"))),
        ", ",
        count(model.num_layers, source),
        " transformer blocks of width ",
        count(model.dim, source),
        " with ",
        count(len(model.vace_layers), source),
        " VACE blocks, ",
        Cell(_lora(manifest.cases), (plan("/cases/*/variant"), plan("/cases/*/arms"))),
        " of rank ",
        count(model.lora_rank, source),
        ", VAE ",
        Cell(" and ".join(vaes), (plan("/cases/*/vae"),)),
        ", weights ",
        Cell(case.weights, (plan("/cases/0/weights"),)),
        ", seed ",
        Cell(str(case.seed), (plan("/cases/0/seed"),)),
        ".",
    )


def _lora(cases: list[Case]) -> str:
    """How the planned pipelines hold the adapters: fixes may merge them into the weights."""
    merged = {
        is_variant(name) and any(fix.name == "lora-merged" for fix in resolve(name))
        for case in cases
        for name in case.arms or (case.variant,)
    }
    if merged == {True}:
        return "merged LoRA"
    return "unmerged LoRA" if True not in merged else "LoRA (merged in some variants)"


def _own_workload(material: Material) -> Line:
    case = material.run.manifest.cases[0]
    return line(
        "Workload: a pipeline of the user's own, ",
        Cell(case.pipeline, (plan("/cases/0/pipeline"),), "code"),
        ", of the file ",
        material.fact_cell("pipeline.file"),
        " with sha256 ",
        Cell(case.pipeline_sha256, (plan("/cases/0/pipeline_sha256"),), "code"),
        ". It was asked for preset ",
        Cell(case.preset, (plan("/cases/0/preset"),), "code"),
        " at ",
        Cell(f"{case.width_px}x{case.height_px}", (plan("/cases/0/width_px"),)),
        " and seed ",
        Cell(str(case.seed), (plan("/cases/0/seed"),)),
        "; what it makes of that is its own affair.",
    )


def _shown(material: Material, wanted: tuple[tuple[str, str], ...]) -> Table | None:
    rows = []
    for label, name in wanted:
        found = material.fact(name)
        if found is not None:
            remark = _remark(material, name)
            rows.append((label, line(fact_cell(*found), *((" (", remark, ")") if remark else ()))))
    return table(("What", "Value"), rows)


def _cases(material: Material) -> Table | None:
    rows: list[tuple[Inline | str, ...]] = []
    for index, case in enumerate(material.run.manifest.cases):
        name = Cell(case.id, (plan(f"/cases/{index}"),), "code")
        result = material.run.results.get(case.id)
        failure = material.run.failures.get(case.id)
        if result is not None:
            rows.append((name, _state(material, result), *account(material.processes(result))))
        elif failure is not None:
            category = Cell(f"failed ({failure.category})")
            rows.append((name, category, NOTHING, NOTHING, NOTHING))
        else:
            rows.append((name, Cell("not run"), NOTHING, NOTHING, NOTHING))
    return table(("Case", "State", "Warm-up", ">Steady chunks", ">Timed blocks"), rows)


def _state(material: Material, result: Result) -> Inline:
    """Whether a case is finished, and by how many processes if it was planned with several."""
    done, planned = material.processes(result), result.case.processes
    if planned == len(done) == 1:
        return Cell("finished")
    at = of_all(done, "/process")
    if len(done) < planned:
        return line(count(len(done), *at), " of ", count(planned, *at), " processes finished")
    return line("finished, ", count(len(done), *at), " processes")


def _clips(results: list[Result]) -> Table | None:
    users: dict[tuple[str, str], list[tuple[Result, int, ClipUse]]] = {}
    for result in results:
        for index, clip in enumerate(result.clips):
            users.setdefault((clip.role, clip.sha256), []).append((result, index, clip))
    rows = []
    for uses in users.values():
        result, index, clip = uses[0]
        source = of(result, f"/clips/{index}")
        modes = dict.fromkeys(used.case.mode for used, _, _ in uses)
        rows.append(
            (
                clip.role,
                Cell(", ".join(modes)),
                clip.source,
                Cell(clip.name, (source,)),
                count(clip.frames_used, source),
                count(clip.frames_in_file, source),
                "yes" if clip.looped else "no",
                Cell(clip.sha256, (source,), "code"),
            )
        )
    heads = ("Role", "Modes", "Source", "Name", ">Frames used", ">In the file", "Looped", "sha256")
    return table(heads, rows)


def _all_facts(material: Material) -> Table | None:
    facts: dict[str, tuple[Fact, str]] = {
        name: (fact, plan(f"/facts/{name}")) for name, fact in material.run.manifest.facts.items()
    }
    for result in material.results:
        for one in material.processes(result):
            for name, fact in one.provenance.items():
                facts.setdefault(name, (fact, of(one, f"/provenance/{name}")))
    rows = []
    for name in sorted(facts):
        fact, source = facts[name]
        cells = (Cell(name, (source,), "code"), fact_cell(fact, source))
        rows.append((*cells, _remark(material, name) or ""))
    return table(("Fact", "Value", "Remark"), rows)


def _value(fact: Fact) -> str:
    return "not available" if fact.value is None else str(fact.value)


def _remark(material: Material, name: str) -> Cell | None:
    """Whether the plan's and the processes' own values of a fact differ; None where they agree.

    With the values, where they are few and short.
    """
    holders = [
        [one for one in processes if name in one.provenance]
        for processes in map(material.processes, material.results)
    ]
    cases = [[_value(one.provenance[name]) for one in processes] for processes in holders]
    planned = material.run.manifest.facts.get(name)
    first = [] if planned is None else [_value(planned)]
    values = list(dict.fromkeys([*first, *(value for values in cases for value in values)]))
    if not values[1:]:
        return None
    between = "processes" if any(len(set(values)) > 1 for values in cases) else "cases"
    few = len(values) <= MOST_VALUES and max(map(len, values)) <= LONGEST_VALUE
    told = f": {', '.join(values)}" if few else ""
    at = of_all([one for processes in holders for one in processes], f"/provenance/{name}")
    return Cell(f"differs between {between}{told}", (plan(f"/facts/{name}"), *at)[not first :])

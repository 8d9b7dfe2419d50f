"""A run as the report reads it: which case answers which question, and where its numbers lie."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import msgspec

from harness.analysis.chunks import ChunkTiming, base_arm, chunk_timing
from harness.analysis.claims import Subject
from harness.analysis.comparisons import over_processes
from harness.analysis.experiment import Location
from harness.analysis.growth import is_own_point
from harness.analysis.profile import main_slot
from harness.analysis.repeatability import COMPILED
from harness.matrix import DEFAULT_STRETCH, DEFAULT_WINDOW, Case, Kind, Mode
from harness.presets import DEFAULT_DTYPE, DEFAULT_STEPS, PRESETS
from harness.report.cells import Cell, Source
from harness.result import Fact, Failure, Result
from harness.run import Run
from harness.store import RunFolder, result_name
from harness.variants import BASELINE

BUILT_IN_MODES: tuple[Mode, ...] = ("inpainting", "depth", "text")
MODES: tuple[Mode, ...] = (*BUILT_IN_MODES, "own")
MODE_LABELS: dict[Mode, str] = {"inpainting": "Inpainting", "depth": "Depth", "text": "Text-only"}


@dataclass(frozen=True)
class Material:
    """The run with the look-ups that the sections share."""

    run: Run

    @cached_property
    def results(self) -> list[Result]:
        """Finished cases in plan order."""
        cases = self.run.manifest.cases
        return [self.run.results[case.id] for case in cases if case.id in self.run.results]

    @cached_property
    def end_to_end(self) -> list[Result]:
        """Finished end-to-end cases in plan order."""
        return [result for result in self.results if result.case.kind == "e2e"]

    def processes(self, result: Result) -> list[Result]:
        """Every finished process of a result's case."""
        return self.run.processes.get(result.case_id, [result])

    @cached_property
    def several(self) -> bool:
        """Whether any case was measured by several processes."""
        return any(len(results) > 1 for results in self.run.processes.values())

    def chunk(self, result: Result) -> Location | None:
        """Wall time of a case's steady chunk over its processes."""
        return over_processes(self.processes(result), "wall", base_arm(result.case))

    @property
    def own(self) -> str:
        """Name of the user's own pipeline; empty for a run of the built-in workload."""
        return self.run.manifest.cases[0].pipeline

    @cached_property
    def variants(self) -> list[str]:
        """Variants that the run is of, arms of a case left out; none where it has baselines too."""
        if any(
            _stands_alone(case) and case.variant == BASELINE for case in self.run.manifest.cases
        ):
            return []
        names = dict.fromkeys(case.variant for case in self.run.manifest.cases)
        return [name for name in names if name != BASELINE]

    @property
    def shows_variant(self) -> bool:
        """Whether a variant stands where a section looks for the workload as it is."""
        kinds: tuple[Kind, ...] = ("e2e", "isolated")
        plain = (self.plain(kind, mode) for kind in kinds for mode in MODES)
        return any(result.case.variant != BASELINE for result in plain if result is not None)

    @property
    def functional_only(self) -> bool:
        """A CPU or the tiny preset: the path is exercised, the numbers mean nothing."""
        cases = self.run.manifest.cases
        return any(case.device == "cpu" or case.preset == "tiny" for case in cases)

    def plain(self, kind: Kind, mode: Mode, *, compiled: bool = False) -> Result | None:
        """The first finished case of this kind and mode: baseline, default attention and VAE, and
        the preset's own size, steps and window where there is one.

        Where no such case was planned, the first of this kind and mode.
        """
        fitting = [
            result
            for result in self.results
            if (result.case.kind, result.case.mode, result.case.compiled) == (kind, mode, compiled)
        ]
        ordinary = [
            result
            for result in fitting
            if (result.case.attention, result.case.vae, result.case.plant) == ("default", "tae", "")
            and result.case.variant == BASELINE
        ]
        own = [result for result in ordinary if is_own_point(result.case)]
        return next(iter(own or ordinary or fitting), None)

    def timing(self, mode: Mode) -> ChunkTiming | None:
        """Chunk times of the plain eager case of a mode."""
        result = self.plain("e2e", mode)
        return chunk_timing(result) if result is not None else None

    def twin(self, case: Case, **changes: object) -> Result | None:
        """The finished case that differs only in `changes`, or None."""
        fields = msgspec.structs.asdict(case) | changes
        return self.run.results.get(msgspec.convert(fields, Case).id)

    def eager_twin(self, compiled: Result) -> Result | None:
        """The eager case to hold a compiled one against."""
        return self.twin(compiled.case, compiled=False, warm_cache=False)

    def chunk_of(self, isolated: Result) -> Result | None:
        """The end-to-end case whose chunk an isolated case's components are a part of."""
        return self.twin(isolated.case, kind="e2e")

    def profiled(self, mode: Mode, *, compiled: bool = False) -> Result | None:
        """The first process with a profiled steady chunk of the plain case of a mode."""
        result = self.plain("e2e", mode, compiled=compiled)
        if result is None:
            return None
        found = (one for one in self.processes(result) if main_slot(one.profile) is not None)
        return next(found, None)

    def subject(self, result: Result) -> Subject:
        """A profiled result with what the run measured beside it."""
        case = result.case
        paired = [
            one
            for results in self.run.processes.values()
            for one in results
            if one.case.mode == case.mode and COMPILED in one.case.arms
        ]
        other = None if case.attention == "sdpa" else self.twin(case, attention="sdpa")
        compiled = self.plain("e2e", case.mode, compiled=True)
        return Subject(result, other, tuple(paired), compiled)

    def fact(self, name: str) -> tuple[Fact, Source] | None:
        """A fact of the run's plan, or else of the first record that states it."""
        if name in self.run.manifest.facts:
            return self.run.manifest.facts[name], plan(f"/facts/{name}")
        isolated = [r for r in self.results if r.case.kind == "isolated"]
        others = [r for r in self.results if r.case.kind not in ("e2e", "isolated")]
        holders: list[Result | Failure] = [
            *self.end_to_end,
            *isolated,
            *others,
            *self.run.failures.values(),
        ]
        for record in holders:
            if name in record.provenance:
                return record.provenance[name], self.path_of(record, f"/provenance/{name}")
        return None

    def fact_cell(self, name: str) -> Cell:
        """A fact as text, or the reason why it is not known."""
        found = self.fact(name)
        if found is None:
            return Cell("not recorded")
        return fact_cell(*found)

    def path_of(self, record: Result | Failure, path: str = "") -> Source:
        """The source of a value in a case's file."""
        if isinstance(record, Result):
            return of(record, path)
        number = max(RunFolder(self.run.path).attempts(record.case_id))
        return f"cases/{record.case_id}.failed-{number}.json#{path}"


def _stands_alone(case: Case) -> bool:
    """Whether a case measures one workload, and compares nothing."""
    return case.kind in ("e2e", "isolated")


def of(result: Result, path: str = "") -> Source:
    """The source of a value in a finished case's record."""
    return f"cases/{result_name(result.case_id, result.process)}#{path}"


def of_all(results: Iterable[Result], path: str = "") -> tuple[Source, ...]:
    """The sources of a value in the records of several processes."""
    return tuple(of(result, path) for result in results)


def plan(path: str) -> Source:
    """The source of a value in the run's plan."""
    return f"run.json#{path}"


def fact_cell(fact: Fact, source: Source) -> Cell:
    """A fact as text, or the reason why it is not known."""
    if fact.value is None:
        return Cell(f"not available ({fact.reason or 'no reason recorded'})", (source,))
    if isinstance(fact.value, bool):
        return Cell("yes" if fact.value else "no", (source,))
    return Cell(str(fact.value), (source,))


def mode_label(case: Case) -> str:
    """A mode in words; the name of a pipeline of the user's own."""
    return case.pipeline or MODE_LABELS[case.mode]


def case_label(result: Result) -> Cell:
    """What sets a case apart, in words: mode, compiled or not, and what is not the default."""
    case = result.case
    words = [mode_label(case)]
    words += [f"variant {case.variant}"] if case.variant != BASELINE else []
    words += ["proof of output"] if case.kind == "quality" else []
    words += [f"arms {case.label or ' '.join(case.arms)}"] if case.arms else []
    words += [] if case.arms or case.pipeline else ["compiled" if case.compiled else "eager"]
    words += ["WanVAE"] if case.vae != "tae" else []
    unit = "step" if case.steps == 1 else "steps"
    words += [f"{case.steps} {unit}"] if case.steps != DEFAULT_STEPS else []
    words += [f"window {case.window}"] if case.window != DEFAULT_WINDOW else []
    words += [f"{case.stretch} chunks"] if case.stretch != DEFAULT_STRETCH else []
    words += [f"attention {case.attention}"] if case.attention != "default" else []
    words += [case.dtype] if case.dtype != DEFAULT_DTYPE else []
    words += [f"planted cost {case.plant}"] if case.plant else []
    words += ["bare"] if case.bare else []
    words += ["warm cache"] if case.warm_cache else []
    preset = PRESETS[case.preset]
    if (case.width_px, case.height_px) != (preset.width_px, preset.height_px):
        words.append(f"{case.width_px}x{case.height_px}")
    words += [f"seed {case.seed}"] if case.seed != 42 else []
    return Cell(", ".join(words), (of(result, "/case"),))

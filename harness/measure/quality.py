"""The proof of output: every arm's chunks against a float32 run with exact attention.

All pipelines start from the same weights and are fed the same pixels, prompts and noise, chunk by
chunk in step. After a first stretch, as long as the case says, the prompt changes: a hard cut where
frames condition the chunk, a recache where only text does. Nothing here is timed.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.arms import BASE_ARM
from harness.matrix import CHUNKS_AFTER_PROMPT
from harness.measure.bench import Bench
from harness.measure.frame_samples import frame_sample
from harness.measure.ssim import similarity
from harness.record_parts import Event, OutputError
from harness.variants import is_bounded
from harness.workload.prompt import seeded_prompt
from harness.workload.rollout import Pipeline
from harness.workload.variants.exact import exact_twin, set_exact_prompt
from harness.workload.variants.registry import apply, twin

YARDSTICK = "attention-sdpa"  # the baseline with PyTorch's attention: its error is the measure
DECIMALS = 8


@dataclass
class Subject:
    """A pipeline with what it showed in its latest chunk."""

    pipeline: Pipeline
    seen: dict[str, Tensor] = field(default_factory=dict)
    frames: Tensor | None = None

    def run(self, pixels: Tensor | None, mask: Tensor | None) -> None:
        """One chunk, in the pipeline's own type."""
        self.seen = {}
        self.pipeline.watch = self._keep
        dtype = self.pipeline.dtype
        given = [None if p is None else p.to(dtype) for p in (pixels, mask)]
        self.frames = self.pipeline.run_chunk(given[0], given[1])

    def _keep(self, name: str, value: Tensor) -> None:
        if name.endswith(("/flow", "/x0")) and name.startswith("step"):
            self.seen[name] = value.clone()

    def joined(self, kind: str) -> Tensor:
        """Flow or x0 of all steps as one vector, float64."""
        parts = [value for name, value in self.seen.items() if name.endswith(kind)]
        return torch.cat([part.flatten() for part in parts]).double()

    @property
    def shown(self) -> Tensor:
        """The chunk's frames [T, H, W, 3] in [0, 1]."""
        assert self.frames is not None
        return self.frames

    @property
    def latent(self) -> Tensor:
        """The chunk's latent: x0 of the last step, as a vector."""
        return self.seen[f"step{len(self.pipeline.config.steps) - 1}/x0"].flatten().double()


def measure(bench: Bench) -> None:
    """Fills the output errors of the findings."""
    case, findings = bench.case, bench.findings
    base = bench.built_in
    exact = Subject(exact_twin(base.workload))
    names = list(dict.fromkeys((*case.arms, YARDSTICK)))
    arms = {name: Subject(twin(base.workload)) for name in names if name != BASE_ARM}
    for name, subject in arms.items():
        apply(subject.pipeline, name)
    arms = {BASE_ARM: Subject(base.workload), **arms}
    _set_prompt(bench, case.seed, exact, arms.values())
    stretch = case.stretch
    total = stretch + CHUNKS_AFTER_PROMPT
    shown = stretch - 1 if _keeps_frames(bench) else None  # where an error that grows is largest
    findings.enter("quality")
    for chunk in range(total):
        findings.progress(chunk, total, "chunk against float32")
        if chunk == stretch:
            _set_prompt(bench, case.seed + 1, exact, arms.values())
        pixels, mask = base.prepare(chunk)
        with _without_tf32():
            exact.run(pixels, mask)
        if chunk == shown:
            findings.frames.append(frame_sample(None, chunk, exact.shown, exact.shown))
        for name, subject in arms.items():
            subject.run(pixels, mask)
            findings.output_errors.append(_error(name, chunk, _event(bench, chunk), subject, exact))
            if chunk == shown:
                findings.frames.append(frame_sample(name, chunk, subject.shown, exact.shown))
    findings.progress(total, total)
    findings.close()


def _keeps_frames(bench: Bench) -> bool:
    """Only where an arm allows an error, and never of a video of the user's own."""
    generated = all(clip.source == "generated" for clip in bench.findings.clips)
    return generated and any(map(is_bounded, bench.case.arms[1:]))


def _set_prompt(bench: Bench, seed: int, exact: Subject, arms: Iterable[Subject]) -> None:
    pipeline = bench.built_in.workload
    prompt = seeded_prompt(pipeline.config.model, seed).to(pipeline.device, pipeline.dtype)
    set_exact_prompt(exact.pipeline, prompt)
    for subject in arms:
        subject.pipeline.set_prompt(prompt)


def _event(bench: Bench, chunk: int) -> Event:
    """What happens in a chunk of the proof."""
    conditioned = bench.built_in.clip is not None
    stretch = bench.case.stretch
    if chunk == stretch:
        return "hard cut" if conditioned else "recache"
    if chunk == 0:
        return "first"
    since = chunk - stretch if conditioned and chunk > stretch else chunk
    return "filling" if since < bench.pipeline.first_steady_chunk else "steady"


def _error(arm: str, chunk: int, event: Event, subject: Subject, exact: Subject) -> OutputError:
    keys, values = _cache_distances(subject.pipeline, exact.pipeline)
    flow, x0 = (_distance(subject.joined(kind), exact.joined(kind)) for kind in ("/flow", "/x0"))
    squared = float((subject.shown - exact.shown).double().square().mean())
    latent = _distance(subject.latent, exact.latent)
    return OutputError(
        arm=arm,
        chunk=chunk,
        event=event,
        flow=flow.error,
        x0=x0.error,
        keys=keys.error,
        values=values.error,
        latent_cosine=latent.cosine,
        frame_psnr_db=None if squared == 0 else round(-10 * math.log10(squared), 3),
        flow_cosine=flow.cosine,
        x0_cosine=x0.cosine,
        keys_cosine=keys.cosine,
        values_cosine=values.cosine,
        frame_ssim=round(similarity(subject.shown, exact.shown), DECIMALS),
    )


@dataclass(frozen=True)
class Distance:
    """Of a vector from the reference: norm of the difference over its norm, and the cosine."""

    error: float
    cosine: float

    @classmethod
    def of(cls, off: float, got: float, want: float) -> "Distance":
        """From squared norms of the difference, the vector and the reference.

        The cosine follows by the law of cosines: got + want - off is twice the inner product.
        """
        cosine = (got + want - off) / (2 * math.sqrt(got * want))
        return cls(round(math.sqrt(off / want), DECIMALS), round(cosine, DECIMALS))


def _cache_distances(pipeline: Pipeline, exact: Pipeline) -> list[Distance]:
    """Of all blocks' keys and of their values, oldest first in both."""
    sums = torch.zeros(2, 3, dtype=torch.float64)
    for cache, reference in zip(pipeline.caches, exact.caches, strict=True):
        sides = zip(cache.contents(), reference.contents(), strict=True)
        for side, (got, want) in enumerate(sides):
            got = got.float()
            for place, values in enumerate((got - want, got, want)):
                sums[side, place] += float(values.square().sum(dtype=torch.float64))
    return [Distance.of(*side) for side in sums.tolist()]


def _distance(got: Tensor, want: Tensor) -> Distance:
    """Of two vectors in float64."""
    off, own, reference = (float(v.square().sum()) for v in (got - want, got, want))
    return Distance.of(off, own, reference)


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Full float32 in products and convolutions."""
    cudnn = torch.backends.cudnn
    before = (torch.get_float32_matmul_precision(), cudnn.allow_tf32)
    try:
        torch.set_float32_matmul_precision("highest")
        cudnn.allow_tf32 = False
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32 = before[1]

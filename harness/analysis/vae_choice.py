"""WanVAE against TAE: each as it is, compiled and in the stack.

Forms of one autoencoder share processes, so they are compared within them; the two autoencoders
have processes of their own, interleaved, and are compared over them: by wall time, and by GPU-busy
time, which a busy host does not blur.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.chunks import steady_chunks
from harness.analysis.comparisons import Measure, compare_cases
from harness.analysis.experiment import Verdict
from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.analysis.interval import median
from harness.analysis.limit_cases import compares_vae
from harness.analysis.output_errors import fixes_of
from harness.arms import BASE_ARM
from harness.result import Result
from harness.variants import LOSSLESS, LOSSLESS_WANVAE, Vae

Form = Literal["as it is", "compiled", "in the stack"]
FORMS: dict[Form, dict[Vae, str]] = {
    "as it is": {"tae": BASE_ARM, "wanvae": BASE_ARM},
    "compiled": {"tae": "tae-compiled", "wanvae": "wan-compiled"},
    "in the stack": {"tae": LOSSLESS, "wanvae": LOSSLESS_WANVAE},
}
VAES: tuple[Vae, ...] = ("tae", "wanvae")


@dataclass(frozen=True)
class VaeForm:
    """One autoencoder in one form."""

    vae: Vae
    form: Form
    times: ArmTimes
    encode_ms: float | None  # None where one CUDA graph holds more than the stage
    decode_ms: float | None
    wall_over_tae: Verdict | None  # against the TAE's same form; None for the TAE itself
    busy_over_tae: Verdict | None  # None on a CPU too


def vae_forms(processes: Mapping[str, Sequence[Result]]) -> list[VaeForm]:
    """Every measured form of both; empty where the run does not have both autoencoders."""
    cases: dict[Vae, Sequence[Result]] = {}
    for results in processes.values():
        if compares_vae(results[0].case):
            cases.setdefault(results[0].case.vae, results)
    if len(cases) < len(VAES):
        return []
    found = []
    for form, arms in FORMS.items():
        for vae in VAES:
            times = arm_times(cases[vae], arms[vae])
            if times is None:
                continue
            found.append(
                VaeForm(
                    vae=vae,
                    form=form,
                    times=times,
                    encode_ms=_stage_ms(times, "encode"),
                    decode_ms=_stage_ms(times, "decode"),
                    wall_over_tae=_over_tae(cases, vae, form, "wall"),
                    busy_over_tae=_over_tae(cases, vae, form, "busy"),
                )
            )
    return found


def _over_tae(
    cases: Mapping[Vae, Sequence[Result]], vae: Vae, form: Form, measure: Measure
) -> Verdict | None:
    """None for the TAE itself, and where either has no such samples."""
    if vae == "tae":
        return None
    arms = FORMS[form]
    return compare_cases(cases["tae"], cases[vae], measure, arms["tae"], arms[vae])


def _stage_ms(times: ArmTimes, stage: str) -> float | None:
    """Median over all steady chunks of the arm, on the device's clock."""
    if "graph-chunk" in fixes_of(times.arm):
        return None
    chunks = (chunk for result in times.results for chunk in steady_chunks(result, times.arm))
    taken = [chunk.stage_ms[stage] for chunk in chunks if stage in chunk.stage_ms]
    return median(taken) if taken else None

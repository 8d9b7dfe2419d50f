"""Made-up profiles: the operators and stages of `parts`, spread over the model's parts.

Device time is that of OPERATORS, the span that of STAGES_MS, so that what is left is idle time.
"""

import random

from harness.matrix import Case
from harness.profiled import (
    Ceilings,
    Gap,
    OperatorPart,
    PartTime,
    Profile,
    ProfiledChunk,
    StageMark,
    SyncSite,
    Timeline,
)

# Operator -> shares of its calls and time by part.
SPREAD: dict[str, dict[str, float]] = {
    "aten::addmm": {
        "base/ffn": 0.34, "base/qkv": 0.2, "base/out": 0.07, "base/cross_attention/qkv": 0.05,
        "base/cross_attention/out": 0.05, "vace/ffn": 0.13, "vace/qkv": 0.07, "vace/out": 0.02,
        "vace/cross_attention/qkv": 0.03, "vace/cross_attention/out": 0.02, "vace/after": 0.01,
        "vace/before": 0.002, "embed.text": 0.004, "embed.time": 0.002, "head": 0.002,
    },
    "aten::mm": {
        "base/ffn/lora": 0.44, "base/qkv/lora": 0.3, "base/out/lora": 0.1,
        "base/cross_attention/qkv/lora": 0.08, "base/cross_attention/out/lora": 0.08,
    },
    "sageattn": {"base/attention": 1.0},
    "aten::_flash_attention_forward": {
        "base/cross_attention/attention": 0.71, "vace/cross_attention/attention": 0.29,
    },
    "flex_attention": {"vace/attention": 1.0},
    "aten::cudnn_convolution": {"vae": 0.98, "embed.patch": 0.01, "vace/patch": 0.01},
    "aten::cat": {
        "base/rope": 0.45, "vace/rope": 0.1, "base/cache.window": 0.32, "vace/stack": 0.08,
        "vace/pad": 0.05,
    },
    "aten::mul": {
        "base/rope": 0.35, "vace/rope": 0.1, "base/ffn/lora": 0.1, "base/qkv/lora": 0.08,
        "base/out/lora": 0.03, "base/modulation": 0.14, "vace/modulation": 0.06,
        "base/norm": 0.08, "vace/norm": 0.04, "base/hints": 0.02,
    },
    "aten::add": {
        "base/ffn/lora": 0.2, "base/qkv/lora": 0.17, "base/out/lora": 0.08,
        "base/modulation": 0.32, "vace/modulation": 0.12, "base/hints": 0.08, "x0": 0.01,
        "add_noise": 0.01, "history": 0.01,
    },
    "aten::item": {"base/cache.index": 0.93, "vace/attention": 0.07},
    "aten::_local_scalar_dense": {"base/cache.index": 0.93, "vace/attention": 0.07},
    "aten::_to_copy": {
        "base/rope": 0.4, "vace/rope": 0.1, "base/norm": 0.35, "vace/norm": 0.14, "x0": 0.01,
    },
    "aten::copy_": {
        "base/rope": 0.31, "vace/rope": 0.09, "base/cache.clone": 0.2, "base/cache.write": 0.03,
        "base/cache.update/cache.write": 0.03, "base/cache.roll": 0.02,
        "base/cache.update/cache.roll": 0.02, "base/norm": 0.18, "vace/norm": 0.06,
        "base/attention": 0.04, "vae": 0.02,
    },
    "aten::native_layer_norm": {"base/norm": 0.72, "vace/norm": 0.28},
    "aten::rsqrt": {"base/norm": 0.72, "vace/norm": 0.28},
    "aten::gelu": {"base/ffn": 0.72, "vace/ffn": 0.28},
    "aten::fill_": {"base/cache.update": 0.9, "noise": 0.1},
}  # fmt: skip
# Cause of idle time -> its share of all of it, and the parts whose launches ended the waits.
IDLE: dict[str, tuple[float, tuple[str, ...]]] = {
    "launch": (0.27, ("base/norm", "base/modulation", "base/rope", "vace/norm")),
    "operator": (0.33, ("base/norm", "base/modulation", "base/rope", "base/qkv/lora")),
    "python": (0.14, ("base/cache.clone", "base/modulation", "vace/norm", "")),
    "sync": (0.16, ("base/cache.index",)),
    "copy": (0.05, ("base/cache.index",)),
    "queue": (0.05, ("base/ffn", "base/qkv")),
}
DISTORTION = 1.18
TEXT_FACTOR = 0.86  # of device time, so that a text-only chunk has idle time too
FILLING_READS = 846  # of a chunk whose cache is not full
READS = ("aten::item", "aten::_local_scalar_dense")
STEPS = ("denoise.0", "denoise.1", "denoise.2", "denoise.3")
HOST_SHARES = {"launch": 0.3, "operator": 0.35, "python": 0.34}  # the rest: other runtime calls
READS_MS = 31.0  # of an unprofiled chunk, inside reads of the device
BINS = 24
HOST_CALLS = {"cudaLaunchKernel": 15_122, "cudaMemcpyAsync": 2976, "cudaStreamSynchronize": 692}
SITES = (
    SyncSite(location="kv_cache.py:61", calls=690),
    SyncSite(location="context.py:40", calls=1),
)

Operators = tuple[tuple[str, int, float | None], ...]


def ceilings(gpu: bool) -> Ceilings:
    if not gpu:
        return Ceilings(
            matmul_flops_per_s=None,
            copy_bytes_per_s=None,
            attention_flops_per_s={},
            reason="the case ran on a CPU",
        )
    return Ceilings(
        matmul_flops_per_s=7.4e14,
        copy_bytes_per_s=4.1e12,
        attention_flops_per_s={"cached_self": 3.4e14, "cross": 2.6e14, "vace_self": 3.6e14},
    )


def profile(
    case: Case, operators: Operators, stages_ms: dict[str, float], wall_median_ms: float
) -> Profile:
    """Three chunks as the profile pass keeps them: the middle steady one, the first, a filling."""
    gpu = case.device == "cuda"
    factor = random.Random(f"profile of {case.id}").uniform(0.999, 1.001)
    steady = _chunk(case, operators, stages_ms, 31, factor)
    first = _chunk(case, operators, stages_ms, 0, 0.84, kind="first")
    fewer = tuple((n, FILLING_READS if n in READS else c, t) for n, c, t in operators)
    filling = _chunk(case, fewer, stages_ms, 2, 0.93, kind="filling")
    return Profile(
        chunks=[steady, first, filling],
        steady_wall_ms=[steady.wall_ms * n for n in (0.998, 1.0, 1.003)],
        wall_median_ms=wall_median_ms,
        sync_sites=list(SITES) if gpu else [],
        sync_reason=None if gpu else "a CPU has nothing to wait for",
        trace=f"{case.id}.trace.json.gz",
        problems=[],
        stages_host_ms={name: time_ms * 0.98 for name, time_ms in stages_ms.items()},
        stages_synchronised_ms={name: time_ms * 1.05 for name, time_ms in stages_ms.items()},
        reads_ms=READS_MS if gpu else None,
        reads=691 if gpu else None,
    )


def _chunk(
    case: Case,
    operators: Operators,
    stages_ms: dict[str, float],
    chunk: int,
    factor: float,
    kind: str = "steady",
) -> ProfiledChunk:
    gpu = case.device == "cuda"
    quick = TEXT_FACTOR if case.mode == "text" else 1.0
    rows = _operator_parts(case, operators, factor * quick, gpu)
    busy_ms = sum(row.device_ms for row in rows)
    event_ms = sum(stages_ms.values()) * factor
    span_ms = event_ms * 1.05 if gpu else 0.0
    idle_ms = max(span_ms - busy_ms, 0.0) if gpu else 0.0
    parts = parts_of(rows, list(stages_ms), event_ms * DISTORTION, gpu)
    return ProfiledChunk(
        kind=kind,  # type: ignore[arg-type]
        chunk=chunk,
        wall_ms=event_ms * DISTORTION,
        event_ms=event_ms if gpu else None,
        span_ms=busy_ms + idle_ms,
        busy_ms=busy_ms,
        kernels=sum(part.kernels for part in parts),
        unattributed_ms=0.0,
        parts=parts,
        operators=rows,
        gaps=_gaps(case, idle_ms, list(stages_ms), kind) if gpu else [],
        host_calls=HOST_CALLS if gpu else {},
        timeline=_timeline(stages_ms, event_ms * DISTORTION, gpu) if kind == "steady" else None,
    )


def _timeline(stages_ms: dict[str, float], wall_ms: float, gpu: bool) -> Timeline:
    marks, start_ms = [], 0.0
    for stage, time_ms in stages_ms.items():
        end_ms = start_ms + time_ms * wall_ms / sum(stages_ms.values())
        marks.append(StageMark(stage=stage, start_ms=start_ms, end_ms=end_ms))
        start_ms = end_ms
    shares = HOST_SHARES | {"sync": 0.01, "copy": 0.0}
    return Timeline(
        bin_ms=wall_ms / BINS,
        busy=[0.8 if gpu else 0.0] * BINS,
        host={cause: [share] * BINS for cause, share in shares.items()},
        stages=marks,
    )


def _operator_parts(
    case: Case, operators: Operators, factor: float, gpu: bool
) -> list[OperatorPart]:
    rows: dict[tuple[str, str], OperatorPart] = {}
    for name, calls, device_ms in operators:
        for part, share in SPREAD.get(name, {}).items():
            if case.mode == "text" and (part.startswith("vace") or part == "base/hints"):
                continue
            own, place, work = name, part, share
            if case.compiled and part.startswith("vace"):
                place = "vace"
                if name.startswith("aten::") and name not in ("aten::addmm", "aten::_flash"):
                    own, work = "triton_poi_fused_0", share * 0.6
            row = rows.get((own, place))
            time_ms = (device_ms or 0.0) * work * factor if gpu else 0.0
            rows[own, place] = OperatorPart(
                operator=own,
                part=place,
                calls=round(calls * share) + (row.calls if row else 0),
                device_ms=time_ms + (row.device_ms if row else 0.0),
                host_ms=calls * share * 0.005 + (row.host_ms or 0.0 if row else 0.0),
            )
    return list(rows.values())


def _stages_of(part: str, stages: list[str]) -> list[tuple[str, float]]:
    """Where a part runs, and its shares."""
    if part.startswith("vace"):
        return [(f"hints.{step}", 0.25) for step in range(4)]
    if part == "vae":
        return [("encode", 0.54), ("decode", 0.46)] if "encode" in stages else [("decode", 1.0)]
    if part in ("noise", "history"):
        return [("prepare" if part == "noise" else "finish", 1.0)]
    if part == "add_noise":
        return [(stage, 1 / 3) for stage in STEPS[:3]]
    if part == "base/hints":
        return [(stage, 0.25) for stage in STEPS]
    return [(stage, 0.2) for stage in (*STEPS, "clean")]


def parts_of(
    rows: list[OperatorPart], stages: list[str], host_ms: float, gpu: bool
) -> list[PartTime]:
    """Parts by stage; host time follows the operators' calls."""
    total_calls = sum(row.calls for row in rows)
    device: dict[str, tuple[float, int, int]] = {}
    for row in rows:
        ms, kernels, calls = device.get(row.part, (0.0, 0, 0))
        launched = row.calls if row.device_ms else 0
        device[row.part] = (ms + row.device_ms, kernels + launched, calls + row.calls)
    parts = []
    for part, (device_ms, kernels, calls) in device.items():
        own_ms = host_ms * calls / total_calls
        waits = gpu and part == "base/cache.index"
        for stage, share in _stages_of(part, stages):
            left_ms = own_ms * share * (0.4 if waits else 1.0)
            parts.append(
                PartTime(
                    stage=stage,
                    part=part,
                    calls=round(150 * share) if part.startswith("base") else round(60 * share),
                    kernels=round(kernels * share),
                    device_ms=device_ms * share,
                    host_ms=own_ms * share,
                    launch_ms=left_ms * HOST_SHARES["launch"] if gpu else 0.0,
                    sync_ms=own_ms * share * 0.6 if waits else 0.0,
                    operator_ms=left_ms * HOST_SHARES["operator"],
                    python_ms=left_ms * HOST_SHARES["python"],
                )
            )
    return parts


def _gaps(case: Case, idle_ms: float, stages: list[str], kind: str) -> list[Gap]:
    """By stage in a steady chunk, over all stages in others, as the profile pass keeps them."""
    gaps = []
    for cause, (share, parts) in IDLE.items():
        chosen = [part for part in parts if case.mode != "text" or not part.startswith("vace")]
        for part in chosen:
            place = "vace" if case.compiled and part.startswith("vace") else part
            own_ms = idle_ms * share / len(chosen)
            spread: list[tuple[str | None, float]] = [(None, 1.0)]
            if kind == "steady":
                spread = list(_stages_of(part, stages))
            gaps += [
                Gap(
                    cause=cause,  # type: ignore[arg-type]
                    part=place,
                    gaps=round(own_ms * portion * 90),
                    idle_ms=own_ms * portion,
                    stage=stage,
                )
                for stage, portion in spread
            ]
    return gaps

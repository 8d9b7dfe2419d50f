"""Parts of made-up records: what stays the same whatever a run is made to show."""

import random

from harness.matrix import Case
from harness.record_parts import (
    ClipUse,
    CompileStats,
    Component,
    CounterReading,
    CountPass,
    GpuSeries,
    GpuState,
    HostSeries,
    Kernel,
    Memory,
    Operator,
    PhaseMark,
)
from harness.report.audit import (
    REQUIRED,
    REQUIRED_OF_BUILT_IN,
    REQUIRED_OF_CONTAINER,
    REQUIRED_OF_GPU,
    REQUIRED_OF_SAMPLER,
)
from harness.result import Fact

STAGES_MS = {
    "prepare": 0.9,
    "encode": 17.0,
    "denoise.0": 68.0,
    "hints.0": 31.0,
    "denoise.1": 67.0,
    "hints.1": 31.2,
    "denoise.2": 66.5,
    "hints.2": 31.1,
    "denoise.3": 66.8,
    "hints.3": 31.3,
    "clean": 66.0,
    "decode": 14.0,
    "finish": 0.6,
}
COMPONENTS_MS = {
    "vae_encode_single": (0, 9.1),
    "context_encode": (1, 17.4),
    "vace_patch_embedding": (4, 0.11),
    "vace_forward": (4, 30.9),
    "vae_decode": (1, 13.8),
}
OPERATORS = (
    ("aten::addmm", 1894, 78.1),
    ("aten::mm", 2400, 24.2),
    ("sageattn", 150, 111.3),
    ("aten::_flash_attention_forward", 210, 7.9),
    ("aten::scaled_dot_product_attention", 210, 0.0),
    ("attention.cross", 210, 0.0),
    ("flex_attention", 60, 10.4),
    ("aten::convolution", 114, 0.0),
    ("aten::cudnn_convolution", 114, 13.2),
    ("aten::cat", 1887, 29.0),
    ("aten::mul", 4241, 46.3),
    ("aten::add", 3210, 30.2),
    ("aten::item", 906, 0.0),
    ("aten::_local_scalar_dense", 906, 1.9),
    ("aten::_to_copy", 2414, 0.0),
    ("aten::copy_", 3753, 51.4),
    ("aten::native_layer_norm", 515, 6.1),
    ("aten::rsqrt", 540, 1.4),
    ("aten::gelu", 215, 9.8),
    ("aten::fill_", 400, 1.2),
    ("cudaLaunchKernel", 15122, None),
    ("cudaStreamSynchronize", 692, None),
)
SM_CLOCK_MHZ = 1980.0


def isolated_phases() -> list[PhaseMark]:
    bounds = (("load", 1000.0, 1011.0), ("warmup", 1011.0, 1014.0), ("steady", 1014.0, 1030.0))
    return [PhaseMark(name=name, start_s=a, end_s=b) for name, a, b in bounds]  # type: ignore[arg-type]


def components(
    case: Case, random_: random.Random, speed: float, phases: list[PhaseMark]
) -> list[Component]:
    gpu = case.device == "cuda"
    found = []
    for name, (calls, median_ms) in COMPONENTS_MS.items():
        times = [median_ms * speed * random_.uniform(0.999, 1.001) for _ in range(50)]
        found.append(
            Component(
                name=name,
                variant="compiled" if case.compiled and name.startswith("vace_") else "eager",
                calls_per_chunk=calls,
                calls_per_sample=10,
                block=[index // 10 for index in range(50)],
                start_s=[phases[-1].start_s + 0.3 * index for index in range(50)],
                wall_ms=times,
                event_ms=[time * 0.998 for time in times] if gpu else None,
            )
        )
    return found


def compile_stats(case: Case) -> CompileStats:
    whole = case.kind != "isolated"
    return CompileStats(
        cold_s={"first_chunk": 45.4}
        if whole
        else {"vace_patch_embedding": 3.2, "vace_forward": 41.7},
        graphs=16,
        graph_breaks=0,
        break_reasons=[],
        recompiles=0,
        recompile_reasons=[],
    )


def memory(gpu: bool) -> Memory:
    if not gpu:
        reason = "a CPU run has no device memory"
        return Memory(
            allocated_peak_bytes=None,
            reserved_peak_bytes=None,
            device_peak_bytes=None,
            reason=reason,
        )
    return Memory(
        allocated_peak_bytes=9 * 2**30,
        reserved_peak_bytes=11 * 2**30,
        device_peak_bytes=12 * 2**30,
    )


def count_pass(case: Case, gpu: bool) -> CountPass:
    operators = [
        Operator(name=name, calls=calls, device_ms=time if gpu else None)
        for name, calls, time in OPERATORS
        if not (case.mode == "text" and name == "flex_attention")
    ]
    total_ms = sum(operator.device_ms or 0.0 for operator in operators)
    kernels = [
        Kernel(name="_attn_fwd", calls=150, device_ms=111.3),
        Kernel(name="nvjet_tst_192x192_64x4_2x1_v_bz_coopB_TNT", calls=1894, device_ms=78.1),
        Kernel(
            name="void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl_nocast<at"
            "::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}>>(int)",
            calls=3753,
            device_ms=51.4,
        ),
        Kernel(name="Memcpy DtoD (Device -> Device)", calls=2068, device_ms=9.0),
        Kernel(name="everything else", calls=9000, device_ms=total_ms - 249.8),
    ]
    return CountPass(
        chunk=60,
        operators=operators,
        kernels=kernels if gpu else [],
        attention_kernels={
            "cached_self": ["_attn_fwd"],
            "cross": ["void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits>"],
            "vace_self": ["triton_tem_fused_0"],
        }
        if gpu
        else {},
    )


def clips(case: Case) -> list[ClipUse]:
    if case.mode == "text":
        return []
    roles = ["video", "mask"] if case.mode == "inpainting" else ["depth"]
    return [
        ClipUse(
            role=role,  # type: ignore[arg-type]
            source="generated",
            name=f"moving scene ({role})",
            sha256=f"{index}a" * 32,
            frames_in_file=None,
            frames_used=96,
            looped=False,
        )
        for index, role in enumerate(roles)
    ]


def no_gpu() -> GpuState:
    return GpuState(
        source="none",
        reason="the case ran on a CPU",
        interval_s=None,
        sampler_version=None,
        series=GpuSeries(t_s=[], fields={}),
        counters=[],
        unsupported={},
    )


def gpu_state(phases: list[PhaseMark], random_: random.Random) -> GpuState:
    start_s, end_s = phases[0].start_s, phases[-1].end_s
    times = [start_s + 0.1 * index for index in range(int((end_s - start_s) * 10))]
    busy = [t_s > phases[1].start_s for t_s in times]
    heat = 38.0
    temperatures: list[float | None] = []
    for working in busy:
        heat += (61.0 - heat) * 0.01 if working else (36.0 - heat) * 0.01
        temperatures.append(float(round(heat)))
    fields: dict[str, list[float | None]] = {
        "sm_clock_mhz": [SM_CLOCK_MHZ if working else 345.0 for working in busy],
        "memory_clock_mhz": [3201.0 for _ in busy],
        "power_mw": [
            random_.uniform(555e3, 575e3) if working else random_.uniform(75e3, 80e3)
            for working in busy
        ],
        "temperature_c": temperatures,
        "memory_used_bytes": [12.1e9 if working else 0.6e9 for working in busy],
        "utilisation_percent": [99.0 if working else 0.0 for working in busy],
        "event_reasons": [0.0 if working else 1.0 for working in busy],
    }
    steady = next(mark for mark in phases if mark.name == "steady")
    counters = [
        CounterReading(
            t_s=t_s, label=label, values={"energy_mj": int(t_s * 560_000), "sw_power_cap_ns": 7}
        )
        for label, t_s in (
            ("steady.start", steady.start_s - 0.01),
            ("steady.end", steady.end_s + 0.01),
        )
    ]
    return GpuState(
        source="nvml",
        reason=None,
        interval_s=0.1,
        sampler_version="nvidia-ml-py 13.0",
        series=GpuSeries(t_s=times, fields=fields),
        counters=counters,
        unsupported={"memory_temperature_c": "Not Supported"},
    )


def provenance(gpu: bool) -> dict[str, Fact]:
    """A few facts with values; all others that a record must state have a reason."""
    required = REQUIRED + REQUIRED_OF_BUILT_IN
    if gpu:
        required += REQUIRED_OF_GPU + REQUIRED_OF_SAMPLER + REQUIRED_OF_CONTAINER
    facts = {key: Fact(value=None, reason="made up") for key in required} | {
        "torch.version": Fact(value="2.13.0"),
        "attention.cached_self": Fact(value="sage" if gpu else "sdpa"),
        "python.version": Fact(value="3.11.2"),
        "cpu.model": Fact(value="Intel(R) Xeon(R) Platinum 8480C"),
        "gpu.name": Fact(value="NVIDIA H200") if gpu else Fact(value=None, reason="no GPU"),
    }
    if gpu:
        facts |= {
            "gpu.driver": Fact(value="580.159.04"),
            "gpu.power_limit_w": Fact(value=700.0),
            "gpu.pcie_link": Fact(value=None, reason="not read under load"),
        }
    return facts


def host_series(phases: list[PhaseMark]) -> HostSeries:
    start_s, end_s = phases[0].start_s, phases[-1].end_s
    times = [start_s + 0.1 * index for index in range(int((end_s - start_s) * 10))]
    return HostSeries(
        t_s=times,
        fields={"run_queue": [1.0 for _ in times], "other_cpu_share": [0.02 for _ in times]},
        unsupported={"core_mhz": "/proc or /sys does not tell (no clock of this core)"},
    )

"""Time training steps.

The trainer's step (`ours`) against the same network in a hand-written loop (`plain`, with the same
precision and compilation) and in a loop as in torchvision's references (`reference`: fp32, eager).
All run interleaved on the same batch in memory; ratios are to `plain`, round by round. On a GPU
that is the paper's network with 1 to 8 stacks, the most important cases first; on a CPU the presets
made for it. Each row is written as soon as it is measured.

`python -m benchmarks.training.report` makes STEP.md of the tables of training.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sesame_hpc.process import set_process_defaults

if __name__ == "__main__":
    set_process_defaults()  # before torch is imported

import torch

from benchmarks.common.interleaved_timer import Timing, time_interleaved
from benchmarks.common.machine import Machine, machine
from benchmarks.common.paths import RESULTS
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from benchmarks.training.steps import TINY, Step, Steps
from sesame_hpc.config import Config, RuntimeConfig, find_config, load_config
from sesame_hpc.data.loading.loader import Batch
from sesame_hpc.distributed.world import World, connect
from sesame_hpc.schemes import load_scheme
from sesame_hpc.training.precision import resolve_precision
from sesame_hpc.training.throughput import matmul_rate, peak_memory, training_flops

__all__ = ["Row", "main"]

WARM_UP_CALLS = 3
SCHEME = load_scheme("wflw98")


@dataclass(frozen=True)
class Case:
    """What is timed together; `compile` as in `runtime.compile`."""

    config: Config
    name: str
    batch: int
    precision: str
    compile: str


@dataclass(frozen=True)
class Measured:
    network: str
    stacks: int
    batch: int
    precision: str
    compile: str
    provider: str
    images_per_second: float
    mfu: float
    peak_gib: float | None
    first_step_s: float


@dataclass(frozen=True)
class Row(Machine, Timing, Measured):
    """`first_step_s` includes compilation; `peak_gib` is of tensors on CUDA."""


def cuda_cases(options: argparse.Namespace) -> Iterator[Case]:
    """4 stacks at batch 64 in every precision and compilation, then other stacks and batches."""
    shapes = [(4, 64), *((stacks, 64) for stacks in options.stacks if stacks != 4)]
    shapes += [(4, batch) for batch in options.batches if batch != 64]
    for index, (stacks, batch) in enumerate(shapes):
        settings = ["data.root=.", f"model.stacks={stacks}", *(TINY if options.tiny else [])]
        config = load_config(find_config("paper"), settings)
        variants = [("bf16", "regions"), ("bf16", "none")]
        if index == 0:
            variants = [(p, c) for p in ("bf16", "fp32") for c in options.compile]
        for precision, compile in variants:
            yield Case(config, "paper", batch, precision, compile)


def cpu_cases(options: argparse.Namespace, device: torch.device) -> Iterator[Case]:
    """Each preset in the precision that it resolves to on this machine, then in fp32."""
    for preset in ("demo", "lfpw_small"):
        settings = ["data.root=.", *(TINY if options.tiny else [])]
        config = load_config(find_config(preset), settings)
        own = resolve_precision(config, None, device).runtime.precision
        for precision in dict.fromkeys((own, "fp32")):
            for compile in options.compile:
                batch = 4 if options.tiny else config.stages.preliminary.batch_size
                yield Case(config, preset, batch, precision, compile)


def measure(case: Case, world: World, options: argparse.Namespace) -> Iterator[Row]:
    settings = {"precision": case.precision, "compile": case.compile}
    runtime = RuntimeConfig.model_validate({"device": world.device.type, **settings})
    device, maker = world.device, Steps(case.config, case.batch, runtime, world, SCHEME)
    makers: dict[str, Callable[[], Step]] = {"ours": maker.trainer, "plain": maker.plain}
    if case.compile == "none":
        makers["ours, EMA"] = lambda: maker.trainer(ema=0.999)
        makers["reference"] = maker.reference
    batch = maker.fixed_batch()
    steps: dict[str, Callable[[], object]] = {}
    firsts, peaks = {}, {}
    for name, make in makers.items():
        step = make()
        firsts[name], peaks[name] = _warm(step, batch, device)
        steps[name] = partial(step, batch)
    calls = options.calls or (10 if device.type == "cuda" else 1)
    timings = time_interleaved(steps, "plain", device, seconds=options.seconds, calls=calls)
    flops = training_flops(maker.network(), case.config.model.image_size)
    dtype = torch.bfloat16 if case.precision == "bf16" else torch.float32
    for name, timing in timings.items():
        rate = case.batch / timing.median_ms * 1e3
        yield Row(
            network=case.name,
            stacks=case.config.model.stacks,
            batch=case.batch,
            precision="fp32" if name == "reference" else case.precision,
            compile=case.compile,
            provider=name,
            images_per_second=round(rate, 1),
            mfu=round(rate * flops / matmul_rate(device, dtype), 4),
            peak_gib=peaks[name],
            first_step_s=round(firsts[name], 2),
            **vars(timing),
            **vars(machine(device)),
        )


def _warm(step: Step, batch: Batch, device: torch.device) -> tuple[float, float | None]:
    """Seconds of the first call, and the peak of memory in GiB during later ones (CUDA)."""
    start = time.perf_counter()
    step(batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    first = time.perf_counter() - start
    for _ in range(WARM_UP_CALLS):
        step(batch)
    if device.type != "cuda":
        return first, None
    torch.cuda.synchronize(device)
    return first, round(peak_memory(device), 2)


def _line(row: Row) -> str:
    return (
        f"{row.network:10} {row.stacks} stacks, batch {row.batch:4} {row.precision} "
        f"{row.compile:8} {row.provider:10} {row.median_ms:9.2f} ms {row.images_per_second:8.0f} "
        f"images/s, MFU {row.mfu:5.1%}, {row.ratio:.3f} [{row.ratio_p20:.3f}, {row.ratio_p80:.3f}]"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.training.train_step", __doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--stacks", type=int, nargs="+", default=[4, 1, 2, 8])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 128, 32, 256, 16])
    units = ("none", "regions", "whole", "graphs")
    parser.add_argument("--compile", nargs="+", choices=units, help="default: what the device has")
    parser.add_argument("--seconds", type=float, default=5.0, help="per provider; default: 5")
    parser.add_argument("--calls", type=int, help="steps per sample; default: 10 on CUDA, else 1")
    parser.add_argument("--threads", type=int, help="CPU threads; default: one per core")
    parser.add_argument("--tiny", action="store_true", help="a tiny network, to try out the script")
    parser.add_argument("--csv", type=Path, help="default: results/step_DEVICE.csv")
    options = parser.parse_args(arguments)
    on_cuda = options.device == "cuda"
    options.compile = options.compile or (units[1:] + units[:1] if on_cuda else units[:2])
    table = Table(options.csv or RESULTS / f"step_{options.device}.csv", Row)
    world = connect(RuntimeConfig(device=options.device, threads=options.threads))
    for case in cuda_cases(options) if on_cuda else cpu_cases(options, world.device):
        try:
            for row in measure(case, world, options):
                table.append(row)
                print(_line(row), flush=True)
        except torch.cuda.OutOfMemoryError:
            print(f"{case.name}, batch {case.batch}: does not fit into memory", flush=True)
        torch._dynamo.reset()


if __name__ == "__main__":
    main()

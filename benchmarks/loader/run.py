"""Time the loaders.

Ours against a torch DataLoader with OpenCV (and with albumentations, where it is installed) that
makes the same crops with as many workers, on the CPU alone; decoding alone, as the limit; single
operators; and the training step of the device's presets, which the loader has to keep fed. One row
each: the median of `--repeat` measurements, with the lowest and the highest.

`python -m benchmarks.loader.report` makes LOADER.md of the tables `results/loader_*.csv`.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from sesame_hpc.process import set_process_defaults

if __name__ == "__main__":
    set_process_defaults()  # before torch is imported

import torch

from benchmarks.common.machine import package_version
from benchmarks.common.script import script_parser
from benchmarks.common.table import Table
from benchmarks.loader.meter import BATCH, Meter, Run
from benchmarks.loader.operators import decoders, operators
from benchmarks.loader.peers import (
    EpochPlan,
    albumentations_loader,
    eval_plan,
    opencv_loader,
    train_plan,
)
from benchmarks.loader.rows import Row
from benchmarks.training.steps import Steps
from sesame_hpc.config import DataConfig, find_config, load_config
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.loading.loader import Batch, EvalLoader, TrainLoader
from sesame_hpc.data.pack import PackSettings, read_pack, write_pack
from sesame_hpc.distributed.world import connect
from sesame_hpc.schemes import load_scheme
from sesame_hpc.synth import synthesise
from sesame_hpc.training.allocator import keep_freed_memory
from sesame_hpc.training.precision import resolve_precision

__all__ = ["main"]

SIZES = (64, 96, 128, 256)
SEED, STAGE = 0, "preliminary"
PRESETS = {"cpu": ("demo", "lfpw_small"), "cuda": ("wflw",)}


def measure_loaders(meter: Meter, faces: Annotations, source: str, size: int) -> None:
    data = DataConfig(root=faces.root, threads=meter.workers)
    device = torch.device(meter.device)
    train = TrainLoader(faces, data, size, batch_size=BATCH, seed=SEED, stage=STAGE, device=device)
    evaluation = EvalLoader(faces, data, size, batch_size=BATCH, device=device)
    runs = {
        "train": {"ours": _counting(lambda: train.epoch(0))},
        "eval": {"ours": _counting(lambda: evaluation)},
    }
    if meter.device == "cpu":
        runs["train"] |= _peers(train_plan(faces, data, size, SEED, STAGE), meter.workers)
        runs["eval"] |= _peers(eval_plan(faces, data, size), meter.workers)
    for what, providers in runs.items():
        meter(what, source, size, providers)


def _peers(plan: EpochPlan, workers: int) -> dict[str, Run]:
    loaders = {
        "opencv": opencv_loader(plan, BATCH, workers, "area"),
        "opencv reduced": opencv_loader(plan, BATCH, workers, "reduced"),
        "opencv aliased": opencv_loader(plan, BATCH, workers, "aliased"),
    }
    if plan.stream is not None and package_version("albumentations"):
        loaders["albumentations"] = albumentations_loader(plan, BATCH, workers)
    return {name: _counting(partial(iter, loader)) for name, loader in loaders.items()}


def _counting(batches: Callable[[], Iterable[Batch | Sequence[torch.Tensor]]]) -> Run:
    """Goes through an epoch and counts its images."""
    return lambda: sum(_images(batch) for batch in batches())


def _images(batch: Batch | Sequence[torch.Tensor]) -> int:
    return len(batch.images if isinstance(batch, Batch) else batch[0])


def measure_step(meter: Meter, preset: str) -> None:
    """A hand-written step of a preset's preliminary stage, in the preset's precision."""
    config = load_config(find_config(preset), ["data.root=.", f"runtime.device={meter.device}"])
    world = connect(config.runtime)
    runtime = resolve_precision(config, None, world.device).runtime
    maker = Steps(config, BATCH, runtime, world, load_scheme("wflw98"))
    step, batch = maker.plain(), maker.fixed_batch()

    def run() -> int:
        step(batch)
        if world.device.type == "cuda":
            torch.cuda.synchronize(world.device)
        return BATCH

    meter("step", "memory", config.model.image_size, {preset: run})


def measure(meter: Meter, folder: Annotations, sizes: Iterable[int], scratch: Path) -> None:
    on_gpu = meter.device != "cpu"
    write_pack({"train": folder}, scratch / "whole", PackSettings())
    sources = {"folder": folder, "pack": read_pack(scratch / "whole", "train")}
    for size in sizes:
        out = scratch / f"pack{size}"
        write_pack({"train": folder}, out, PackSettings(size=size))
        sized = {**sources, f"pack of {size}": read_pack(out, "train")}
        for source, faces in sized.items():
            measure_loaders(meter, faces, source, size)
            if source != "pack":
                plan = eval_plan(faces, DataConfig(root=faces.root), size)
                window = plan.samples(list(range(len(faces)))).window
                runs = dict(decoders(faces, window, meter.workers, on_gpu))
                meter("decode", source, size, runs)
        meter("operator", "memory", size, dict(operators(size, meter.workers, on_gpu)))
    for preset in PRESETS[meter.device]:
        measure_step(meter, preset)


def loader_over_step(rows: list[Row]) -> Iterator[str]:
    """How many times faster the loader is than each preset's training step."""
    rates = {(row.what, row.provider, row.source, row.size): row.images_per_second for row in rows}
    for (what, preset, _, size), step in rates.items():
        for source in ("folder", f"pack of {size}"):
            loaded = rates.get(("train", "ours", source, size))
            if what == "step" and loaded is not None:
                yield f"{preset} ({size} px): {loaded / step:.1f} x its step's rate from {source}"


def _faces(options: argparse.Namespace, scratch: Path) -> Annotations:
    if options.data is None:
        synthesise(scratch / "faces", train=options.faces, test=0, seed=0, size=384)
        return read_annotations(scratch / "faces", "wflw")
    return read_annotations(options.data, options.format)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = script_parser("benchmarks.loader.run", __doc__)
    parser.add_argument("--data", type=Path, help="a data set; default: synthetic faces")
    parser.add_argument("--faces", type=int, default=512, help="synthetic faces; default: 512")
    parser.add_argument("--format", default="wflw", help="the data set's format; default: wflw")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="sides of the crops")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=2.0, help="per measurement; default: 2")
    parser.add_argument("--repeat", type=int, default=3, help="measurements per row; default: 3")
    parser.add_argument("--csv", type=Path, help="write the rows to this file, over what it holds")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no CUDA device")
    table = Table(options.csv, Row)
    meter = Meter(options.device, options.workers, options.seconds, options.repeat, table)
    keep_freed_memory()  # as training does; workers inherit it
    with tempfile.TemporaryDirectory() as scratch:
        faces = _faces(options, Path(scratch))
        measure(meter, faces, options.sizes, Path(scratch))
    print(*loader_over_step(meter.rows), sep="\n")


if __name__ == "__main__":
    main()

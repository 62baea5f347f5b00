"""Time the loaders: `python -m benchmarks.loader.run [--data DIR --format F] [--csv FILE]`.

The DALI graph against a torch DataLoader with OpenCV (and albumentations, where it is installed)
that makes the same crops with as many workers (on the CPU alone); decoding alone, as the limit;
single operators; and the training step of the device's presets, which the loader has to keep fed.
One row each; the median of `--repeat` measurements with the lowest and the highest.
`loader_report.py` makes LOADER.md of it. For a GPU: `--device cuda --csv results/loader_cuda.csv`.
"""

import argparse
import csv
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from sesame_hpc.process import set_process_defaults

set_process_defaults()

import cv2
import torch

from benchmarks.kernels.harness import device_name, package_version
from benchmarks.loader.operators import decoders, operators
from benchmarks.loader.peers import (
    Work,
    albumentations_loader,
    eval_work,
    opencv_loader,
    train_work,
)
from sesame_hpc.config import DataConfig, find_config, load_config
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.loading.loader import Batch, EvalLoader, TrainLoader
from sesame_hpc.data.pack import PackSettings, read_pack, write_pack
from sesame_hpc.models.heads import LandmarkNet
from sesame_hpc.stages.coordinates import l1_coord
from sesame_hpc.synth import synthesise
from sesame_hpc.training.allocator import keep_freed_memory
from sesame_hpc.training.precision import autocast_dtype

__all__ = ["Row", "main"]

SIZES = (64, 96, 128, 256)
BATCH = 32
SEED, STAGE = 0, "preliminary"
PRESETS = {"cpu": ("demo", "lfpw_small"), "cuda": ("wflw",)}
Run = Callable[[], int]


@dataclass(frozen=True)
class Row:
    """`cpu_ms` is processor time per image over all processes; it hardly minds a busy machine."""

    what: str
    provider: str
    source: str
    size: int
    images_per_second: float
    lowest: float
    highest: float
    cpu_ms: float
    workers: int
    batch: int
    device: str
    cpu: str
    cores: int
    dali: str
    opencv: str
    torch: str
    albumentations: str
    python: str


class Meter:
    """Measures images/s of functions that do some work and return how many images that was."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.device = options.device
        self.rows: list[Row] = []

    def __call__(self, what: str, source: str, size: int, runs: dict[str, Run]) -> None:
        """Measure the providers of the same work by turns, so that all meet the same machine."""
        measured: dict[str, list[tuple[float, float]]] = {provider: [] for provider in runs}
        for run in runs.values():
            run()
        for _ in range(self._options.repeat):
            for provider, run in runs.items():
                measured[provider].append(self._rate(run))
        for provider, rates in measured.items():
            self._add(what, provider, source, size, rates)

    def _add(
        self,
        what: str,
        provider: str,
        source: str,
        size: int,
        measured: list[tuple[float, float]],
    ) -> None:
        rates = [rate for rate, _ in measured]
        row = Row(
            what=what,
            provider=provider,
            source=source,
            size=size,
            images_per_second=round(statistics.median(rates), 1),
            lowest=round(min(rates), 1),
            highest=round(max(rates), 1),
            cpu_ms=round(1e3 * statistics.median(cpu for _, cpu in measured), 4),
            workers=self._options.workers,
            batch=BATCH,
            device=device_name(torch.device(self._options.device)),
            cpu=device_name(torch.device("cpu")),
            cores=len(os.sched_getaffinity(0)),
            dali=package_version("nvidia-dali-cuda130") or package_version("nvidia-dali-cuda120"),
            opencv=cv2.__version__,
            torch=torch.__version__,
            albumentations=package_version("albumentations"),
            python=platform.python_version(),
        )
        self.rows.append(row)
        print(
            f"{what:9} {provider:34} {source:12} {size:4} {row.images_per_second:9.0f} images/s "
            f"[{row.lowest:.0f}, {row.highest:.0f}] {row.cpu_ms:8.3f} ms",
            flush=True,
        )

    def _rate(self, run: Run) -> tuple[float, float]:
        """Images per second, and processor seconds per image."""
        images, cpu, start = 0, _cpu_seconds(), time.perf_counter()
        while (elapsed := time.perf_counter() - start) < self._options.seconds:
            images += run()
        return images / elapsed, (_cpu_seconds() - cpu) / images


def _cpu_seconds() -> float:
    """Processor time of this process and its children that are alive."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(values[1]) == os.getpid():
            ticks += int(values[11]) + int(values[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _epoch(batches: Callable[[], Iterable]) -> Run:
    return lambda: sum(_images(batch) for batch in batches())


def _images(batch: Batch | tuple[torch.Tensor, torch.Tensor]) -> int:
    return len(batch.images if isinstance(batch, Batch) else batch[0])


def measure_loaders(
    meter: Meter, faces: Annotations, source: str, size: int, options: argparse.Namespace
) -> None:
    data = DataConfig(root=faces.root, threads=options.workers)
    device, shared = torch.device(options.device), {"batch_size": BATCH}
    train = TrainLoader(faces, data, size, seed=SEED, stage=STAGE, device=device, **shared)
    evaluation = EvalLoader(faces, data, size, device=device, **shared)
    runs = {
        "train": {"ours": _epoch(lambda: train.epoch(0))},
        "eval": {"ours": _epoch(lambda: evaluation)},
    }
    if options.device == "cpu":
        runs["train"] |= _peers(train_work(faces, data, size, SEED, STAGE), options.workers)
        runs["eval"] |= _peers(eval_work(faces, data, size), options.workers)
    for what, providers in runs.items():
        meter(what, source, size, providers)


def _peers(work: Work, workers: int) -> dict[str, Run]:
    loaders = {
        "opencv": opencv_loader(work, BATCH, workers, "area"),
        "opencv reduced": opencv_loader(work, BATCH, workers, "reduced"),
        "opencv aliased": opencv_loader(work, BATCH, workers, "aliased"),
    }
    if work.stream is not None and package_version("albumentations"):
        loaders["albumentations"] = albumentations_loader(work, BATCH, workers)
    return {name: _epoch(lambda batches=batches: batches) for name, batches in loaders.items()}


def measure_step(meter: Meter, preset: str) -> None:
    """Forward, backward and Adam of a preset's coordinate stage, in the preset's precision."""
    config = load_config(find_config(preset), ["data.root=."])
    size, device = config.model.image_size, torch.device(meter.device)
    network = LandmarkNet(config.model, config.head, 98)
    network = network.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters())
    images = torch.rand(BATCH, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    landmarks = torch.rand(BATCH, 98, 2, device=device)
    bf16 = autocast_dtype(config.runtime, device) == torch.bfloat16

    def step() -> int:
        optimiser.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = l1_coord(network(images), landmarks, config.head)
        loss.backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return BATCH

    meter("step", "memory", size, {preset: step})


def measure(options: argparse.Namespace, scratch: Path) -> list[Row]:
    meter, on_gpu = Meter(options), options.device != "cpu"
    folder = _faces(options, scratch)
    write_pack({"train": folder}, scratch / "whole", PackSettings())
    sources = {"folder": folder, "pack": read_pack(scratch / "whole", "train")}
    for size in options.sizes:
        out = scratch / f"pack{size}"
        write_pack({"train": folder}, out, PackSettings(size=size))
        sized = {**sources, f"pack of {size}": read_pack(out, "train")}
        for source, faces in sized.items():
            measure_loaders(meter, faces, source, size, options)
            if source != "pack":
                work = eval_work(faces, DataConfig(root=faces.root), size)
                window = work.part(list(range(len(faces)))).window
                meter(
                    "decode", source, size, dict(decoders(faces, window, options.workers, on_gpu))
                )
        meter("operator", "memory", size, dict(operators(size, options.workers, on_gpu)))
    for preset in PRESETS[options.device]:
        measure_step(meter, preset)
    return meter.rows


def fed(rows: list[Row]) -> Iterator[str]:
    """How often the loader makes the images of each preset's training step meanwhile."""
    rates = {(row.what, row.provider, row.source, row.size): row.images_per_second for row in rows}
    for (what, preset, _, size), step in rates.items():
        for source in ("folder", f"pack of {size}"):
            loaded = rates.get(("train", "ours", source, size))
            if what == "step" and loaded is not None:
                yield f"{preset} ({size} px): {loaded / step:.1f} x its step's rate from {source}"


def _faces(options: argparse.Namespace, scratch: Path) -> Annotations:
    if options.data is None:
        synthesise(scratch / "faces", train=512, test=0, seed=0, size=384)
        return read_annotations(scratch / "faces", "wflw")
    return read_annotations(options.data, options.format)


def write_csv(rows: list[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    os.replace(part, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a data set; default: synthetic faces")
    parser.add_argument("--format", default="wflw", help="its format; default: wflw")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="sides of the crops")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each row")
    parser.add_argument("--csv", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no CUDA device")
    keep_freed_memory()  # as training does; workers inherit it
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure(options, Path(scratch))
    print(*fed(rows), sep="\n")
    if options.csv:
        write_csv(rows, options.csv)


if __name__ == "__main__":
    main()

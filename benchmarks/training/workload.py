"""A network, a batch size and a precision to train in, and endless batches of faces for it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from benchmarks.loader.peers import opencv_loader, train_plan
from sesame_hpc.config import Config, RuntimeConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.loading.loader import Appearance, Batch, TrainLoader
from sesame_hpc.distributed.world import World

__all__ = ["Workload"]


@dataclass(frozen=True)
class Workload:
    """`name` is the preset's."""

    name: str
    config: Config
    batch: int
    runtime: RuntimeConfig
    world: World

    def batches(self, faces: Annotations, stage: str, appearance: Appearance) -> Iterator[Batch]:
        """Our loader's, epoch after epoch without end."""
        loader = TrainLoader(
            faces,
            self.config.data,
            self.config.model.image_size,
            batch_size=self.batch,
            seed=0,
            stage=stage,
            device=self.world.device,
            appearance=appearance,
        )
        epoch = 0
        while True:
            yield from loader.epoch(epoch)
            epoch += 1

    def peer_batches(self, faces: Annotations) -> Iterator[Batch]:
        """A torch DataLoader's, without end; the last one of an epoch is dropped unless full."""
        device, size = self.world.device, self.config.model.image_size
        plan = train_plan(faces, self.config.data, size, 0, "preliminary")
        pinned = device.type == "cuda"
        loader = opencv_loader(plan, self.batch, self.config.data.threads, "area", pinned)
        while True:
            for images, landmarks in loader:
                if len(images) == self.batch:
                    crops = images.to(device, non_blocking=True).permute(0, 3, 1, 2)
                    points = landmarks.to(device, non_blocking=True)
                    yield Batch(crops, points, torch.arange(self.batch), torch.zeros(0))

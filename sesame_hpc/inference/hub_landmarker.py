"""A `Landmarker` with huggingface_hub's mixin."""

import shutil
from pathlib import Path
from typing import Any, Self

from sesame_hpc.checksums import SUMS
from sesame_hpc.choices import Device
from sesame_hpc.files import replacing
from sesame_hpc.inference.crop_model import CropModel
from sesame_hpc.inference.exported import CONFIG_FILE, ONNX_FILE, WEIGHTS_FILE
from sesame_hpc.inference.hub import CARD, ModelHubMixin, download
from sesame_hpc.inference.landmarker import Landmarker

__all__ = ["HubLandmarker"]


class HubLandmarker(  # type: ignore[misc]  # the mixin's from_pretrained is the one that counts
    ModelHubMixin,
    Landmarker,
    library_name="sesame-hpc",
    pipeline_tag="keypoint-detection",
    tags=["facial-landmarks"],
):
    """A `Landmarker` with the methods of `huggingface_hub.ModelHubMixin`.

    `from_pretrained` takes a folder of `sesame export` or the name of such a folder on a hub, of
    which it downloads one form: safetensors where torch is installed, else ONNX. `save_pretrained`
    and `push_to_hub` write that form. No form is a pickle, and nothing in the files is executed.
    """

    def __init__(self, crop_model: CropModel, folder: Path) -> None:
        super().__init__(crop_model)
        self.folder = folder

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        device: Device = "auto",
        batch_size: int = 32,
        **_: Any,
    ) -> Self:
        folder = Path(model_id)
        if not folder.is_dir():
            folder = download(
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                force_download=force_download,
                local_files_only=local_files_only,
            )
        loaded = Landmarker.load(folder, device, batch_size=batch_size)
        return cls(loaded.model, folder)

    def _save_pretrained(self, save_directory: Path) -> None:
        for path in self.folder.iterdir():
            if path.name in (CONFIG_FILE, WEIGHTS_FILE, ONNX_FILE, SUMS, CARD):
                with replacing(save_directory / path.name) as partial:
                    shutil.copyfile(path, partial)

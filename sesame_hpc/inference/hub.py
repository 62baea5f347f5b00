"""Models on a hub, by huggingface_hub and its mixin."""

import shutil
from pathlib import Path
from typing import Any, Self

from huggingface_hub import HfApi, ModelHubMixin, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from sesame_hpc.checksums import SUMS
from sesame_hpc.choices import Device
from sesame_hpc.extras import has
from sesame_hpc.inference.crop_model import CropModel
from sesame_hpc.inference.exported import CONFIG_FILE, ONNX_FILE, WEIGHTS_FILE
from sesame_hpc.inference.landmarker import Landmarker

__all__ = ["HubLandmarker", "load", "push"]

_CARD = "README.md"


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
            where = {"revision": revision, "cache_dir": cache_dir, "token": token}
            if local_files_only:
                folder = _downloaded(model_id, where)
            else:
                form = _form(model_id, revision, token)
                folder = _snapshot(model_id, form, where, force_download=force_download)
        loaded = Landmarker.load(folder, device, batch_size=batch_size)
        return cls(loaded.model, folder)

    def _save_pretrained(self, save_directory: Path) -> None:
        for path in self.folder.iterdir():
            if path.name in (CONFIG_FILE, WEIGHTS_FILE, ONNX_FILE, SUMS, _CARD):
                shutil.copyfile(path, save_directory / path.name)


def load(name: str, **options: Any) -> HubLandmarker:
    """`HubLandmarker.from_pretrained`, with errors that a user can act on.

    Raises:
        FileNotFoundError: there is no such model on the hub, or it cannot be reached.
        ValueError: the name is not one that a hub can have.
    """
    try:
        return HubLandmarker.from_pretrained(name, **options)
    except HFValidationError as error:
        raise ValueError(f"{name} is neither a folder nor a name on a hub: {error}") from None
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FileNotFoundError(
            f"{name} is not a folder, and not on the hub as far as can be seen ({reason})"
        ) from None


def push(folder: Path, name: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a folder of `sesame export` as the model `name`, which is made if it does not exist.

    The token is `token`, else HF_TOKEN or that of `hf auth login`. Returns the model's address.

    Raises:
        OSError: the hub refuses, or cannot be reached.
        ValueError: the name is not one that a hub can have.
    """
    api = HfApi(token=token)
    try:
        made = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id,
            folder_path=folder,
            commit_message="Model of sesame-hpc",
            ignore_patterns=[".*", "*.tmp*"],
        )
    except HFValidationError as error:
        raise ValueError(f"--push: {error}") from None
    except Exception as error:  # the client's own, and those of what it sends requests with
        raise OSError(f"--push: {str(error).strip().splitlines()[0]}") from error
    return str(made)


def _form(name: str, revision: str | None, token: str | bool | None) -> str:
    """The file of the one form that `find_exported` would take of a model on the hub."""
    there = set(HfApi(token=token).list_repo_files(name, revision=revision))
    whole = {WEIGHTS_FILE, CONFIG_FILE} <= there
    return ONNX_FILE if ONNX_FILE in there and not (whole and has("torch")) else WEIGHTS_FILE


def _downloaded(name: str, where: dict[str, Any]) -> Path:
    """A form that was downloaded before; the one that `_form` prefers, if both were."""
    first, second = (WEIGHTS_FILE, ONNX_FILE) if has("torch") else (ONNX_FILE, WEIGHTS_FILE)
    try:
        folder = _snapshot(name, first, where, local_files_only=True)
    except LocalEntryNotFoundError:
        return _snapshot(name, second, where, local_files_only=True)
    if (folder / first).is_file():
        return folder
    return _snapshot(name, second, where, local_files_only=True)


def _snapshot(name: str, form: str, where: dict[str, Any], **options: bool) -> Path:
    wanted = [form, CONFIG_FILE, SUMS, _CARD]
    how: dict[str, Any] = where | options
    return Path(snapshot_download(name, allow_patterns=wanted, **how))

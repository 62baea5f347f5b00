"""Models on a hub, by huggingface_hub: the only module that names it."""

from pathlib import Path
from typing import Any

from httpx2 import TransportError
from huggingface_hub import HfApi, ModelHubMixin, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from sesame_hpc.checksums import SUMS
from sesame_hpc.extras import has
from sesame_hpc.inference.exported import CONFIG_FILE, ONNX_FILE, WEIGHTS_FILE

__all__ = ["CARD", "ModelHubMixin", "download", "push"]

CARD = "README.md"


def download(
    name: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Path:
    """The folder of one form of the model `name`: safetensors where torch is installed, else ONNX.

    Raises:
        FileNotFoundError: the hub does not have the model, or cannot be reached.
        ValueError: the name is not one that a hub can have.
    """
    where = {"revision": revision, "cache_dir": cache_dir, "token": token}
    try:
        if local_files_only:
            return _downloaded(name, where)
        return _snapshot(name, _form(name, revision, token), where, force_download=force_download)
    except HFValidationError as error:
        raise ValueError(f"{name} is neither a folder nor a name on a hub: {error}") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, TransportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FileNotFoundError(
            f"{name} is not a folder, and not on the hub as far as can be seen ({reason})"
        ) from error


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
    wanted = [form, CONFIG_FILE, SUMS, CARD]
    how: dict[str, Any] = where | options
    return Path(snapshot_download(name, allow_patterns=wanted, **how))

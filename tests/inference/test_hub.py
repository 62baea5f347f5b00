"""Models on a hub, against a stand-in of its API; nothing leaves this machine."""

import json
import shutil

import numpy as np
import pytest
from hub_server import TOKEN, hub_server

from sesame_hpc import Landmarker
from sesame_hpc.inference import exported as forms

REASON = "huggingface_hub is not installed: pip install -e '.[hub]'"
pytest.importorskip("huggingface_hub", reason=REASON)
IMAGE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    with hub_server() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE",
            server.address + "/{repo_id}/resolve/{revision}/{filename}",
        )  # fmt: skip
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nonexistent/token")
        yield server


@pytest.fixture
def pushed(hub, safetensors):
    from sesame_hpc.inference.hub import push

    assert push(safetensors, "tester/faces", token=TOKEN) == f"{hub.address}/tester/faces"
    return hub


@pytest.mark.parametrize("of", [Landmarker, None], ids=["Landmarker", "mixin"])
def test_the_mixin_loads_an_safetensors_folder(safetensors, of):
    from huggingface_hub import ModelHubMixin

    from sesame_hpc.inference.hub_landmarker import HubLandmarker

    loaded = (of or HubLandmarker).from_pretrained(str(safetensors))
    assert of is not None or isinstance(loaded, ModelHubMixin)
    expected = Landmarker.load(safetensors)(IMAGE).points
    np.testing.assert_array_equal(loaded(IMAGE).points, expected)


def test_the_folder_is_uploaded_as_it_is(pushed, safetensors):
    files = pushed.models["tester/faces"]
    assert {"config.json", "model.safetensors", "README.md", "SHA256SUMS"} <= set(files)
    for name, content in files.items():
        if name != ".gitattributes":
            assert content == (safetensors / name).read_bytes()
    assert list(pushed.large.values()) == [files["model.safetensors"]]
    assert not pushed.private["tester/faces"]


@pytest.mark.parametrize("torch", [True, False])
def test_a_name_downloads_one_form(hub, exported, tmp_path, monkeypatch, torch):
    from sesame_hpc.inference import hub as module

    module.push(exported, "tester/faces", token=TOKEN)
    assert len(hub.large) == 5
    monkeypatch.setattr(module, "has", lambda name: torch)
    monkeypatch.setattr(forms, "has", lambda name: torch)
    hub.requests.clear()
    loaded = Landmarker.from_pretrained("tester/faces", cache_dir=tmp_path)
    got = {name.rpartition("/")[2] for name in hub.requests if name.startswith("GET /tester")}
    assert got & {"model.safetensors", "model.onnx", "model.int8.onnx"} == {
        "model.safetensors" if torch else "model.onnx"
    }
    expected = Landmarker.load(exported if torch else exported / "model.onnx")(IMAGE).points
    np.testing.assert_array_equal(loaded(IMAGE).points, expected)


def test_what_was_downloaded_loads_without_the_hub(pushed, tmp_path):
    Landmarker.from_pretrained("tester/faces", cache_dir=tmp_path)
    pushed.requests.clear()
    again = Landmarker.from_pretrained("tester/faces", cache_dir=tmp_path, local_files_only=True)
    assert again(IMAGE).points.shape == (1, 98, 2)
    assert not pushed.requests


def test_damage_on_the_way_is_found(pushed, tmp_path):
    files = pushed.models["tester/faces"]
    config = json.loads(files["config.json"])
    files["config.json"] = json.dumps(config | {"name": "other/finetune"}).encode()
    with pytest.raises(ValueError, match=r"config\.json"):
        Landmarker.from_pretrained("tester/faces", cache_dir=tmp_path)


def test_save_pretrained_writes_what_loads(safetensors, tmp_path):
    from sesame_hpc.inference.hub_landmarker import HubLandmarker

    HubLandmarker.from_pretrained(safetensors).save_pretrained(tmp_path / "copy")
    loaded = Landmarker.from_pretrained(tmp_path / "copy")
    np.testing.assert_array_equal(loaded(IMAGE).points, Landmarker.load(safetensors)(IMAGE).points)


def test_names_that_are_nowhere(hub, tmp_path):
    with pytest.raises(FileNotFoundError, match="nobody/nothing is not a folder, and not on the"):
        Landmarker.from_pretrained("nobody/nothing", cache_dir=tmp_path)
    with pytest.raises(ValueError, match="neither a folder nor a name on a hub"):
        Landmarker.from_pretrained("a/b/c/d", cache_dir=tmp_path)


def test_a_hub_that_cannot_be_reached(hub, safetensors, tmp_path, monkeypatch):
    from huggingface_hub import constants

    from sesame_hpc.inference.hub import push

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE",
        "http://127.0.0.1:1/{repo_id}/resolve/{revision}/{filename}",
    )  # fmt: skip
    with pytest.raises(FileNotFoundError, match="tester/faces is not a folder"):
        Landmarker.from_pretrained("tester/faces", cache_dir=tmp_path)
    with pytest.raises(OSError, match="--push: "):
        push(safetensors, "tester/faces", token=TOKEN)


def test_a_push_without_rights_says_so(hub, safetensors):
    from sesame_hpc.inference.hub import push

    with pytest.raises(OSError, match=r"--push: .*401"):
        push(safetensors, "tester/faces", token="wrong")
    with pytest.raises(ValueError, match="--push: "):
        push(safetensors, "bad name", token=TOKEN)
    assert not hub.models


def test_no_pickle_is_uploaded_or_loaded(pushed, safetensors, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(safetensors, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError):
        Landmarker.from_pretrained(folder)
    for name, content in pushed.models["tester/faces"].items():
        assert not name.endswith((".bin", ".pkl", ".pth"))
        assert not content.startswith(b"\x80"), name

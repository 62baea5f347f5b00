"""Wheels in environments of their own: each does its work without the others' packages.

What an environment does not require is absent there, as if it had never been installed.
"""

import json

import numpy as np
import pytest
from environments import ROOT
from hub_server import hub_server
from video_files import write_video

from sesame_hpc.data.viewing.sheet import write_png

CORE, KERNELS = "sesame-hpc", "sesame-kernels"
ABSENT = ("torch", "triton", "deepspeed", "nvidia.dali", "submitit", "onnx", "sesame_kernels")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two images and a video."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("a.png", "b.png"):
        write_png(np.full((64, 64, 3), 120, np.uint8), folder / name)
    write_video(folder / "film.mp4")
    return folder


def test_the_core_is_without(environment):
    ask = f"from sesame_hpc.extras import has; print(list(filter(has, {ABSENT!r})))"
    assert environment(CORE).run("-c", ask).stdout.strip() == "[]"


def test_the_core_finds_landmarks_of_images_and_videos(environment, model, photos, tmp_path):
    out = tmp_path / "found"
    shown = environment(CORE).sesame("predict", model, photos, photos / "film.mp4", "--out", out)
    assert "2 images" in shown.stdout
    found = json.loads((out / "landmarks.json").read_text())["faces"]
    assert {face.get("frame") is None for face in found} == {True, False}
    assert all(len(face["points"]) == 98 for face in found)


def test_the_landmarker_of_the_core_loads_a_folder(environment, model, photos, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from sesame_hpc import Landmarker\n"
        f"found = Landmarker.load({str(model)!r})({str(photos / 'a.png')!r})\n"
        "print(found.points.shape, found.confidence.min() >= 0)\n"
    )
    assert environment(CORE).run(program).stdout.split("\n")[0] == "(1, 98, 2) True"


NEEDS = {
    "train demo": ("train", "torch"),
    "demo": ("train", "torch"),
    "eval --data . RUN": ("train", "torch"),
    "predict WEIGHTS IMAGE": ("torch", "torch"),
    "export RUN --to onnx": ("export", "torch"),
    "submit demo data.root=FACES --profile example_cpu --dry-run": ("train", "submitit"),
}


def test_what_needs_an_extra_says_which(environment, model, run, faces_root, photos, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in ("model.safetensors", "config.json"):
        (weights / name).write_bytes((model / name).read_bytes())
    places = {"RUN": str(run), "WEIGHTS": str(weights), "IMAGE": str(photos / "a.png")}
    commands = [
        [places.get(word, word).replace("=FACES", f"={faces_root}") for word in command.split()]
        for command in NEEDS
    ]
    answers = environment(CORE).sesame_each(commands, tmp_path)
    for (command, (extra, package)), answer in zip(NEEDS.items(), answers, strict=True):
        assert answer.code == 2, command
        assert answer.stderr.count("\n") == 1, answer.stderr
        assert f"needs {package}: pip install 'sesame-hpc[{extra}]'" in answer.stderr


def test_in_python_as_well(environment, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "from sesame_hpc.config import load_config\n"
        "from sesame_hpc.extras import MissingPackage\n"
        "from sesame_hpc.config import find_config\n"
        "from sesame_hpc.stages.train import train\n"
        "try:\n"
        "    train(load_config(find_config('demo')))\n"
        "except MissingPackage as error:\n"
        "    print(error)\n"
    )
    shown = environment(CORE).run(program, cwd=tmp_path).stdout
    assert shown == "training needs torch: pip install 'sesame-hpc[train]'\n"


def test_the_doctor_of_the_core_finds_it_whole(environment):
    shown = environment(CORE).sesame("doctor").stdout
    assert "this installation can find landmarks" in shown
    assert "sesame-hpc[train]" in " ".join(shown.split())


def test_data_sets_are_checked_and_drawn_by_the_core(environment, faces_root, tmp_path):
    core = environment(CORE)
    core.sesame("data", "check", faces_root)
    core.sesame("data", "show", faces_root, "--out", tmp_path / "faces.png")
    assert (tmp_path / "faces.png").stat().st_size > 1000


def test_with_torch_safetensors_load(environment, model, photos):
    program = (
        "import sys; from sesame_hpc import Landmarker\n"
        f"found = Landmarker.load({str(model)!r})({str(photos / 'a.png')!r})\n"
        "print(found.points.shape, 'torch' in sys.modules, 'sesame_kernels' in sys.modules)"
    )
    shown = environment("sesame-hpc[torch]").run("-c", program).stdout
    assert shown.strip() == "(1, 98, 2) True False"


def test_the_kernels_alone(environment):
    """With triton, as on Linux, and without it, as on macOS, in forks of one process."""
    program = (
        "import os, sys, torch\n"
        "for system in ('linux', 'macos'):\n"
        "    if os.fork():\n"
        "        os.wait()\n"
        "        continue\n"
        "    if system == 'macos': sys.modules['triton'] = None\n"
        "    from sesame_kernels import masked_mse, soft_argmax\n"
        "    maps = torch.randn(2, 5, 8, 8, requires_grad=True)\n"
        "    soft_argmax(maps).sum().backward()\n"
        "    print(system, maps.grad.shape, flush=True)\n"
        "    os._exit(0)\n"
        "from sesame_hpc import Landmarker"
    )
    ended = environment(KERNELS).run("-c", program, code=1)
    shape = "torch.Size([2, 5, 8, 8])"
    assert ended.stdout.splitlines() == [f"linux {shape}", f"macos {shape}"]
    assert "No module named 'sesame_hpc'" in ended.stderr


def test_training_runs_from_wheels(environment, faces_root, tmp_path):
    text = (
        f"output: {tmp_path / 'run'}\n"
        f"data: {{root: {faces_root}, heldout: 4, threads: 1}}\n"
        "model: {stacks: 1, width: 8, levels: 1, image_size: 32, map_size: 8}\n"
        "stages: {run: [preliminary], preliminary: {epochs: 1, batch_size: 8}}\n"
        "runtime: {device: cpu, threads: 1}\n"
    )
    (tmp_path / "tiny.yaml").write_text(text)
    shown = environment("sesame-hpc[train]").sesame("train", tmp_path / "tiny.yaml", cwd=tmp_path)
    assert (tmp_path / "run" / "report.html").exists(), shown.stdout
    start = json.loads((tmp_path / "run" / "environment.json").read_text())["starts"][0]
    assert {"torch", "deepspeed", "submitit"} <= {
        name for name, version in start["packages"].items() if version
    }


def test_a_hub_needs_no_torch(environment, model, photos, tmp_path, monkeypatch):
    program = (
        "import sys; from sesame_hpc import Landmarker\n"
        "found = Landmarker.from_pretrained('tester/faces')(sys.argv[1])\n"
        "same = Landmarker.load(sys.argv[2])(sys.argv[1])\n"
        "print(found.points.shape, (found.points == same.points).all(), 'torch' in sys.modules)"
    )
    with hub_server() as hub:
        hub.models["tester/faces"] = {path.name: path.read_bytes() for path in model.iterdir()}
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path))
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        given = (photos / "a.png", model / "model.onnx")
        shown = environment("sesame-hpc[hub]").run("-c", program, *given).stdout
    assert shown.strip() == "(1, 98, 2) True False"


def test_trackers_need_no_torch(environment, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    program = (
        "import sys; from pathlib import Path\n"
        "from sesame_hpc.config import find_config, load_config\n"
        "from sesame_hpc.run.folder import RunFolder\n"
        "from sesame_hpc.tracking import Trackers, check_trackers\n"
        "config = load_config(find_config('demo'), sys.argv[1:])\n"
        "check_trackers(config)\n"
        "trackers = Trackers(config, RunFolder(Path('.')), print)\n"
        "trackers.log_metrics('finetune', {'loss': 1.5}, 1)\n"
        "trackers.close('finished', seconds=500)\n"
        "print('torch' in sys.modules)"
    )
    settings = ["log.tensorboard=false", "track.trackers=[mlflow, wandb]"]
    settings += [f"track.mlflow.tracking_uri={(tmp_path / 'store').as_uri()}"]
    settings += ["track.wandb.mode=offline"]
    ended = environment("sesame-hpc[track]").run("-c", program, *settings, cwd=tmp_path)
    assert ended.stdout.strip() == "False"
    (losses,) = (tmp_path / "store").glob("*/*/metrics/finetune/loss/*")
    assert losses.read_text().split()[1:] == ["1.5", "1"]
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))


def test_timm_brings_its_backbones(environment):
    program = (
        "import sys, torch; sys.path.insert(0, sys.argv[1])\n"
        "from torchvision_build import make_torchvision_importable\n"
        "make_torchvision_importable()\n"
        "from sesame_hpc.config import HeadConfig, ModelConfig\n"
        "from sesame_hpc.models.heads import LandmarkNet\n"
        "model = ModelConfig(backbone='timm:resnet10t', width=8, image_size=32, map_size=8)\n"
        "print(LandmarkNet(model, HeadConfig(), 5)(torch.zeros(2, 3, 32, 32))[-1].shape)"
    )
    support = ROOT / "tests" / "support"
    shown = environment("sesame-hpc[timm]").run("-c", program, support).stdout
    assert shown.strip() == "torch.Size([2, 5, 2])"


def test_documentation_generates_its_pages(environment):
    """The pages that are made from the code; the site itself is built in tests/docs."""
    program = (
        "import sys; sys.path.insert(0, 'docs/generate')\n"
        "import hooks\n"
        "print(len(hooks.settings_reference()) > 1000, len(hooks.kernel_budgets()) > 100)"
    )
    shown = environment("sesame-hpc[docs]").run("-c", program, cwd=ROOT).stdout
    assert shown.strip() == "True True"


def test_landmarks_are_found_without_what_windows_lacks(environment, model, photos, tmp_path):
    script = ROOT / "tests" / "support" / "without_posix.py"
    out = tmp_path / "found"
    shown = environment(CORE).run(script, "predict", model, photos, "--out", out, cwd=tmp_path)
    assert "2 images" in shown.stdout
    assert len(json.loads((out / "landmarks.json").read_text())["faces"]) > 2


def test_what_windows_cannot_do_says_so(environment, faces_root, tmp_path):
    script = ROOT / "tests" / "support" / "without_posix.py"
    commands = {
        ("train", "demo"): "sesame-hpc[train]",
        ("data", "pack", str(faces_root), "packed"): "needs Linux, macOS or WSL2",
    }
    for words, said in commands.items():
        ended = environment(CORE).run(script, *words, cwd=tmp_path, code=2)
        assert said in ended.stderr

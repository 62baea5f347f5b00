"""A signal in any stage: all ranks save after one and the same step; no bit is lost by it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from safetensors.torch import load_file
from training_process import clean_environment, start_training, train

from sesame_hpc.choices import STAGES
from sesame_hpc.launch.requeue import EXIT_SAVED

pytestmark = pytest.mark.slow


def wait_for(process: subprocess.Popen, happened: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and not happened() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[0]
    assert happened(), f"nothing happened for {seconds} s"


def recorded(run: Path, stage: str, step: int) -> Callable[[], bool]:
    wanted = re.compile(rf'"stage": "{stage}", "epoch": \d+, "step": {step},')
    metrics = run / "metrics.jsonl"
    return lambda: metrics.exists() and wanted.search(metrics.read_text()) is not None


def weights(run: Path, stages: Sequence[str]) -> dict:
    return {
        f"{stage}/{key}": value
        for stage in stages
        for key, value in load_file(run / "checkpoints" / stage / "weights.safetensors").items()
    }


def assert_same_weights(first: Path, second: Path, stages: Sequence[str] = STAGES) -> None:
    one, other = weights(first, stages), weights(second, stages)
    assert one.keys() == other.keys()
    assert not [key for key in one if not one[key].equal(other[key])]


def start_two_ranks(
    config: Path,
    other: Path | None = None,
    arguments: Sequence[str] = ("--stage", "preliminary"),
) -> list[subprocess.Popen]:
    """As on two nodes, the second with the config `other`."""
    port = 20000 + os.getpid() % 9000
    return [
        start_training(
            other if rank and other else config,
            *arguments,
            variables={
                "RANK": str(rank),
                "WORLD_SIZE": "2",
                "LOCAL_RANK": "0",
                "LOCAL_WORLD_SIZE": "1",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "SESAME_RENDEZVOUS": f"{os.getpid()}",
            },
        )
        for rank in range(2)
    ]


def end(ranks: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """Exit code and output of each; those that do not end are killed."""
    deadline = time.monotonic() + 240
    for process in ranks:
        try:
            process.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
    return [(process.wait(), process.communicate()[0]) for process in ranks]


@pytest.mark.distributed
def test_a_node_that_sees_the_shared_folder_late_needs_nothing_from_it(
    write_config, tmp_path: Path
) -> None:
    """Rank 1 has the folder as it was before the first stage, as over NFS: in the stages, and when
    all are finished."""
    epochs = [f"stages.{stage}.epochs=1" for stage in STAGES]
    start = "stages.pretrain.start_from=preliminary"
    config, late = write_config("whole", *epochs, start), write_config("late", *epochs, start)
    for said in ("pretrain starts from preliminary", "This run is complete: all stages"):
        ended = end(start_two_ranks(config, late, ()))
        assert [code for code, _ in ended] == [0, 0], ended
        assert said in ended[0][1]
    assert (tmp_path / "runs/whole/summary.json").exists()
    assert not (tmp_path / "runs" / "late").exists()


@pytest.mark.distributed
def test_a_signal_to_one_rank_stops_both_after_one_step(write_config, tmp_path: Path) -> None:
    settings = "checkpoint.every_epochs=1000", "runtime.accumulation=2", "log.every_steps=3"
    stage = "stages.preliminary.epochs=8"
    undisturbed = start_two_ranks(write_config("undisturbed", *settings, stage))
    assert [code for code, _ in end(undisturbed)] == [0, 0]

    config, run = write_config("interrupted", *settings, stage), tmp_path / "runs" / "interrupted"
    for signalled, step in ((1, 6), (0, 12)):
        ranks = start_two_ranks(config)
        wait_for(ranks[0], recorded(run, "preliminary", step))
        ranks[signalled].send_signal(signal.SIGUSR2)
        ended = end(ranks)
        assert [code for code, _ in ended] == [EXIT_SAVED] * 2, ended
        assert re.search(r"saved at step \d+ of stage preliminary; run the same", ended[0][1])
        assert "saved at step" not in ended[1][1]
    assert [code for code, _ in end(start_two_ranks(config))] == [0, 0]
    assert_same_weights(tmp_path / "runs" / "undisturbed", run, ["preliminary"])


def test_a_signal_in_every_stage_loses_nothing(write_config, tmp_path: Path) -> None:
    rarely = "checkpoint.every_steps=1000", "checkpoint.every_epochs=1000"
    train(write_config("undisturbed", *rarely))
    config, run = write_config("interrupted", *rarely), tmp_path / "runs" / "interrupted"
    places = (("preliminary", 8), ("pretrain", 3), ("finetune", 10))
    for number, (stage, step) in zip(
        (signal.SIGINT, signal.SIGUSR1, signal.SIGHUP), places, strict=False
    ):
        process = start_training(config)
        wait_for(process, recorded(run, stage, step))
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == EXIT_SAVED, output
        saved = re.search(rf"saved at step (\d+) of stage {stage}; run the same command", output)
        assert saved, output
        latest = json.loads((run / "checkpoints" / stage / "latest.json").read_text())["tag"]
        assert latest == f"step-{int(saved[1]):08d}"
        assert recorded(run, stage, int(saved[1]))()
        assert not recorded(run, stage, int(saved[1]) + 1)()
    train(config)
    assert_same_weights(tmp_path / "runs" / "undisturbed", run)


def validations(run: Path) -> dict[int, float]:
    """{step: held-out NME} of the preliminary stage."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {record["step"]: record["heldout_nme"] for record in records if "heldout_nme" in record}


def test_a_signal_at_an_epochs_end_leaves_no_validation_out(write_config, tmp_path: Path) -> None:
    one_step_an_epoch = (
        "stages.preliminary.batch_size=40",
        "stages.preliminary.epochs=30",
        "log.images_epochs=0",
    )
    train(write_config("undisturbed", *one_step_an_epoch), "--stage", "preliminary")
    config, run = write_config("interrupted", *one_step_an_epoch), tmp_path / "runs" / "interrupted"
    for step in (4, 12):
        process = start_training(config, "--stage", "preliminary")
        wait_for(process, recorded(run, "preliminary", step))
        process.send_signal(signal.SIGUSR2)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == EXIT_SAVED, output
    train(config, "--stage", "preliminary")
    assert validations(run) == validations(tmp_path / "runs" / "undisturbed")
    assert list(validations(run)) == list(range(1, 31))


FIRST_IMPORT = """
import os, signal, sys
class Signaller:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Signaller())
sys.argv[1:] = ["train", {config!r}]
from sesame_hpc.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGINT])
def test_a_signal_in_the_first_imports_is_heard(write_config, tmp_path: Path, number) -> None:
    config = write_config("early")
    program = FIRST_IMPORT.format(number=int(number), config=str(config))
    ended = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, text=True
    )
    assert ended.returncode == EXIT_SAVED, ended.stderr
    assert "stopped before stage preliminary; run the same command to resume" in ended.stderr
    assert "Traceback" not in ended.stderr

"""A pack that is copied to each node before training, and what SLURM says of a run beforehand."""

import json
import re
import shlex
from pathlib import Path

import pytest
from slurm_chains import Submitted
from slurm_cluster_helpers import LocalCluster
from slurm_runs import TrainingRun, one_stage

from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.pack import PackSettings, write_pack

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2700)]


def try_out(cluster: LocalCluster, run: TrainingRun, profile: str, code: int = 0) -> str:
    """What `sesame submit --dry-run` prints, on both streams."""
    file = run.config.with_suffix(".tried.yaml")
    file.write_text(profile)
    command = ["sesame", "submit", str(run.config), "--profile", str(file), "--dry-run"]
    return cluster.run("bash", "-c", f"{shlex.join(command)} 2>&1", codes=(code,))


def test_each_node_reads_its_own_copy_and_the_run_names_the_pack(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    """The nodes share one machine here, and so their folders bear their names."""
    pack, run = tmp_path / "pack", one_stage(TrainingRun(tmp_path / "run", faces))
    write_pack({"train": read_annotations(faces, "wflw")}, pack, PackSettings())
    text = run.config.read_text().replace(f'root: "{faces}"', f'root: "{pack}", format: pack')
    run.config.write_text(text)
    profile = f"nodes: 2\ncpus_per_task: 1\ntime: 60\nstage_data: {tmp_path}/$SLURMD_NODENAME\n"
    profile += f"notify: echo $SESAME_EVENT $SESAME_RUN >> {tmp_path}/notices\n"
    tried = try_out(cluster, run, profile)
    assert "#SBATCH --nodes=2" in tried
    assert re.search(r"preliminary: sbatch would take it: Job \d+ to start at .* on nodes n", tried)
    refused = try_out(cluster, run, f"{profile}partition: nosuch\n", code=1)
    assert "preliminary: sbatch would refuse it: invalid partition specified: nosuch" in refused
    submitted = Submitted(cluster, run, profile)
    cluster.wait(submitted.jobs["report"], "COMPLETED", seconds=360)
    assert (tmp_path / "notices").read_text() == f"ended {run.folder}\n"
    for rank, node in enumerate(("n0", "n1")):
        log = (run.folder / "logs" / f"{submitted.jobs['preliminary']}_{rank}_log.out").read_text()
        assert f"sesame: node {node}: {pack}: copied and verified" in log
        (copy,) = (tmp_path / node).glob("sesame-*/pack-*/pack.json")
        assert copy.read_bytes() == (pack / "pack.json").read_bytes()
    assert f"root: {pack}" in (run.folder / "config.yaml").read_text()
    records = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    timed = [record for record in records if "rank_seconds" in record]
    assert {len(record["rank_seconds"]) for record in timed} == {2}
    assert {record["slowest_node"] for record in timed} <= {"n0", "n1"}

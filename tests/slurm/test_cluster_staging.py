"""A pack that is copied to each node before training, and what SLURM says of a run beforehand."""

import json
import re
from pathlib import Path

import pytest
from slurm_chains import Submitted
from slurm_cluster_helpers import LocalCluster
from slurm_runs import TrainingRun

from sesame_hpc.data.formats.readers import read_annotations
from sesame_hpc.data.pack import PackSettings, write_pack

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2700)]


def test_each_node_reads_its_own_copy_and_the_run_names_the_pack(
    cluster: LocalCluster, faces: Path, tmp_path: Path
) -> None:
    """The nodes share one machine here, and so their folders bear their names."""
    pack, run = tmp_path / "pack", TrainingRun(tmp_path / "run", faces)
    write_pack({"train": read_annotations(faces, "wflw")}, pack, PackSettings())
    text = run.config.read_text().replace(f'root: "{faces}"', f'root: "{pack}", format: pack')
    text = re.sub(r"stages:\n(?:  .*\n)+", "", text)
    short = "stages: {run: [preliminary], preliminary: {epochs: 1, batch_size: 8}}\n"
    run.config.write_text(text + short)
    profile = f"nodes: 2\ncpus_per_task: 1\ntime: 60\nstage_data: {tmp_path}/$SLURMD_NODENAME\n"
    file = tmp_path / "tried.yaml"
    file.write_text(profile)
    shown = cluster.run("sesame", "submit", str(run.config), "--profile", str(file), "--dry-run")
    assert "#SBATCH --nodes=2" in shown
    submitted = Submitted(cluster, run, profile)
    cluster.wait(submitted.jobs["preliminary"], "COMPLETED", seconds=240)
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

"""What sbatch says, and which of its variables would beat a script."""

import pytest

from sesame_hpc.launch.sbatch import beaten_variables, read_job


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12\n", ("12", None)),
        ("12;north\n", ("12", "north")),
        ("job 24 h left\n24\nWelcome\n12;north\nbye\n", ("12", "north")),
        ("Submitted batch job 12\n", ("12", None)),
        ("for job 24\nSubmitted batch job 12 on cluster north\n", ("12", "north")),
    ],
)
def test_the_id_is_found_among_other_words(text: str, expected: tuple[str, str | None]) -> None:
    assert read_job(text) == expected


@pytest.mark.parametrize("text", ["", "job 24 h\n", "see ticket 12\n"])
def test_other_words_are_no_id(text: str) -> None:
    with pytest.raises(ValueError, match="sbatch printed no job id"):
        read_job(text)


def test_variables_of_stated_options_are_beaten_and_others_stay() -> None:
    environ = {
        "SBATCH_TIMELIMIT": "7",
        "SBATCH_MEM_PER_CPU": "1G",
        "SBATCH_GRES": "gpu:1",
        "SBATCH_PARTITION": "debug",
        "SBATCH_WAIT": "1",
        "SLURM_TIMELIMIT": "7",
        "SBATCH": "odd",
    }
    beaten = beaten_variables(environ, ["time", "mem", "gpus-per-node"])
    assert set(beaten) == {
        "SBATCH_TIMELIMIT",
        "SBATCH_MEM_PER_CPU",
        "SBATCH_GRES",
        "SBATCH_WAIT",
    }
    assert set(beaten_variables(environ, ["partition"])) == {"SBATCH_PARTITION", "SBATCH_WAIT"}

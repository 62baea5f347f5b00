"""What a person sees of a run, on a terminal and in a log file."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from sesame_hpc.training.display import Display
from sesame_hpc.training.throughput import Throughput

STAGES = ("preliminary", "pretrain", "finetune")
FAST = Throughput(12345.6, data_wait=0.034, mfu=0.412, peak_memory_gib=101.26)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(display: Display, clock: Clock, seconds_per_step: float, first_step: int = 0) -> None:
    """300 epochs of 10 steps, stopped after the third epoch."""
    display.stage("pretrain", 300, 10, first_step)
    for step in range(first_step + 1, 31):
        clock.now += seconds_per_step
        display.update((step - 1) // 10, step, 0.25, 1e-3, FAST)


def lines_of(seconds_per_step: float) -> list[str]:
    clock, out = Clock(), io.StringIO()
    with Display(STAGES, Console(file=out, width=80), clock=clock) as display:
        run(display, clock, seconds_per_step)
    return out.getvalue().splitlines()


def test_plain_lines_come_at_epoch_ends():
    header, *lines = lines_of(1.0)
    assert header == "pretrain: 300 epochs of 10 steps"
    assert [line.split("  ")[1] for line in lines] == ["epoch 1/300", "epoch 2/300", "epoch 3/300"]
    assert lines[0].endswith("loss 0.25000  lr 1.0e-03  12346 images/s  ETA 0:49:50")
    assert max(map(len, lines)) <= 80


def test_plain_lines_are_rare_when_epochs_are_short_and_come_within_long_ones():
    assert len(lines_of(0.1)) == 1
    assert len(lines_of(0.3)) == 2
    assert len(lines_of(20.0)) == 1 + 15


def test_plain_output_names_resume_heldout_and_messages():
    clock, out = Clock(), io.StringIO()
    with Display(STAGES, Console(file=out, width=80), clock=clock) as display:
        run(display, clock, 0.0, first_step=25)
        display.heldout(7.456)
        display.message("saved [bold]here[/]")
    assert out.getvalue().splitlines() == [
        "pretrain: 300 epochs of 10 steps, from step 25",
        "pretrain  epoch 3/300  held-out NME 7.46 %",
        "saved [bold]here[/]",
    ]


def test_a_stage_ends_with_a_line():
    out = io.StringIO()
    with Display(STAGES, Console(file=out, width=80), clock=Clock()) as display:
        display.stage("finetune", 1, 2)
        display.update(0, 1, 0.5, 1e-3, FAST)
        display.update(0, 2, 0.4, 1e-3, FAST)
    header, *_, last, machine = out.getvalue().splitlines()
    assert header == "finetune: 1 epoch of 2 steps"
    assert last.startswith("finetune  epoch 1/1  loss 0.40000")
    assert machine == "finetune  data wait 3 %, MFU 41 %, peak 101.3 GiB"


def test_the_eta_covers_the_stages_to_come():
    clock, out = Clock(), io.StringIO()
    with Display(STAGES, Console(file=out, width=90), clock=clock) as display:
        display.expect({"pretrain": 300, "finetune": 120})
        run(display, clock, 1.0)
        assert out.getvalue().splitlines()[1].endswith("ETA 0:49:50, all 1:09:50")
        display.stage("finetune", 120, 10)
        clock.now += 40.0
        display.update(1, 20, 0.25, 1e-3, FAST)
    assert out.getvalue().splitlines()[-1].endswith("ETA 0:39:20")


def terminal_screen(width: int) -> list[str]:
    clock, out = Clock(), io.StringIO()
    console = Console(file=out, width=width, height=24, force_terminal=True)
    with Display(STAGES, console, clock=clock) as display:
        run(display, clock, 1.0)
        display.heldout(7.456)
    text = Text.from_ansi(out.getvalue()).plain.replace("\r", "\n")
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_a_terminal_shows_every_stage_and_the_numbers_at_80_columns():
    *_, preliminary, pretrain, finetune, footer, machine = terminal_screen(80)
    assert preliminary.split() == ["preliminary", "finished"]
    assert "epoch 3/300" in pretrain
    assert pretrain.endswith("NME 7.46 %")
    assert finetune.split() == ["finetune", "waiting"]
    assert footer == "loss 0.25000  lr 1.0e-03  12346 images/s  ETA 0:49:30"
    assert machine == "data wait 3 %, MFU 41 %, peak 101.3 GiB"
    assert max(map(len, (preliminary, pretrain, finetune, footer, machine))) <= 80


@pytest.mark.parametrize("terminal", [True, False])
def test_other_ranks_show_nothing(terminal):
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=terminal)
    with Display(STAGES, console, enabled=False) as display:
        display.stage("pretrain", 1, 1)
        display.update(0, 1, 0.5, 1e-3, FAST)
        display.heldout(1.0)
        display.message("hello")
    assert out.getvalue() == ""

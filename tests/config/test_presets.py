"""The shipped configurations."""

from pathlib import Path

import pytest

from sesame_hpc.choices import STAGES
from sesame_hpc.config import find_config, load_config, preset_names


def test_the_presets_are_all_there():
    assert {"demo", "lfpw_small", "paper", "wflw"} <= set(preset_names())


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_with_a_data_root(name):
    config = load_config(find_config(name), ["data.root=faces"])
    assert config.output == Path("runs") / name


def test_the_paper_preset_says_every_value_that_defines_the_task():
    config = load_config(find_config("paper"), ["data.root=faces"])
    for section in ("model", "head", "masking", "stages"):
        assert getattr(config, section).model_fields_set == set(
            type(getattr(config, section)).model_fields
        )
    assert (config.model.stacks, config.model.width, config.model.image_size) == (4, 256, 256)
    assert config.data.augment.rotation == 20
    assert config.data.augment.jpeg_quality == (20, 100)
    assert config.data.box.train_scale == (1.1, 1.5)
    assert config.stages.run == STAGES
    assert {getattr(config.stages, stage).epochs for stage in STAGES} == {300}
    assert config.masking.outside_weight == 0.01


def test_a_preset_without_data_says_how_to_give_it():
    with pytest.raises(ValueError, match=r"data\.root: missing; .*data\.root=VALUE"):
        load_config(find_config("lfpw_small"))


def test_paths_come_before_names_and_unknown_ones_list_the_presets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("seed: 1\n", encoding="utf-8")
    assert find_config("mine.yaml") == Path("mine.yaml")
    with pytest.raises(FileNotFoundError, match=r"nosuch.*demo, .*paper"):
        find_config("nosuch")

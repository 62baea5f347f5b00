"""Files on top of files, overrides, and what is said when they are wrong."""

from pathlib import Path

import pytest

from sesame_hpc.config import differences, dump_config, load_config

MINIMAL = "output: run\ndata: {root: faces}\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(ValueError, match=r"\S") as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_defaults_fill_a_minimal_file(tmp_path):
    config = load_config(write(tmp_path, "a.yaml", MINIMAL))
    assert config.output == Path("run")
    assert config.data.root == Path("faces")
    assert config.stages.pretrain.epochs == 300


def test_bases_merge_key_by_key_relative_to_their_file(tmp_path):
    write(tmp_path, "low/grand.yaml", MINIMAL + "model: {stacks: 2, width: 32, levels: 3}\n")
    write(tmp_path, "low/base.yaml", "base: grand.yaml\nmodel: {width: 64}\nseed: 7\n")
    top = write(tmp_path, "top.yaml", "base: low/base.yaml\nmodel: {levels: 4}\ndata:\n")
    config = load_config(top)
    assert (config.model.stacks, config.model.width, config.model.levels) == (2, 64, 4)
    assert config.seed == 7
    assert config.data.root == Path("faces")


def test_cycle_and_missing_base_are_named(tmp_path):
    write(tmp_path, "a.yaml", "base: b.yaml\n")
    write(tmp_path, "b.yaml", "base: a.yaml\n")
    assert "a.yaml -> " in error_of(tmp_path / "a.yaml")
    lost = write(tmp_path, "c.yaml", "seed: 1\nbase: nowhere.yaml\n")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml \(base at .*c\.yaml:2\)"):
        load_config(lost)


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("model.width=64", lambda c: c.model.width, 64),
        ("stages.pretrain.lr=5e-4", lambda c: c.stages.pretrain.lr, 5e-4),
        ("data.box.train_scale=[1.0, 1.2]", lambda c: c.data.box.train_scale, (1.0, 1.2)),
        ("stages.finetune={epochs: 3}", lambda c: c.stages.finetune.epochs, 3),
        ("data.scheme=null", lambda c: c.data.scheme, None),
        ("output=2026-01-02", lambda c: c.output, Path("2026-01-02")),
        ("data.root=a=b", lambda c: c.data.root, Path("a=b")),
        ("log.tensorboard=false", lambda c: c.log.tensorboard, False),
        ("output=~/runs", lambda c: c.output, Path.home() / "runs"),
    ],
)
def test_overrides_are_yaml_and_win(tmp_path, override, read, value):
    text = "output: run\ndata: {root: faces, scheme: other}\nmodel: {width: 32}\n"
    assert read(load_config(write(tmp_path, "a.yaml", text), [override])) == value


def test_later_overrides_win(tmp_path):
    path = write(tmp_path, "a.yaml", MINIMAL)
    assert load_config(path, ["seed=1", "seed=2"]).seed == 2


def test_unknown_keys_name_place_and_nearest(tmp_path):
    path = write(tmp_path, "a.yaml", MINIMAL + "model:\n  widht: 3\n")
    text = error_of(path, "data.augment.flipp=0")
    assert "model.widht: unknown key; did you mean model.width?" in text
    assert f"({path}:4)" in text
    assert "data.augment.flipp: unknown key; did you mean data.augment.flip?" in text
    assert "(override data.augment.flipp=0)" in text


def test_a_key_of_another_section_is_pointed_to(tmp_path):
    path = write(tmp_path, "a.yaml", MINIMAL)
    assert "stacks: unknown key; did you mean track or model.stacks?" in error_of(path, "stacks=2")


def test_all_problems_come_together_without_pydantic_words(tmp_path):
    path = write(tmp_path, "a.yaml", "model: {stacks: 3, width: x}\nmasking: {sigma: [0.2, 0.1]}\n")
    text = error_of(path, "seed=-1")
    assert text.splitlines()[0] == f"{path}: 6 problems"
    assert "output: missing; give it in the file or as output=VALUE" in text
    assert "data.root: missing; give it in the file or as data.root=VALUE" in text
    assert "model.stacks: must be 1, 2, 4 or 8, got 3" in text
    assert "model.width: must be a valid integer, got 'x'" in text
    assert "masking.sigma: must be a range [low, high], got [0.2, 0.1]" in text
    assert "seed: must be greater than or equal to 0, got -1" in text
    assert "pydantic" not in text


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("model.image_size=100", "must be 2 or 4 times map_size"),
        ("model.levels=5", "multiple of 2 ** levels (32)"),
        ("stages.pretrain.lr=1e-6", "final_lr (1e-05) must not be above lr (1e-06)"),
        ("stages.pretrain.lr=.inf", "must be a finite number"),
        ("stages.pretrain=5", "must be a section with the keys epochs"),
        ("stages.finetune.betas=[0.9, 1.0]", "stages.finetune.betas[1]: must be less than 1"),
        ("stages.pretrain.ema=0.9", "stages.pretrain.ema: must be None"),
        ("stages.run=[pretrain]", "stages.run: must begin with preliminary and keep the order"),
        ("stages.run=[preliminary, finetune, pretrain]", "keep the order preliminary, pretrain"),
        ("stages.run=[preliminary, finetunes]", "stages.run: must begin with preliminary"),
        ("stages.run=[preliminary, finetune]", "finetune.start_from is pretrain, which run (prel"),
        ("masking={mode: patches, grid: 2}", "grid (2) gives 4 patches, fewer than the 9"),
        ("data.root=", "data.root: must be a path, got None"),
        ("data.missing=[.nan, 0]", "data.missing: must be two numbers"),
        ("data.missing=5", "data.missing: must be two numbers"),
        ("stages.run=preliminary", "stages.run: must be a list"),
        ("data.labels=0", "data.labels: must be a number of faces, such as 100, or a share"),
        ("data.labels=0.0", "data.labels: must be a number of faces"),
        ("data.labels=1.5", "data.labels: must be a number of faces"),
        ("data.labels=true", "data.labels: must be a number of faces"),
        ("data.labels=few", "data.labels: must be a number of faces"),
        ("stages.pretrain.unlabelled_share=0", "unlabelled_share: must be greater than 0"),
        ("stages.pretrain.refresh_epochs=0", "refresh_epochs: must be greater than 0"),
        ("stages.finetune.refresh_epochs=2", "refresh_epochs: unknown key"),
        ("data={unlabelled_rest: true, box: {protocol: landmarks}}", "use square or letterbox"),
        ("model.width", "write it as key.sub=value"),
        ("model..width=3", "write it as key.sub=value"),
        ("seed=[1", "override seed=[1: not valid YAML"),
    ],
)
def test_values_that_do_not_fit(tmp_path, override, problem):
    path = write(tmp_path, "a.yaml", MINIMAL + "model: {map_size: 48, image_size: 192}\n")
    assert problem in error_of(path, override)


def test_a_key_given_twice_is_refused(tmp_path):
    path = write(tmp_path, "a.yaml", MINIMAL + "seed: 1\nseed: 2\n")
    assert f"{path}:4: seed is given twice (first at {path}:3)" == error_of(path)


def test_yaml_merge_keys_may_be_overridden(tmp_path):
    text = "stages:\n  preliminary: &s {epochs: 3, lr: 0.1}\n  finetune: {<<: *s, epochs: 4}\n"
    stages = load_config(write(tmp_path, "a.yaml", MINIMAL + text)).stages
    assert (stages.finetune.epochs, stages.finetune.lr) == (4, 0.1)


def test_brackets_without_end_name_the_file(tmp_path):
    path = tmp_path / "deep.yaml"
    path.write_text("model: " + "[" * 5000)
    with pytest.raises(ValueError, match=r"deep\.yaml: not valid YAML: nested too deeply"):
        load_config(path)


@pytest.mark.parametrize(
    "line",
    [
        "seed: \x0e",
        "seed: !!bool 3",
        "seed: !!int a",
        "seed: !!float x",
        "seed: !!timestamp x",
        "seed: !!binary ~",
        "seed: !!omap [1]",
        "seed: !!set {[1]: 2}",
        "<<: 3",
        "data: {<<: [3]}",
        "? [seed]\n: 1",
        "%YAML 9.9",
        '"\\xZZ"',
    ],
)
def test_yaml_that_stands_for_nothing_names_the_file(tmp_path, line):
    """A flipped bit makes such lines."""
    assert "a.yaml" in error_of(write(tmp_path, "a.yaml", line + "\n" + MINIMAL))


def test_broken_yaml_and_a_list_name_the_file(tmp_path):
    assert "a.yaml:2: not valid YAML" in error_of(write(tmp_path, "a.yaml", "seed: 1\n  x: 2\n"))
    assert "must be a mapping of keys" in error_of(write(tmp_path, "b.yaml", "- 1\n"))


def test_dump_round_trips_exactly(tmp_path):
    overrides = [
        "stages.pretrain.lr=0.1234567890123456789",
        "masking.sigma=[1e-7, 0.3]",
        "data.root=ü",
    ]
    config = load_config(write(tmp_path, "a.yaml", MINIMAL), overrides)
    again = load_config(write(tmp_path, "dumped.yaml", dump_config(config)))
    assert again == config
    assert dump_config(again) == dump_config(config)


def test_differences_name_keys_and_both_values(tmp_path):
    path = write(tmp_path, "a.yaml", MINIMAL)
    old, new = load_config(path), load_config(path, ["stages.pretrain.lr=0.5", "data.root=b"])
    assert differences(old, new) == ["data.root: faces -> b", "stages.pretrain.lr: 0.001 -> 0.5"]
    assert differences(old, old) == []


def test_one_label_is_not_all_of_them(tmp_path):
    path = write(tmp_path, "a.yaml", MINIMAL)
    for text, kind in (("1", int), ("1.0", float), ("0.25", float), ("100", int)):
        labels = load_config(path, [f"data.labels={text}"]).data.labels
        again = write(tmp_path, "b.yaml", dump_config(load_config(path, [f"data.labels={text}"])))
        assert type(labels) is type(load_config(again).data.labels) is kind
        assert labels == load_config(again).data.labels == float(text)


@pytest.mark.parametrize("value", ["5", "[1, 2, 3]", "a,b", "{x: 1}"])
def test_a_missing_point_that_is_no_point_is_named(value):
    with pytest.raises(
        ValueError, match=r"data\.missing: must be two numbers, x and y, such as -1"
    ):
        load_config("configs/demo.yaml", [f"data.missing={value}"])


@pytest.mark.parametrize("value", ["-1,-1", "[-1, -1]"])
def test_a_missing_point_is_text_or_a_list(value):
    assert load_config("configs/demo.yaml", [f"data.missing={value}"]).data.missing == (-1, -1)

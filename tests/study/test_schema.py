"""The file of a study, and what is said when it is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sesame_hpc.study.plan import plan_study
from sesame_hpc.study.schema import find_study, study_names

HEAD = "output: {output}\nbase: tiny.yaml\n"


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(ValueError, match=r"\S") as caught:
        plan_study(path, overrides)
    return str(caught.value)


def test_each_arm_is_trained_with_each_seed_in_a_folder_of_its_own(
    write_study: Callable[..., Path], tmp_path: Path
) -> None:
    plan = plan_study(write_study())
    assert [run.name for run in plan.runs] == [
        "runs/baseline/seed-0",
        "runs/adaptive/seed-0",
        "runs/baseline/seed-1",
        "runs/adaptive/seed-1",
    ]
    last = plan.runs[-1]
    assert last.config.output == tmp_path / "out/runs/adaptive/seed-1"
    assert (last.config.seed, last.config.masking.alpha, last.last_stage) == (1, 2.0, "finetune")
    assert plan.runs[0].last_stage == "preliminary"


def test_an_arm_wins_over_the_overrides_and_they_over_the_base(
    write_study: Callable[..., Path],
) -> None:
    text = HEAD + "seeds: [3]\noverrides: {{model.width: 16, masking.alpha: 5}}\narms:\n  a:\n"
    text += "  b: {{model: {{width: 32}}}}\n"
    plan = plan_study(write_study(text), ["masking.alpha=6", "model.levels=3"])
    a, b = (run.config for run in plan.runs)
    assert (a.model.width, b.model.width, a.model.levels) == (16, 32, 3)
    assert (a.masking.alpha, b.masking.alpha) == (6.0, 6.0)


def test_overrides_change_the_study_or_every_arm(
    write_study: Callable[..., Path], tmp_path: Path
) -> None:
    plan = plan_study(
        write_study(), [f"output={tmp_path / 'x'}", "seeds=[7]", "arms.adaptive.masking.alpha=3"]
    )
    assert [run.seed for run in plan.runs] == [7, 7]
    assert plan.runs[1].config.masking.alpha == 3.0
    assert plan.runs[1].config.output.is_relative_to(tmp_path / "x")


def test_each_arm_is_compared_with_the_first_unless_it_says_otherwise(
    write_study: Callable[..., Path],
) -> None:
    text = HEAD + "seeds: [0]\narms: {{a: , b: {{seed-free: 1}}, c: }}\n"
    text = text.replace("seed-free: 1", "masking.alpha: 2").replace(
        "c: ", "c: {{masking.alpha: 3}}"
    )
    pairs = [(pair.arm, pair.control) for pair in plan_study(write_study(text)).study.comparisons]
    assert pairs == [("b", "a"), ("c", "a")]
    text += "compare: [{{arm: c, control: b}}]\n"
    pairs = [(pair.arm, pair.control) for pair in plan_study(write_study(text)).study.comparisons]
    assert pairs == [("c", "b")]


def test_an_override_that_is_nearer_to_a_key_of_the_study_is_named_as_such(
    write_study: Callable[..., Path],
) -> None:
    with pytest.raises(ValueError, match=r"two\.yaml: seds: unknown key; did you mean seeds\?"):
        plan_study(write_study(), ["seds=[7]"])
    with pytest.raises(ValueError, match=r"sed: unknown key; did you mean seed\?"):
        plan_study(write_study(), ["sed=7"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seeds: []\narms: {{a: }}\n", "seeds: "),
        ("seeds: [1, 1]\narms: {{a: }}\n", "seeds: seed 1 is given twice"),
        ("seeds: [-1]\narms: {{a: }}\n", "seeds[0]: must be greater than or equal to 0, got -1"),
        ("arms: {{a: }}\n", "seeds: missing; give it in the file or as seeds=VALUE"),
        ("seeds: [0]\narms: {{}}\n", "arms: "),
        ("seeds: [0]\narms: {{../a: }}\n", "'../a' cannot name an arm"),
        ("seds: [0]\nseeds: [0]\narms: {{a: }}\n", "seds: unknown key; did you mean seeds?"),
        (
            "seeds: [0]\narms: {{a: , b: {{seed: 3}}}}\n",
            "two.yaml:4: arms.b.seed cannot be given: give the study's seeds",
        ),
        (
            "seeds: [0]\noverrides: {{output: x}}\narms: {{a: }}\n",
            "two.yaml:4: overrides.output cannot be given: each run gets its own folder",
        ),
        ("seeds: [0]\narms: {{a: 3}}\n", "arms.a: must be a valid dictionary, got 3"),
        (
            "seeds: [0]\narms:\n  a:\n    model.widht: 8\n",
            "arm a: model.widht: unknown key; did you mean model.width? (model has backbone, ",
        ),
        (
            "seeds: [0]\narms:\n  a:\n    model.width: 8\n    model: {{width: 16}}\n",
            "two.yaml:7: arms.a.model.width is given twice (first at ",
        ),
        (
            "seeds: [0]\narms: {{a: , b: }}\n",
            "the arms a and b have the same settings",
        ),
        (
            "seeds: [0]\narms: {{a: }}\ncompare: [{{arm: b, control: a}}]\n",
            "compare: there is no arm 'b'; the arms are a",
        ),
        (
            "seeds: [0]\narms: {{a: }}\ncompare: [{{arm: a, control: a}}]\n",
            "compare: a is compared with itself",
        ),
        (
            "seeds: [0]\narms: {{a: }}\ncompare: [{{arm: a, contrl: a}}]\n",
            "compare[0].contrl: unknown key; did you mean compare.control?",
        ),
        (
            "seeds: [0]\narms: {{a: , b: {{data.heldout: 9}}}}\n",
            "b and its control a are not evaluated on the same faces (data.heldout: 8 -> 9)",
        ),
        (
            "seeds: [0]\narms: {{a: {{stages.run: [preliminary, finetune]}}}}\n",
            "arm a: stages: finetune.start_from is pretrain, which run (preliminary, finetune)",
        ),
        (
            "seeds: [0]\narms: {{a: {{stages.run: [finetune]}}}}\n",
            "stages.run: must begin with preliminary and keep the order preliminary, pretrain, fin",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    write_study: Callable[..., Path], text: str, problem: str
) -> None:
    assert problem in error_of(write_study(HEAD + text))


def test_a_place_in_an_arm_is_the_studys_line(write_study: Callable[..., Path]) -> None:
    text = HEAD + "seeds: [0]\narms:\n  a:\n    stages:\n      pretrain.epochs: 0\n"
    path = write_study(text)
    assert f"stages.pretrain.epochs: must be greater than 0, got 0 ({path}:7)" in error_of(path)


def test_a_wrong_override_is_named(write_study: Callable[..., Path]) -> None:
    assert "(override modl.width=3)" in error_of(write_study(), "modl.width=3")
    assert "seed cannot be given: give the study's seeds" in error_of(write_study(), "seed=3")


def test_a_missing_study_and_base_are_named(
    write_study: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no study .*nowhere.*\(ablation, backbones_64, claim, claim_128"
    ):
        plan_study(tmp_path / "nowhere.yaml")
    text = HEAD.replace("tiny", "nowhere") + "seeds: [0]\narms: {{a: }}\n"
    with pytest.raises(FileNotFoundError, match=r"no configuration file nowhere\.yaml"):
        plan_study(write_study(text))


@pytest.mark.parametrize("name", study_names())
def test_every_shipped_study_makes_sense(name: str) -> None:
    plan = plan_study(find_study(name), ["data.root=faces", "data.unlabelled=images"])
    assert plan.study.output == Path("runs/studies") / name
    assert plan.study.comparisons


@pytest.mark.parametrize("name", ["claim", "claim_64", "labels", "unlabelled"])
def test_arms_see_as_many_samples_but_for_the_baselines(name: str) -> None:
    plan = plan_study(name, ["data.root=faces", "data.unlabelled=images"])
    samples = {}
    for run in plan.runs:
        stages = [getattr(run.config.stages, stage) for stage in run.config.stages.run]
        of_epoch = {(stage.epoch_samples, stage.batch_size) for stage in stages}
        assert len(of_epoch) == 1
        samples[run.arm] = (sum(stage.epochs for stage in stages), *of_epoch)
    baselines = {arm: samples.pop(arm) for arm in list(samples) if arm.startswith("baseline")}
    assert baselines
    assert len(set(samples.values())) == 1
    epochs, of_epoch = next(iter(samples.values()))
    assert set(baselines.values()) == {(epochs // 3, of_epoch)}


def test_arms_without_pretrain_need_no_unlabelled_faces_to_share_their_stages() -> None:
    plan = plan_study("unlabelled", ["data.root=faces", "data.unlabelled=images", "seeds=[0]"])
    trained_by = {run.arm: plan.sources[run.name].get("preliminary", run).arm for run in plan.runs}
    assert trained_by.pop("longer-all") == "longer-all"
    assert trained_by.pop("longer-100") == "longer-100"
    assert {arm.rpartition("-")[2]: source for arm, source in trained_by.items()} == {
        "all": "baseline-all",
        "100": "baseline-100",
    }
    assert {arm for arm, source in trained_by.items() if source == "baseline-100"} == {
        arm for arm in trained_by if arm.endswith("-100")
    }

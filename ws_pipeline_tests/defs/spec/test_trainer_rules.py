"""Settings of the training are refused when a pipeline.yaml is loaded, before anything is fitted."""

import pytest
import torch

from ws_pipeline.classification import (
    DictDataLoader,
    DictDataset,
    EndModelConfig,
    ModelConfig,
    MultitaskClassifier,
    Trainer,
    build_tasks,
)
from ws_pipeline.classification.data.from_examples import GOLD, LABEL_MODEL, SOFT
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.trainer_rules import check_trainer, possible_metrics
from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import parse_settings

CARDINALITIES = {"spam": 2, "topic": 3}
OWN = ModelConfig(build_tasks="networks:build")


def check(model=None, **settings):
    check_trainer(parse_settings(EndModelConfig, settings), CARDINALITIES, model or ModelConfig())


def refusal(model=None, **settings):
    with pytest.raises(SettingsError) as caught:
        check(model, **settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_weights": {"spm": [1, 2]}}, "class_weights: there is no task 'spm', did you mean 'spam'?"),
        ({"balance_classes": ["tpic"]}, "balance_classes: there is no task 'tpic', did you mean 'topic'?"),
        (
            {"class_weights": {"spam": [1, 2]}, "balance_classes": ["spam"]},
            "EndModelConfig: task 'spam' is in class_weights and in balance_classes; choose one",
        ),
    ],
)
def test_weights_of_a_task_that_has_none_are_refused(settings, message):
    assert refusal(**settings) == message


@pytest.mark.parametrize("weights", [[1, -2, 1], [0, 0, 0], [1e308] * 3, []])
def test_weights_that_are_none_are_refused_with_what_is_expected(weights):
    assert refusal(class_weights={"spam": [0, 1], "topic": weights}) == (
        "EndModelConfig: class_weights of task 'topic' must be numbers at least 0, finite and not all 0, "
        f"got {[float(weight) for weight in weights]}"
    )


@pytest.mark.parametrize("weights", [[1.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
def test_a_task_has_as_many_weights_as_classes(weights):
    assert refusal(class_weights={"topic": weights}) == (
        f"class_weights of task 'topic' must be 3 numbers, got {weights}"
    )


@pytest.mark.parametrize("setting", ["checkpoint_metric", "checkpoint_task_metrics", "early_stopping_metric"])
@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("foo", "must be of the form 'task/dataset/split/metric:mode', mode max or min, got 'foo'"),
        ("spam/gold/valid/accuracy:biggest", "unrecognized mode 'biggest' for metric 'spam/gold/valid/acc"),
        ("spam/gold/vlaid/accuracy:max", "no metric 'spam/gold/vlaid/accuracy', did you mean 'spam/gold/va"),
        ("spam/gold/valid/acuracy:max", "no metric 'spam/gold/valid/acuracy', did you mean 'spam/gold/valid"),
        ("model/all/test/loss:min", "no metric 'model/all/test/loss', did you mean 'model/all/"),
    ],
)
def test_metrics_that_no_evaluation_gives_are_refused_by_their_setting(setting, metric, message):
    found = refusal(**{setting: [metric] if setting == "checkpoint_task_metrics" else metric})
    assert setting in found.partition("must be")[0].partition(" no metric")[0]
    assert message in found


@pytest.mark.parametrize(
    ("setting", "unit"), [("warmup_steps", "warmup_unit"), ("checkpoint_runway", "counter_unit")]
)
def test_what_lasts_longer_than_the_training_is_refused_where_the_settings_tell(setting, unit):
    assert refusal(n_epochs=3, **{setting: 3.5, unit: "epochs"}) == (
        f"EndModelConfig: {setting} is 3.5 epochs, but the training has n_epochs = 3; lower {setting}, "
        "or raise n_epochs"
    )
    check(n_epochs=3, **{setting: 3.0, unit: "epochs"})
    check(n_epochs=3, **{setting: 1000.0, unit: "batches"})


def test_tasks_of_ones_own_may_have_metrics_of_their_own():
    check(OWN, checkpoint_metric="spam/gold/valid/f2:max")
    assert "no metric 'spam/gold/valid/f2'" in refusal(checkpoint_metric="spam/gold/valid/f2:max")
    assert "no metric 'spam/gold/test/f2'" in refusal(OWN, checkpoint_metric="spam/gold/test/f2:max")


def test_what_can_be_chosen_by_is_what_a_training_gives():
    model = MultitaskClassifier(build_tasks(ModelConfig(), n_features=2, cardinalities=CARDINALITIES, seed=0))

    def loader(name, split):
        labels = {task: torch.tensor([0, 1, 0, 1]) for task in CARDINALITIES}
        dataset = DictDataset(name, split, {"features": torch.zeros(4, 2)}, labels)
        return DictDataLoader(dataset, batch_size=4)

    loaders = [loader(SOFT, "train"), loader(GOLD, "valid"), loader(LABEL_MODEL, "valid")]
    (record,) = Trainer(progress_bar=False).fit(model, loaders).history_
    assert set(possible_metrics(CARDINALITIES)) == {name for name in record if "/" in name}
    for metric in possible_metrics(CARDINALITIES):
        check(checkpoint_metric=f"{metric}:max", early_stopping_metric=f"{metric}:min")


def test_a_spec_refuses_what_its_own_tasks_cannot_use(tmp_path):
    tasks = {"spam": {"classes": ["ham", "spam"]}}
    with pytest.raises(ValueError, match="class_weights of task 'spam' must be 2 numbers"):
        PipelineSpec(name="a", tasks=tasks, data=str(tmp_path), trainer={"class_weights": {"spam": [1.0]}})

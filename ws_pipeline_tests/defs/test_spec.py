from pathlib import Path

import dagster as dg
import pytest
import yaml

from ws_pipeline.classification.settings import HeadConfig, ModelConfig
from ws_pipeline.defs.spec import AutomationSpec, PipelineSpec, TaskSpec, load_spec
from ws_pipeline.errors import PipelineSpecError

TASKS = {"spam": {"classes": ["ham", "spam"]}}


def write(tmp_path, content):
    path = tmp_path / "mail" / "pipeline.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def refusal(tmp_path, content):
    path = write(tmp_path, content)
    with pytest.raises(PipelineSpecError) as caught:
        load_spec(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_tasks_are_enough(tmp_path):
    spec = load_spec(write(tmp_path, {"tasks": TASKS}))
    assert spec.name == "mail"
    assert str(spec.folder) == str(tmp_path / "mail")
    assert spec.cardinalities == {"spam": 2}
    assert spec.key("spam", "label_model") == dg.AssetKey(["spam", "label_model"])


def test_an_unknown_key_names_the_nearest_known_one(tmp_path):
    assert "unknown key 'trainr', did you mean 'trainer'?" in refusal(
        tmp_path, {"tasks": TASKS, "trainr": {}}
    )


def test_an_unknown_nested_key_names_the_nearest_known_one(tmp_path):
    tasks = {"spam": {"classes": ["ham", "spam"], "label_model": {"n_epoch": 3}}}
    assert "unknown key 'tasks.spam.label_model.n_epoch', did you mean 'n_epochs'?" in refusal(
        tmp_path, {"tasks": tasks}
    )


def test_a_value_out_of_range_is_named_with_its_path(tmp_path):
    message = refusal(tmp_path, {"tasks": TASKS, "trainer": {"lr": -1}})
    assert "trainer.lr" in message
    assert "greater than 0" in message
    assert "-1" in message


def test_missing_tasks_are_named(tmp_path):
    assert "missing key 'tasks'" in refusal(tmp_path, {"name": "mail"})


def test_text_that_is_not_yaml_is_refused(tmp_path):
    assert "not valid YAML" in refusal(tmp_path, "tasks: [")


def test_a_file_without_keys_is_refused(tmp_path):
    assert "found str" in refusal(tmp_path, "hello")


def test_repeated_class_names_are_refused(tmp_path):
    assert "unique" in refusal(tmp_path, {"tasks": {"spam": {"classes": ["ham", "ham"]}}})


def test_a_class_balance_that_does_not_sum_to_one_is_refused(tmp_path):
    tasks = {"spam": {"classes": ["ham", "spam"], "class_balance": [0.5, 0.6]}}
    assert "sum 1.1" in refusal(tmp_path, {"tasks": tasks})


def test_a_class_balance_of_another_length_is_refused(tmp_path):
    tasks = {"spam": {"classes": ["ham", "spam"], "class_balance": [1.0]}}
    assert "class_balance has 1 entries" in refusal(tmp_path, {"tasks": tasks})


def test_a_task_name_that_is_no_key_is_refused(tmp_path):
    assert "'../spam' is not a name" in refusal(tmp_path, {"tasks": {"../spam": TASKS["spam"]}})


def test_numbers_in_scientific_notation_are_numbers(tmp_path):
    spec = load_spec(write(tmp_path, "tasks: {spam: {classes: [ham, spam]}}\ntrainer: {lr: 1e-4}"))
    assert spec.trainer.lr == 1e-4


def test_data_elsewhere_may_be_relative_absolute_or_a_url(tmp_path):
    for data, folder in (
        ("../else", tmp_path / "else"),
        (str(tmp_path), tmp_path),
        ("memory://bucket/mail", "memory://bucket/mail"),
    ):
        assert str(load_spec(write(tmp_path, {"tasks": TASKS, "data": data})).folder) == str(folder)


@pytest.mark.parametrize("shard", ["../secret", "a/b", ".hidden", ""])
def test_a_shard_name_cannot_leave_the_folder(tmp_path, shard):
    spec = load_spec(write(tmp_path, {"tasks": TASKS}))
    with pytest.raises(PipelineSpecError, match="is not a shard name"):
        spec.examples_path(shard)


def test_a_shard_is_found_when_all_its_files_are_there(pipeline_folder):
    spec = load_spec(pipeline_folder.spec_path)
    assert spec.find_shards() == ["part-0", "part-1", "part-2"]
    pipeline_folder.votes_file("parity", "part-1").unlink()
    pipeline_folder.examples_file(".part-9").write_bytes(b"a writer at work")
    assert spec.find_shards() == ["part-0", "part-2"]


def test_a_prefix_keeps_two_pipelines_apart(tmp_path):
    spec = load_spec(write(tmp_path, {"tasks": TASKS, "prefix": "mail"}))
    assert spec.key("scores") == dg.AssetKey(["mail", "scores"])
    assert spec.job_name("retrain") == "mail_retrain"


def test_a_model_may_give_a_task_a_head_of_its_own(tmp_path):
    model = {"hidden": [32], "dropout": 0.1, "heads": {"spam": {"hidden": [8], "loss_weight": 0.5}}}
    spec = load_spec(write(tmp_path, {"tasks": TASKS, "model": model}))
    assert spec.model.heads["spam"].hidden == [8]
    assert spec.model.heads["spam"].loss_weight == 0.5
    assert spec.model.heads["spam"].dropout == 0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"heads": {"spma": {}}}, "model: Value error, heads: there is no task 'spma', did you mean 'spam'?"),
        ({"heads": {"spam": {"hiden": [3]}}}, "unknown key 'model.heads.spam.hiden', did you mean 'hidden'?"),
        ({"heads": {"spam": {"dropout": 0.5}}}, "model.heads.spam: Value error, dropout follows the head's"),
        (
            {"build_tasks": "networks.build"},
            "model.build_tasks: Value error, expected package.module:function",
        ),
        ({"build_tasks": "a:b", "dropout": 0.5}, "model: Value error, build_tasks leaves no use for dropout"),
    ],
)
def test_a_model_that_cannot_be_is_refused_by_its_key(tmp_path, model, message):
    assert message in refusal(tmp_path, {"tasks": TASKS, "model": model})


def test_feature_columns_are_one_field_or_several(tmp_path):
    own = {"model": {"build_tasks": "networks:build"}}
    one = load_spec(write(tmp_path, {"tasks": TASKS, "feature_columns": ["a", "b"]}))
    assert (one.columns, one.fields) == (["a", "b"], {"features": ["a", "b"]})
    fields = {"left": ["b", "a"], "right": ["a", "c"]}
    several = load_spec(write(tmp_path, {"tasks": TASKS, "feature_columns": fields} | own))
    assert (several.columns, several.fields) == (["b", "a", "c"], fields)
    every = load_spec(write(tmp_path, {"tasks": TASKS}))
    assert (every.columns, every.fields) == (None, None)


@pytest.mark.parametrize("columns", [[], {"left": []}, {"a b": ["x"]}])
def test_fields_without_a_column_or_a_name_are_refused(tmp_path, columns):
    assert "feature_columns" in refusal(tmp_path, {"tasks": TASKS, "feature_columns": columns})


def test_several_fields_need_a_function_that_reads_them(tmp_path):
    message = refusal(
        tmp_path, {"tasks": TASKS, "feature_columns": {"left": ["a"]}, "model": {"hidden": [3]}}
    )
    assert "feature_columns names the fields ['left'], but a multilayer perceptron reads one" in message
    assert "feature_columns names the fields ['left']" in refusal(
        tmp_path, {"tasks": TASKS, "feature_columns": {"left": ["a"]}}
    )


def test_rows_without_votes_are_left_out_unless_the_file_says_otherwise(tmp_path):
    assert load_spec(write(tmp_path, {"tasks": TASKS})).filter_uncovered
    assert not load_spec(write(tmp_path, {"tasks": TASKS, "filter_uncovered": False})).filter_uncovered


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        (
            {"checkpoint_dir": "here"},
            "'checkpoint_dir' is decided by the pipeline (the resource 'checkpoints'",
        ),
        ({"progress_bar": True}, "'progress_bar' is decided by the pipeline (the run's log"),
        ({"evaluation_freq": 0}, "checkpoints are written at evaluations"),
    ],
)
def test_settings_that_the_pipeline_decides_are_refused(tmp_path, trainer, message):
    assert message in refusal(tmp_path, {"tasks": TASKS, "trainer": trainer})


@pytest.mark.parametrize("settings", [PipelineSpec, TaskSpec, ModelConfig, HeadConfig, AutomationSpec])
def test_every_key_is_documented(settings):
    text = (Path(__file__).resolve().parents[2] / "data/README.md").read_text()
    section = text[text.index("## pipeline.yaml") : text.index("## digits")]
    missing = [
        key for key in settings.model_fields if f"`{key}`" not in section and f"{key}: " not in section
    ]
    assert missing == []

import dagster as dg
import pytest
import yaml

from ws_pipeline.defs.spec import load_spec
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

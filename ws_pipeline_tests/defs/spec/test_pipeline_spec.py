from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
import yaml
from fsspec.registry import known_implementations

from ws_pipeline.defs.automation.shard_state import (
    examples_fingerprint,
    shard_fingerprints,
    votes_fingerprint,
)
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.defs.spec.pipeline_spec import AutomationSpec, PipelineSpec
from ws_pipeline.defs.spec.shard_listing import skipped_files
from ws_pipeline.defs.spec.sql_source import SourceSpec
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.errors import PipelineSpecError
from ws_pipeline.settings.end_model import HeadConfig, ModelConfig
from ws_pipeline.storage.files import read_parquet, write_parquet

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
    assert "got str" in refusal(tmp_path, "hello")


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


@pytest.mark.parametrize(
    "shard", ["../secret", "a/b", "a\\b", ".hidden", "", "a...b", "a::b", "a\nb", "a\tb"]
)
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


ODD_NAMES = [
    "2026-01",
    "a b",
    "größe",
    "日本",
    "a#b?c%20d",
    "a[1]*",
    "a,b;c=d",
    "a..b",
    "-x",
    "~x",
    "'a'",
    '"b"',
]


@pytest.mark.parametrize("base", ["", "memory://odd-names"])
def test_a_shard_may_have_any_name_that_partitions_and_files_may_have(tmp_path, base):
    spec = load_spec(write(tmp_path, {"tasks": TASKS, "data": base or str(tmp_path)}))
    for shard in ODD_NAMES:
        for file in [spec.examples_path(shard), *(spec.votes_path(task, shard) for task in TASKS)]:
            write_parquet(pa.table({"name": [shard]}), file)
    assert spec.find_shards() == sorted(ODD_NAMES)
    assert skipped_files(spec) == {}
    for shard in ODD_NAMES:
        assert read_parquet(spec.examples_path(shard))["name"].to_pylist() == [shard]
        of_votes = [votes_fingerprint(spec, task, shard) for task in TASKS]
        found = shard_fingerprints(spec, spec.list_files(), [shard])
        assert found == {shard: "-".join([examples_fingerprint(spec, shard), *of_votes])}
    static = dg.StaticPartitionsDefinition(ODD_NAMES)  # refuses names that dynamic partitions take unseen
    assert static.get_partition_keys() == ODD_NAMES


@pytest.mark.parametrize("shard", ["a...b", "a\tb"])
def test_a_shard_cannot_have_a_name_that_dagster_refuses(tmp_path, shard):
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        dg.StaticPartitionsDefinition([shard])
    with pytest.raises(PipelineSpecError):
        load_spec(write(tmp_path, {"tasks": TASKS})).examples_path(shard)


def test_files_that_are_no_shard_are_told_with_the_reason(pipeline_folder):
    spec = load_spec(pipeline_folder.spec_path)
    pipeline_folder.votes_file("parity", "part-1").unlink()
    pipeline_folder.votes_file("shape", "part-1").unlink()
    pipeline_folder.examples_file("part-2").unlink()
    pipeline_folder.examples_file("a::b").touch()
    pipeline_folder.examples_file(".part-9").touch()
    (pipeline_folder.root / "votes" / "shape" / "part-0.txt").touch()
    assert skipped_files(spec) == {
        "examples/a::b.parquet": "'a::b' is not a shard name: use letters, digits and other printable "
        "characters except '/' and '\\', no '...' or '::', and not a dot first",
        "examples/part-1.parquet": "the shard is not complete, missing votes/parity/part-1.parquet, "
        "votes/shape/part-1.parquet",
        "votes/parity/part-2.parquet": "the shard is not complete, missing examples/part-2.parquet",
        "votes/shape/part-0.txt": "its name does not end in .parquet, .csv, .tsv, .jsonl or .ndjson (of "
        "text also with .gz)",
    }
    assert spec.find_shards() == ["part-0"]


def test_a_folder_that_is_not_there_has_no_shards_and_skips_nothing(tmp_path):
    spec = load_spec(write(tmp_path, {"tasks": TASKS, "data": "nowhere"}))
    assert (spec.find_shards(), skipped_files(spec)) == ([], {})


def test_data_on_an_unknown_file_system_is_refused_with_the_nearest(tmp_path):
    assert "data: 's4://x' begins with an unknown scheme 's4', did you mean 's3'?" in refusal(
        tmp_path, {"tasks": TASKS, "data": "s4://x"}
    )


def test_data_on_a_file_system_without_its_package_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(
        known_implementations, "box", {"class": "nowhere_to_be_found.Fs", "err": "Install boxfs"}
    )
    assert "'box://x' needs a package that is not there: Install boxfs" in refusal(
        tmp_path, {"tasks": TASKS, "data": "box://x"}
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks:\n  a: {classes: [x, y]}\n  a: {classes: [x]}", "line 3: the key 'a' is in line 2 already"),
        (
            "tasks: {a: {classes: [x, y]}}\nmodel:\nmodel: null",
            "line 3: the key 'model' is in line 2 already",
        ),
        ("tasks: {a: {classes: [x, y], classes: [x]}}", "line 1: the key 'classes' is in line 1 already"),
        ("tasks: [{a: 1, a: 2}]", "line 1: the key 'a' is in line 1 already; keep one of them"),
    ],
)
def test_a_key_that_is_there_twice_is_refused_with_its_lines(tmp_path, text, message):
    assert message in refusal(tmp_path, text)


def test_anchors_and_merged_keys_are_no_repetition(tmp_path):
    text = """
    tasks:
      a: &a {classes: &classes [x, y], label_model: &fit {n_epochs: 3}}
      b: &b {<<: *a, classes: *classes}
      c: {<<: *b, label_model: {<<: *fit, n_epochs: 4}}
    """
    tasks = load_spec(write(tmp_path, text)).tasks
    assert [task.label_model.n_epochs for task in tasks.values()] == [3, 3, 4]


def test_an_alias_to_what_it_is_within_is_refused_like_any_wrong_value(tmp_path):
    assert "tasks.a" in refusal(tmp_path, "tasks: &all {a: *all}")


@pytest.mark.parametrize("name", ["split", "example_id"])
def test_a_task_cannot_have_the_name_of_another_column(tmp_path, name):
    assert f"tasks: '{name}' is a column of every examples file" in refusal(
        tmp_path, {"tasks": {name: TASKS["spam"]}}
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["emb", "spam"], "column 'spam' holds the gold labels of a task, it is no feature; leave it out"),
        (["split"], "column 'split' holds the splits"),
        ({"left": ["emb"], "right": ["example_id"]}, "column 'example_id' holds the ids"),
    ],
)
def test_a_column_that_means_something_else_is_no_feature(tmp_path, columns, message):
    content = {"tasks": TASKS, "feature_columns": columns, "model": {"build_tasks": "networks:build"}}
    assert f"feature_columns: {message}" in refusal(tmp_path, content)


@pytest.mark.parametrize("prec_init", [1.7, 0, [0.7, -0.1]])
def test_precisions_that_are_none_are_refused(tmp_path, prec_init):
    tasks = {"spam": TASKS["spam"] | {"label_model": {"prec_init": prec_init}}}
    message = refusal(tmp_path, {"tasks": tasks})
    assert "tasks.spam.label_model.prec_init: must be precisions in (0, 1], got" in message
    assert str(prec_init) in message


@pytest.mark.parametrize(
    ("ignored", "message"),
    [
        ({"trainer": {"n_epochs": 3}}, "trainer: there is no end model to train, model is null"),
        ({"filter_uncovered": False}, "model: filter_uncovered says what the end model is"),
    ],
)
def test_without_an_end_model_its_settings_are_refused(tmp_path, ignored, message):
    assert message in refusal(tmp_path, {"tasks": TASKS, "model": None} | ignored)


def test_without_an_end_model_the_columns_to_read_may_be_named(tmp_path):
    spec = load_spec(write(tmp_path, {"tasks": TASKS, "model": None, "feature_columns": ["a"]}))
    assert spec.columns == ["a"]


def test_a_spec_knows_its_file(tmp_path):
    path = write(tmp_path, {"tasks": TASKS})
    assert load_spec(path).where == str(path)
    assert PipelineSpec(name="mail", tasks=TASKS, data=str(tmp_path)).where == "pipeline 'mail'"


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
        ({"heads": {"spma": {}}}, "model: heads: there is no task 'spma', did you mean 'spam'?"),
        ({"heads": {"spam": {"hiden": [3]}}}, "unknown key 'model.heads.spam.hiden', did you mean 'hidden'?"),
        ({"heads": {"spam": {"dropout": 0.5}}}, "model.heads.spam: dropout follows the head's"),
        (
            {"build_tasks": "networks.build"},
            "model.build_tasks: expected package.module:function",
        ),
        ({"build_tasks": "a:b", "dropout": 0.5}, "model: build_tasks leaves no use for dropout"),
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
        ({"evaluation_freq": 0}, "evaluation_freq: Input should be greater than 0"),
    ],
)
def test_settings_that_the_pipeline_decides_are_refused(tmp_path, trainer, message):
    assert message in refusal(tmp_path, {"tasks": TASKS, "trainer": trainer})


@pytest.mark.parametrize(
    "settings", [PipelineSpec, TaskSpec, ModelConfig, HeadConfig, AutomationSpec, SourceSpec]
)
def test_every_key_is_documented(settings):
    text = (Path(__file__).resolve().parents[3] / "data/README.md").read_text()
    section = text[text.index("## pipeline.yaml") : text.index("## digits")]
    missing = [
        key for key in settings.model_fields if f"`{key}`" not in section and f"{key}: " not in section
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([], "tasks.spam.lf_columns: List should have at least 1 item"),
        (
            ["a", "b", "a", "c"],
            "tasks.spam.lf_columns: the columns must be different, repeated: ['a']",
        ),
        (
            ["a", "example_id", "b", "c"],
            "lf_columns: column 'example_id' holds the ids, it is no LF; leave it out",
        ),
    ],
)
def test_lf_columns_from_which_nothing_can_be_learned_are_refused(tmp_path, columns, message):
    tasks = {"spam": {"classes": ["ham", "spam"], "lf_columns": columns}}
    assert message in refusal(tmp_path, {"tasks": tasks})


def test_two_lfs_are_enough_but_for_matrix_completion(tmp_path):
    spam = {"classes": ["ham", "spam"], "lf_columns": ["a", "b"]}
    assert load_spec(write(tmp_path, {"tasks": {"spam": spam}})).tasks["spam"].lf_columns == ["a", "b"]
    spam["label_model"] = {"kind": "matrix_completion"}
    said = (
        "tasks.spam: lf_columns: matrix_completion needs at least 3 LFs, got ['a', 'b']; list more, or take"
    )
    assert said in refusal(tmp_path, {"tasks": {"spam": spam}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"no_votes": "eggs"},
            "no_votes: expected 'abstain' or one of the classes ['ham', 'spam'], got 'eggs'",
        ),
        (
            {"min_confidence": 1.5},
            "tasks.spam.min_confidence: Input should be less than or equal to 1, got 1.5",
        ),
        (
            {"class_balance": "gold"},
            "expected a list of numbers, one per class, class names to numbers, or 'from_gold', got 'gold'",
        ),
        ({"class_balance": 0.5}, "or 'from_gold', got 0.5"),
        ({"class_balance": {"ham": 0.5, "egg": 0.5}}, "or 'from_gold', got {'egg': 0.5, 'ham': 0.5}"),
        (
            {"class_balance": [0.1, 0.9], "label_model": "majority"},
            "tasks.spam: class_balance would be ignored by the label model of kind majority; leave it out",
        ),
        (
            {"votes": {"format": "tall"}},
            "Unrecognized format option 'tall', expected 'wide' or 'long'",
        ),
        (
            {"votes": {"columns": {"source": "worker"}}},
            "tasks.spam.votes: columns are those of a long table; set format: long, or leave them out",
        ),
        ({"label_model": "best"}, "tasks.spam.label_model.kind: expected one of auto, majority, "),
        (
            {"label_model": 3},
            "label_model: expected a kind, such as auto, or settings with one, such as {kind: ",
        ),
        ({"label_model": None}, "such as {kind: auto}, got None"),
        (
            {"label_model": {"known_accuracy": {"a": 0.9}, "gold_weight": 5}},
            "these are settings of lift_dawid_skene; say which, as in {kind: lift_dawid_skene, ...}",
        ),
        (
            {"lf_columns": ["a", "b"], "label_model": {"known_accuracy": {"c": 0.9}}},
            "tasks.spam: label_model.known_accuracy: 'c' is not among the lf_columns ['a', 'b']",
        ),
        ({"class_balance": [0.5, 0.6]}, "tasks.spam: class_balance must sum to 1"),
        ({"max_drift": -1}, "tasks.spam.max_drift: Input should be greater than or equal to 0, got -1"),
        (
            {"label_model": {"kind": "auto", "known_accuracy": {"a": 1}}},
            "tasks.spam.label_model.known_accuracy: the accuracy of 'a' must be above 0 and below 1, got 1.0",
        ),
    ],
)
def test_wrong_keys_of_a_task_are_refused(tmp_path, values, message):
    assert message in refusal(tmp_path, {"tasks": {"spam": {"classes": ["ham", "spam"], **values}}})


def test_a_kind_alone_and_shares_by_class_are_read(tmp_path):
    spam = {
        "classes": ["ham", "spam"],
        "label_model": "dawid_skene",
        "class_balance": {"spam": 0.1, "ham": 0.9},
    }
    task = load_spec(write(tmp_path, {"tasks": {"spam": spam}})).tasks["spam"]
    assert task.label_model.kind == "dawid_skene"
    assert task.class_balance == [0.9, 0.1]


def test_to_keep_all_examples_and_to_leave_some_out_is_refused(tmp_path):
    tasks = {"spam": {"classes": ["ham", "spam"], "min_confidence": 0.7}}
    said = "tasks.spam.min_confidence leaves examples out of the training, but filter_uncovered is false"
    assert said in refusal(tmp_path, {"tasks": tasks, "filter_uncovered": False})

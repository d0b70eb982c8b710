"""Multi-label tasks in a pipeline.yaml: the tasks that they become, and what is refused."""

import pytest

from ws_pipeline.defs.spec.multi_label_tasks import (
    LabelTaskSpec,
    classes_as_written,
    gold_columns,
    multi_label_tasks,
    name_of_label,
    tasks_as_written,
)
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import LabelingFunctionError, PipelineSpecError

TOPICS = "classes: [sports, politics, tech], multi_label: true"


def load(folder, tasks, more=""):
    (folder / "pipeline.yaml").write_text(f"name: toy\ntasks: {{{tasks}}}\n{more}")
    return load_spec(folder / "pipeline.yaml")


def refused(folder, tasks, more=""):
    with pytest.raises(PipelineSpecError) as error:
        load(folder, tasks, more)
    return str(error.value).partition("pipeline.yaml: ")[2]


def test_every_class_becomes_a_task_with_the_classes_no_and_yes(tmp_path):
    spec = load(tmp_path, f"topics: {{{TOPICS}}}, spam: {{classes: [a, b]}}")
    assert spec.classes == {
        "topics_sports": ["no", "yes"],
        "topics_politics": ["no", "yes"],
        "topics_tech": ["no", "yes"],
        "spam": ["a", "b"],
    }
    assert spec.places == ["examples", "votes/topics", "votes/spam"]
    assert spec.votes_path("topics_tech", "monday") == spec.folder / "votes/topics/monday.parquet"
    task = spec.tasks["topics_tech"]
    assert isinstance(task, LabelTaskSpec)
    assert (task.whole, task.label, task.labels) == ("topics", 2, ["sports", "politics", "tech"])
    assert list(multi_label_tasks(spec.tasks)) == ["topics"]
    assert list(multi_label_tasks(spec.tasks)["topics"]) == list(spec.tasks)[:3]
    assert tasks_as_written(spec.tasks) == {"topics": "topics_sports", "spam": "spam"}
    assert gold_columns(spec.tasks) == {*spec.tasks, "topics"}
    assert classes_as_written(spec.tasks) == {"topics": task.labels, "spam": ["a", "b"]}


def test_the_other_settings_are_those_of_each_of_them(tmp_path):
    keys = (
        "label_model: {kind: dawid_skene}, min_confidence: 0.7, min_coverage: 0.5, max_drift: 0.3, "
        "lf_columns: [a, b], votes: {format: long}, no_votes: none, "
        "class_balance: {tech: 0.3, sports: 0.1, politics: 0.25}"
    )
    spec = load(tmp_path, f"topics: {{{TOPICS}, {keys}}}")
    for task, share in zip(spec.tasks.values(), [0.1, 0.25, 0.3], strict=True):
        assert task.class_balance == pytest.approx([1 - share, share])
        assert (task.label_model.kind, task.min_confidence, task.votes.format) == ("dawid_skene", 0.7, "long")
        assert (task.min_coverage, task.max_drift, task.lf_columns) == (0.5, 0.3, ["a", "b"])
        assert task.class_without_votes == 0
        assert not task.multi_label


def test_by_default_nothing_is_known_of_examples_without_votes_and_lists_are_complete(tmp_path):
    task = load(tmp_path, f"topics: {{{TOPICS}}}").tasks["topics_tech"]
    assert (task.class_without_votes, task.class_balance) == (None, None)
    assert task.is_complete("any")
    balanced = load(tmp_path, f"topics: {{{TOPICS}, class_balance: from_gold}}").tasks["topics_tech"]
    assert balanced.class_balance == "from_gold"


def test_lists_may_be_partial_all_or_those_of_some_lfs(tmp_path):
    partial = load(tmp_path, f"topics: {{{TOPICS}, label_lists: partial}}").tasks["topics_tech"]
    assert not partial.is_complete("any")
    some = load(tmp_path, f"topics: {{{TOPICS}, label_lists: {{a: partial, b: complete}}}}").tasks[
        "topics_tech"
    ]
    assert [some.is_complete(name) for name in "abc"] == [False, True, True]


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("tech", "t_tech"),
        ("sci-fi & fantasy", "t_sci_fi_fantasy"),
        ("Économie", "t_Economie"),
        ("C++", "t_C"),
        ("日本", "t_4"),
        ("?", "t_4"),
    ],
)
def test_names_of_classes_become_names_of_tasks(class_name, name):
    assert name_of_label("t", 4, class_name) == name


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        (
            "t: {classes: ['C++', 'C#'], multi_label: true}",
            "class 'C#' of task 't' becomes a task 't_C', but class 'C++' of task 't' has that name",
        ),
        (
            "t: {classes: [a, b], multi_label: true}, t_b: {classes: [x, y]}",
            "class 'b' of task 't' becomes a task 't_b', but the task 't_b' has that name; give one of them",
        ),
        (
            "a: {classes: [b_c, d], multi_label: true}, a_b: {classes: [c, d], multi_label: true}",
            "class 'c' of task 'a_b' becomes a task 'a_b_c', but class 'b_c' of task 'a' has that name",
        ),
        ("example: {classes: [id, x], multi_label: true}", "'example_id' is a column of every examples file"),
        ("split: {classes: [id, x], multi_label: true}", "'split' is a column of every examples file"),
    ],
)
def test_names_that_clash_are_refused(tmp_path, tasks, said):
    assert refused(tmp_path, tasks).startswith(f"tasks: {said}")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            "class_balance: [0.2, 0.3, 0.5]",
            "class_balance: a multi-label task has no balance between its cla",
        ),
        (
            "class_balance: {sports: 0.1, tech: 0.2}",
            "class_balance: no share for class 'politics'; give the sh",
        ),
        (
            "class_balance: {sport: 0.1}",
            "class_balance: there is no class 'sport'; give the share of the exam",
        ),
        (
            "class_balance: {sports: 1, politics: 0.2, tech: 0.1}",
            "class_balance: the share of class 'sports' must be a number between 0 and 1, got 1",
        ),
        (
            "class_balance: {sports: 0.5, politics: 0.2, tech: yes}",
            "class_balance: the share of class 'tech' must be a number between 0 and 1, got True",
        ),
        ("no_votes: sports", " no_votes: expected 'abstain', or 'none': examples without votes have none of"),
        (
            "label_lists: partly",
            "label_lists: expected 'complete' or 'partial', or names of LFs to one of the",
        ),
        (
            "label_lists: {a: no}",
            "label_lists: expected 'complete' or 'partial', or names of LFs to one of th",
        ),
        (
            "label_lists: {ab: partial}, lf_columns: [abc, d]",
            " label_lists: 'ab' is not among the lf_columns, did you mean 'abc'?",
        ),
        ("min_confidence: yes", "min_confidence: expected a number, YAML reads yes as a boolean (line 2)"),
        (
            "superclasses: {ball: [sports, tech]}",
            " superclasses: the lists of a multi-label task have none; l",
        ),
        ("votes: {scores: vote}", " scores: the lists of a multi-label task have none; leave"),
        (
            "votes: {format: long, columns: {score: s}}",
            " scores: the lists of a multi-label task have none",
        ),
        (
            "votes: {format: long, columns: {time: t}}",
            " votes.columns.time: the lists of a multi-label task",
        ),
        ("classs: 1", "classs"),
    ],
)
def test_keys_without_a_meaning_are_refused(tmp_path, keys, said):
    found = refused(tmp_path, f"topics: {{{TOPICS}, {keys}}}")
    if keys == "classs: 1":
        assert found.startswith("unknown key 'tasks.topics.classs', did you mean 'classes'?")
    else:
        separator = ":" if said.startswith(" ") else "."
        assert found.startswith(f"tasks.topics{separator}{said}")


def test_label_lists_without_lists_are_refused(tmp_path):
    said = refused(tmp_path, "spam: {classes: [a, b], label_lists: partial}")
    assert said.startswith("tasks.spam: label_lists is about lists of classes; set multi_label: true")


@pytest.mark.parametrize("column", ["topics", "topics_tech"])
def test_gold_labels_are_no_features(tmp_path, column):
    said = refused(tmp_path, f"topics: {{{TOPICS}}}", f"feature_columns: [{column}]\n")
    assert said.startswith(f"feature_columns: column '{column}' holds the gold labels of a task")


def test_labeling_functions_vote_on_each_class(tmp_path):
    (tmp_path / "lfs.py").write_text(
        "from ws_pipeline.labeling import labeling_function\n\n"
        "@labeling_function()\ndef found(x):\n    return ['tech', 0]\n"
    )
    spec = load(tmp_path, f"topics: {{{TOPICS}, labeling_functions: lfs.py}}")
    assert spec.places == ["examples"]
    assert [spec.functions_of(task)[0]("x") for task in spec.tasks] == [1, 0, 1]
    partial = load(
        tmp_path, f"topics: {{{TOPICS}, labeling_functions: lfs.py, label_lists: {{found: partial}}}}"
    )
    assert [partial.functions_of(task)[0]("x") for task in partial.tasks] == [1, -1, 1]
    wrong = load(
        tmp_path, f"topics: {{{TOPICS}, labeling_functions: lfs.py, label_lists: {{fond: partial}}}}"
    )
    with pytest.raises(
        LabelingFunctionError, match=r"tasks.topics.labeling_functions: there is no LF 'fond'"
    ):
        wrong.functions_of("topics_tech")

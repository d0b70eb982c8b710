"""What YAML reads as something else than it looks like is refused, with the line and the remedy."""

import pytest
import yaml

from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.defs.spec.strict_yaml import parse_yaml, words_for_values
from ws_pipeline.errors import MissingFileError, PipelineSpecError

TASKS = "tasks:\n  spam:\n    classes: [ham, spam]\n"


@pytest.fixture
def refusal(tmp_path):
    """What is said of a pipeline.yaml, behind its path."""

    def refuse(text):
        file = tmp_path / "pipeline.yaml"
        file.write_text(text)
        with pytest.raises(PipelineSpecError) as refused:
            load_spec(file)
        opening, message = str(refused.value)[: len(str(file)) + 2], str(refused.value)[len(str(file)) + 2 :]
        assert opening == f"{file}: "
        return message

    return refuse


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("no", "a boolean"),
        ("Yes", "a boolean"),
        ("on", "a boolean"),
        ("OFF", "a boolean"),
        ("true", "a boolean"),
        ("1_000", "a number"),
        ("1", "a number"),
        ("1.5", "a number"),
        ("~", "nothing"),
        ("null", "nothing"),
    ],
)
def test_a_class_that_is_no_text_to_yaml_is_refused_with_the_word_and_the_line(word, kind, refusal):
    assert refusal(f"tasks:\n  spam:\n    classes: [ham, {word}]\n") == (
        f"tasks.spam.classes.1: expected a text, YAML reads {word} as {kind} (line 3); put it in quotes"
    )


def test_an_empty_item_is_refused(refusal):
    assert refusal("tasks:\n  spam:\n    classes:\n    - ham\n    -\n") == (
        "tasks.spam.classes.1: expected a text, YAML reads an empty value as nothing (line 5); put it in "
        "quotes"
    )


def test_no_and_yes_as_classes_are_both_named(refusal):
    assert refusal("tasks: {spam: {classes: [no, yes]}}") == (
        "tasks.spam.classes.0: expected a text, YAML reads no as a boolean (line 1); put it in quotes; "
        "tasks.spam.classes.1: expected a text, YAML reads yes as a boolean (line 1); put it in quotes"
    )


def test_words_in_quotes_are_classes(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(
        """tasks: {spam: {classes: ["no", 'yes', "010", "2026-01-01"]}}"""
    )
    assert load_spec(tmp_path / "pipeline.yaml").tasks["spam"].classes == ["no", "yes", "010", "2026-01-01"]


@pytest.mark.parametrize(
    ("text", "key", "kind"),
    [
        ("tasks:\n  yes: {classes: [a, b]}", "yes", "a boolean"),
        ("tasks:\n  1: {classes: [a, b]}", "1", "a number"),
        (f"{TASKS}trainer:\n  class_weights: {{off: [1, 2]}}", "off", "a boolean"),
        (f"{TASKS}model:\n  heads: {{~: {{}}}}", "~", "nothing"),
        (f"{TASKS}feature_columns:\n  no: [a]", "no", "a boolean"),
        (f"{TASKS}\n2026-01-01: 3", "2026-01-01", "a date"),
    ],
)
def test_a_key_that_is_no_text_to_yaml_is_refused(text, key, kind, refusal):
    line = len(text.splitlines())
    assert refusal(text) == f'line {line}: YAML reads the key {key} as {kind}; put it in quotes: "{key}"'


@pytest.mark.parametrize(
    ("text", "path", "word", "kind"),
    [
        (f"{TASKS}feature_columns: [a, 1]", "feature_columns.1", "1", "a number"),
        (f"{TASKS}feature_columns: [no]", "feature_columns.0", "no", "a boolean"),
        (f"{TASKS}name: 12", "name", "12", "a number"),
        (f"{TASKS}prefix: on", "prefix", "on", "a boolean"),
        (f"{TASKS}data: 1_000", "data", "1_000", "a number"),
        (f"{TASKS}trainer: {{checkpoint_metric: off}}", "trainer.checkpoint_metric", "off", "a boolean"),
    ],
)
def test_other_texts_that_are_none_to_yaml_are_refused(text, path, word, kind, refusal):
    expected = f"{path}: expected a text, YAML reads {word} as {kind} (line 4); put it in quotes"
    assert refusal(text).startswith(expected)


@pytest.mark.parametrize(
    ("word", "number"),
    [("010", 8), ("-017", -15), ("0_1", 1), ("1:30", 90), ("190:20:30.15", 685230.15), ("00", 0)],
)
@pytest.mark.parametrize("place", ["trainer: {n_epochs: WORD}", "name: WORD", "data: WORD"])
def test_numbers_in_base_8_and_60_are_refused(word, number, place, refusal):
    assert refusal(TASKS + place.replace("WORD", word)) == (
        f"line 4: YAML reads {word} as the number {number}; write {number}, or if it is a text, put it in "
        f'quotes: "{word}"'
    )


@pytest.mark.parametrize("word", ["2026-01-01", "2026-01-01 10:00:00"])
def test_dates_are_refused(word, refusal):
    expected = f'line 4: YAML reads {word} as a date; put it in quotes: "{word}"'
    assert refusal(f"{TASKS}data: {word}") == expected


def test_a_date_that_is_none_is_no_yaml(refusal):
    assert refusal(f"{TASKS}data: 2026-13-41") == (
        'line 4: YAML reads 2026-13-41 as a date; put it in quotes: "2026-13-41"'
    )


@pytest.mark.parametrize("number", ["0", "10", "-3", "0.5", "1.0e-4", "0x1f", "0o17", "1_000", ".5"])
def test_other_numbers_are_as_they_look(number):
    assert parse_yaml(f"a: {number}") == yaml.safe_load(f"a: {number}")


@pytest.mark.parametrize(("name", "word"), [("n_epochs", "yes"), ("lr", "on"), ("seed", "off")])
def test_a_word_for_a_boolean_is_no_number(name, word, refusal):
    assert refusal(f"{TASKS}trainer:\n  {name}: {word}") == (
        f"trainer.{name}: expected a number, YAML reads {word} as a boolean (line 5)"
    )


def test_booleans_stay_booleans(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(
        f"{TASKS}filter_uncovered: no\nprefix: ~\nautomation: {{enabled: on}}"
    )
    spec = load_spec(tmp_path / "pipeline.yaml")
    assert (spec.filter_uncovered, spec.prefix, spec.automation.enabled) == (False, None, True)


def test_the_words_of_merged_mappings_are_told_where_they_end_up():
    text = "a: &x {b: no}\nc:\n  <<: *x\n  d: [1, e]"
    assert words_for_values(text) == {
        ("a", "b"): "YAML reads no as a boolean (line 1)",
        ("c", "b"): "YAML reads no as a boolean (line 1)",
        ("c", "d", 0): "YAML reads 1 as a number (line 4)",
    }


# The file itself


def test_a_folder_in_place_of_the_file_names_the_file_in_it(tmp_path):
    (tmp_path / "pipeline.yaml").touch()
    with pytest.raises(PipelineSpecError) as refused:
        load_spec(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}: this is a folder, expected a pipeline.yaml; did you mean {tmp_path / 'pipeline.yaml'}?"
    )


def test_a_folder_without_any_yaml_is_refused(tmp_path):
    with pytest.raises(PipelineSpecError, match=f"^{tmp_path}: this is a folder, expected a pipeline.yaml$"):
        load_spec(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match=r"pipeline\.yaml: there is no such file; check the path"):
        load_spec(tmp_path / "pipeline.yaml")


def test_a_file_that_is_not_in_utf_8_is_refused(tmp_path):
    (tmp_path / "pipeline.yaml").write_bytes("# größe".encode("latin-1"))
    with pytest.raises(PipelineSpecError, match=r"pipeline.yaml: expected YAML in UTF-8, got other bytes \("):
        load_spec(tmp_path / "pipeline.yaml")

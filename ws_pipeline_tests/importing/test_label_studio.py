"""Exports of Label Studio: JSON, JSON-MIN and CSV."""

from __future__ import annotations

import copy

import pytest


def choice(label, question="sentiment", **more):
    labels = label if isinstance(label, list) else [label]
    result = {
        "id": "x1",
        "type": "choices",
        "value": {"choices": labels},
        "to_name": "text",
        "from_name": question,
    }
    return result | more


def annotation(number, by, *results, **more):
    return {
        "id": number,
        "completed_by": by,
        "result": list(results),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-01-01T10:00:00.000000Z",
        "updated_at": "2026-01-01T10:00:00.000000Z",
        "lead_time": 3.2,
        "task": 1,
    } | more


TASKS = [
    {
        "id": 1,
        "data": {"text": "good", "topic": "films", "rank": 3},
        "annotations": [
            annotation(10, 7, choice("Positive")),
            annotation(
                11,
                {"id": 8, "email": "eve@example.com"},
                choice("Negative"),
                updated_at="2026-01-03T10:00:00Z",
            ),
            annotation(
                12,
                {"id": 8, "email": "eve@example.com"},
                choice("Positive"),
                updated_at="2026-01-02T10:00:00Z",
            ),
            annotation(13, 9, choice("Positive"), ground_truth=True),
        ],
        "predictions": [{"id": 1, "model_version": "bert-1", "score": 0.9, "result": [choice("Negative")]}],
    },
    {
        "id": 2,
        "data": {"text": "bad", "topic": "films", "rank": 4},
        "annotations": [
            annotation(
                14, 7, choice("Negative"), {"type": "rectanglelabels", "from_name": "box", "value": {}}
            ),
            annotation(15, 8, was_cancelled=True),
            annotation(16, 8),
        ],
        "predictions": [],
    },
]


def test_annotators_and_models_vote_and_ground_truth_is_gold(import_it):
    found = import_it("label-studio", {"export.json": TASKS})
    assert found.status == 0, found.err
    assert found.classes == ["Negative", "Positive"]
    assert found.votes == {
        1: {"7": "Positive", "eve@example.com": "Negative", "model:bert-1": "Negative"},
        2: {"7": "Negative"},
    }
    assert found.gold == {1: "Positive"}
    assert "note: 1 of 4 votes have a score" in found.out
    assert found.matrix.details.scores[0, -1] == pytest.approx(0.9)
    assert found.examples["text"].to_pylist() == ["good", "bad"]
    assert found.examples["rank"].to_pylist() == ["3", "4"]
    for said in (
        "repeated  1 answers, 1 with another label",
        "1  cancelled annotation",
        "1  no answer to 'sentiment'",
        "1  result of type 'rectanglelabels'",
        "note: column 'topic' is called 'topic_column', since 'topic' has another meaning here",
    ):
        assert said in found.out


def test_of_several_questions_one_is_chosen(import_it):
    tasks = copy.deepcopy(TASKS)
    tasks[0]["annotations"][0]["result"].append(choice("long", "length"))
    tasks[1]["annotations"][0]["result"].append(choice("short", "length"))
    refused = import_it("label-studio", {"export.json": tasks})
    assert refused.status == 1
    assert "there are several questions (answers): sentiment (6), length (2); choose one with --question" in (
        refused.err
    )
    found = import_it("label-studio", {"export.json": tasks}, "--question", "length")
    assert found.votes == {1: {"7": "long"}, 2: {"7": "short"}}
    misspelt = import_it("label-studio", {"export.json": tasks}, "--question", "lenght", out="other")
    assert "no answer to the question 'lenght', did you mean 'length'?" in misspelt.err


def test_several_choices_in_one_answer_are_refused_with_the_task(import_it):
    tasks = copy.deepcopy(TASKS)
    tasks[1]["annotations"][0]["result"] = [choice(["Positive", "Negative"])]
    found = import_it("label-studio", {"export.json": tasks})
    assert "export.json: record 2: the answer to 'sentiment' chooses several classes, " in found.err
    tasks[1]["annotations"][0]["result"] = [choice("Positive"), choice("Positive")]
    found = import_it("label-studio", {"export.json": tasks})
    assert "record 2: 2 answers to 'sentiment' in one annotation (id 14), expected one" in found.err


MIN = [
    {
        "text": "good",
        "id": 1,
        "sentiment": "Positive",
        "annotator": 7,
        "annotation_id": 10,
        "created_at": "2026-01-01T10:00:00Z",
        "updated_at": "2026-01-01T10:00:00Z",
        "lead_time": 2.1,
    },
    {"text": "good", "id": 1, "sentiment": "Negative", "annotator": 8, "annotation_id": 11, "comment": "?"},
    {"text": "bad", "id": 2, "sentiment": "Negative", "annotator": 7, "annotation_id": 12},
]
CSV = (
    '"annotation_id","annotator","created_at","id","lead_time","sentiment","text","updated_at"\n'
    '10,7,"2026-01-01T10:00:00Z",1,2.1,"Positive","good","2026-01-01T10:00:00Z"\n'
    '11,8,"2026-01-01T10:00:00Z",1,2.1,"Negative","good","2026-01-01T10:00:00Z"\n'
    '12,7,"2026-01-01T10:00:00Z",2,2.1,"Negative","bad","2026-01-01T10:00:00Z"\n'
)


@pytest.mark.parametrize("files", [{"min.json": MIN}, {"export.csv": CSV}], ids=["json-min", "csv"])
def test_flat_exports_give_votes_once_the_question_is_named(import_it, files):
    refused = import_it("label-studio", files)
    assert "JSON-MIN and CSV do not say which column is the answer; name it with --question" in refused.err
    assert "sentiment (3)" in refused.err
    found = import_it("label-studio", files, "--question", "sentiment")
    assert found.status == 0, found.err
    first, second = ("1", "2") if "export.csv" in files else (1, 2)  # a CSV file has no integers, only text
    assert found.votes == {first: {"7": "Positive", "8": "Negative"}, second: {"7": "Negative"}}
    assert found.examples["text"].to_pylist() == ["good", "bad"]


def test_several_choices_in_a_cell_of_csv_are_refused(import_it):
    cell = '"{""choices"": [""Positive"", ""Negative""]}"'
    found = import_it(
        "label-studio", {"export.csv": CSV.replace('"Positive"', cell)}, "--question", "sentiment"
    )
    assert "export.csv: row 1: the answer to 'sentiment' chooses several classes" in found.err


def test_a_column_that_differs_between_records_of_an_example_is_left_out_with_a_note(import_it):
    found = import_it("label-studio", {"min.json": MIN}, "--question", "sentiment")
    assert "comment" not in found.examples.column_names
    assert "note: column 'comment' is left out: it differs between records of an example, such as '1'" in (
        found.out
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([{"id": 1, "completions": []}], "record 1: 'completions' is the format of Label Studio before 1.0"),
        (
            [{"id": 1, "text": "x"}],
            "record 1: no key ['annotator'], got ['id', 'text']; expected the exports",
        ),
        ([{"id": 1, "annotations": [4]}], "record 1: 'annotations' is [4], expected a list of objects"),
        ([{"annotations": [annotation(1, None, choice("a"))]}], "record 1: there is no example id"),
        ([{"id": 1, "annotations": [annotation(1, None, choice("a"))]}], "annotation without 'completed_by'"),
        ([3], "record 1: expected a JSON object, got int; is the format right?"),
        ("[{", "not valid JSON (Expecting property name enclosed in double quotes, column 3)"),
        ([], "there is no task; export the project again"),
    ],
)
def test_what_is_no_export_is_refused_with_its_place(import_it, content, said):
    found = import_it("label-studio", {"export.json": content})
    assert found.status == 1
    assert said in found.err

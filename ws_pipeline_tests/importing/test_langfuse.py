"""Scores of Langfuse: the table as CSV, and the API as JSON."""

from __future__ import annotations

import pytest

SCORES = [
    {
        "traceId": "t1",
        "name": "quality",
        "source": "ANNOTATION",
        "stringValue": "good",
        "authorUserId": "ann",
    },
    {"traceId": "t1", "name": "quality", "source": "EVAL", "stringValue": "poor"},
    {"traceId": "t2", "name": "quality", "source": "EVAL", "stringValue": "good", "value": 1},
    {"traceId": "t2", "name": "latency", "source": "API", "value": 3.5, "dataType": "NUMERIC"},
]
FULL = [
    {"id": f"s{i}", "observationId": None, "dataType": "CATEGORICAL", "timestamp": "2026-01-01T00:00:00Z"}
    | score
    for i, score in enumerate(SCORES)
]
VOTES = {"t1": {"ANNOTATION:ann": "good", "EVAL": "poor"}, "t2": {"EVAL": "good"}}


def as_csv(rows, rename=lambda name: name):
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(str(row.get(name) or "") for name in names) for row in rows]
    return "\n".join([",".join(map(rename, names)), *lines]) + "\n"


def snake(name):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


@pytest.mark.parametrize(
    "files",
    [
        {"scores.json": {"data": FULL, "meta": {"page": 1}}},
        {"scores.jsonl": FULL},
        {"scores.csv": as_csv(FULL)},
        {"scores.csv": as_csv(FULL, snake)},
    ],
    ids=["api", "jsonl", "csv", "blob storage"],
)
def test_categorical_scores_of_traces_are_votes(import_it, files):
    found = import_it("langfuse", files)
    assert found.status == 0, found.err
    assert found.votes == VOTES
    assert "1  score of type NUMERIC" in found.out


def test_booleans_are_the_classes_true_and_false(import_it):
    rows = [
        {
            "traceId": "t1",
            "name": "ok",
            "source": "EVAL",
            "dataType": "BOOLEAN",
            "value": 1,
            "stringValue": "True",
        },
        {"traceId": "t2", "name": "ok", "source": "EVAL", "dataType": "BOOLEAN", "value": 0},
    ]
    found = import_it("langfuse", {"scores.jsonl": rows})
    assert found.classes == ["False", "True"]
    assert found.votes == {"t1": {"EVAL": "True"}, "t2": {"EVAL": "False"}}


def test_scores_on_two_levels_need_a_choice(import_it):
    rows = [*FULL, FULL[1] | {"observationId": "o1", "traceId": "t2", "source": "API", "stringValue": "good"}]
    rows[2] = rows[2] | {"observationId": "o2"}
    refused = import_it("langfuse", {"scores.jsonl": rows})
    assert "2 scores are about a trace and 2 about an observation; say with --level" in refused.err
    by_trace = import_it("langfuse", {"scores.jsonl": rows}, "--level", "trace", out="by-trace")
    assert by_trace.votes == {"t1": VOTES["t1"], "t2": {"EVAL": "good", "API": "good"}}
    options = ["--level", "observation", "--classes", "poor,good"]
    by_observation = import_it("langfuse", {"scores.jsonl": rows}, *options, out="by-observation")
    assert by_observation.votes == {"o2": {"EVAL": "good"}, "o1": {"API": "good"}}
    assert by_observation.classes == ["poor", "good"]
    assert "2  score that is not about an observation" in by_observation.out


def test_who_judged_is_told_where_the_table_says_it(import_it):
    rows = [FULL[0] | {"authorUserId": None}, FULL[1] | {"evaluatorId": "e7"}]
    found = import_it("langfuse", {"scores.jsonl": rows})
    assert found.votes == {"t1": {"ANNOTATION": "good", "EVAL:e7": "poor"}}
    assert "note: 1 scores of people have no authorUserId, so that all of them are one source" in found.out


def test_a_table_without_the_columns_of_scores_is_refused(import_it):
    found = import_it("langfuse", {"scores.csv": "traceId,name,value\nt,q,1\n"})
    assert "scores.csv: row 1: no key ['source', 'datatype'], got ['traceid', 'name', 'value']" in found.err

"""Records of Argilla 2, as ``dataset.records.to_json`` writes them."""

from __future__ import annotations

import copy

import pytest

RECORDS = [
    {
        "id": "r-1",
        "fields": {"text": "a film"},
        "metadata": {"length": 6},
        "suggestions": {"genre": {"value": "drama", "score": 0.8, "agent": "gpt"}},
        "responses": {
            "genre": [
                {"value": "drama", "user_id": "u1"},
                {"value": "comedy", "user_id": "u2"},
                {"value": "comedy", "user_id": "u3", "status": "draft"},
            ]
        },
        "vectors": {"minilm": [0.5, 1.0]},
        "_server_id": "1d0d",
    },
    {
        "id": "r-2",
        "fields": {"text": "another"},
        "metadata": {},
        "suggestions": {},
        "responses": {"genre": [{"value": ["comedy"], "user_id": "u1"}]},
        "vectors": {"minilm": [0.25, 0.0]},
        "_server_id": None,
    },
]


def test_users_and_agents_vote_and_vectors_are_features(import_it):
    found = import_it("argilla", {"records.json": RECORDS})
    assert found.status == 0, found.err
    assert found.votes == {
        "r-1": {"u1": "drama", "u2": "comedy", "model:gpt": "drama"},
        "r-2": {"u1": "comedy"},
    }
    assert found.matrix.details.scores[0, 0] == pytest.approx(0.8)  # of the agent's suggestion
    assert found.examples["text"].to_pylist() == ["a film", "another"]
    assert found.examples["length"].to_pylist() == ["6", None]
    assert found.examples["minilm"].to_pylist() == [[0.5, 1.0], [0.25, 0.0]]
    assert found.spec.feature_columns == ["minilm"]
    assert found.spec.model is None  # all examples are in train
    assert "1  response with status 'draft'" in found.out


def test_a_vector_that_an_example_lacks_is_left_out_with_a_note(import_it):
    records = copy.deepcopy(RECORDS)
    records[1]["vectors"] = {}
    found = import_it("argilla", {"records.json": records})
    assert found.spec.feature_columns is None
    assert "note: vector 'minilm' is left out: not every example has one of the same length" in found.out


def with_answer(value, question="genre"):
    records = copy.deepcopy(RECORDS)
    records[1]["responses"] = {question: [{"value": value, "user_id": "u1"}]}
    return records


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (with_answer(["drama", "comedy"]), "record 2: the answer to 'genre' chooses several classes, ["),
        (
            with_answer([{"label": "x", "start": 0}]),
            "record 2: the answer to 'genre' is {'label': 'x', 'start':",
        ),
        (with_answer("x", "mood"), "several questions (answers): genre (4), mood (1); choose one with"),
        (
            [{"id": "1", "text": "x", "genre.responses": ["a"]}],
            "record 1: expected a record with the objects",
        ),
        ([{"id": "1", "fields": {"text": "x"}}], "no answer that chooses a class was found"),
        (
            [{"id": "1", "fields": {}, "responses": {"q": [{"value": "a"}]}}],
            "a response to 'q' without 'user_id'",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_record(import_it, records, said):
    found = import_it("argilla", {"records.json": records})
    assert found.status == 1
    assert said in found.err

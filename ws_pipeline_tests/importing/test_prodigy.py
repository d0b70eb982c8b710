"""Annotations of Prodigy, as db-out writes them."""

from __future__ import annotations

import pytest

OPTIONS = [{"id": "A", "text": "Kind a"}, {"id": "B", "text": "Kind b"}]


def chosen(hash_, by, accept, answer="accept", **more):
    return {
        "text": f"text {hash_}",
        "options": OPTIONS,
        "accept": accept,
        "answer": answer,
        "_input_hash": hash_,
        "_task_hash": 99,
        "_view_id": "choice",
        "_annotator_id": by,
        "_session_id": by,
        "_timestamp": 1700000000,
    } | more


def binary(hash_, by, label, answer):
    return {
        "text": f"text {hash_}",
        "label": label,
        "answer": answer,
        "_input_hash": hash_,
        "_session_id": by,
    }


def test_choices_of_annotators_are_votes(import_it):
    lines = [
        chosen(-5, "db-ann", ["A"], _timestamp=20),
        chosen(-5, "db-ann", ["B"], _timestamp=9),
        chosen(-5, "db-bob", ["B"]),
        chosen(6, "db-ann", ["B"]),
        chosen(6, "db-bob", [], "ignore"),
        chosen(6, "db-eve", []),
        chosen(6, "db-joe", ["A"], "reject"),
    ]
    found = import_it("prodigy", {"db.jsonl": lines})
    assert found.status == 0, found.err
    assert found.votes == {-5: {"db-ann": "A", "db-bob": "B"}, 6: {"db-ann": "B"}}
    assert found.examples["text"].to_pylist() == ["text -5", "text 6"]
    for said in ("1  answer 'ignore'", "1  nothing chosen", "1  answer 'reject' to a choice"):
        assert said in found.out
    assert "repeated  1 answers, 1 with another label" in found.out


def test_what_a_review_decided_is_gold(import_it):
    reviewed = chosen(6, "boss", ["A"], versions=[{"accept": ["B"], "sessions": ["db-ann"]}])
    found = import_it("prodigy", {"db.jsonl": [chosen(6, "db-ann", ["B"]), reviewed]})
    assert found.votes == {6: {"db-ann": "B"}}
    assert found.gold == {6: "A"}


def test_answers_about_one_label_are_for_it_or_against_it(import_it):
    lines = [binary(1, "ann", "SPAM", "accept"), binary(1, "bob", "SPAM", "reject")]
    found = import_it("prodigy", {"db.jsonl": lines})
    assert found.classes == ["SPAM", "not SPAM"]
    assert found.votes == {1: {"ann": "SPAM", "bob": "not SPAM"}}
    assert "rejected ones for 'not SPAM'" in found.out


def test_of_several_labels_only_accepted_ones_are_votes(import_it):
    lines = [
        binary(1, "ann", "SPORT", "accept"),
        binary(1, "bob", "FILM", "reject"),
        binary(2, "bob", "FILM", "accept"),
    ]
    found = import_it("prodigy", {"db.jsonl": lines})
    assert found.votes == {1: {"ann": "SPORT"}, 2: {"bob": "FILM"}}
    assert "1  answer 'reject' to one of several labels" in found.out


def test_the_source_can_be_named_where_the_file_has_none(import_it):
    lines = [{"text": "x", "answer": a, "_input_hash": i} for i, a in enumerate(["accept", "reject"])]
    refused = import_it("prodigy", {"db.jsonl": lines})
    assert "line 1: neither _annotator_id nor _session_id, so that the source is not known" in refused.err
    found = import_it("prodigy", {"db.jsonl": lines}, "--source", "me")
    assert found.votes == {0: {"me": "accept"}, 1: {"me": "reject"}}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([chosen(1, "a", ["A", "B"])], "db.jsonl: line 1: 'accept' chooses several classes, ['A', 'B']"),
        ([chosen(1, "a", ["A"]), binary(2, "a", "X", "accept")], "got a mixture of ['label', 'options']"),
        ([chosen(1, "a", ["A"], None)], "line 1: 'answer' is None, expected accept, reject or ignore"),
        ([chosen(None, "a", ["A"])], "line 1: there is no example id"),
        ('{"a": 1}\n{"a": \n', "db.jsonl: line 2: not valid JSON (Expecting value, column 7)"),
        ("[1", "db.jsonl: not valid JSON"),
        ("", "expected records of one interface, got no record"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(import_it, lines, said):
    found = import_it("prodigy", {"db.jsonl": lines})
    assert found.status == 1
    assert said in found.err

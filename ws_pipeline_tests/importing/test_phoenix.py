"""Annotations of Phoenix: the data frame of its client as CSV and Parquet, and its API as JSON."""

from __future__ import annotations

import pytest

HEADER = "span_id,id,annotation_name,annotator_kind,metadata,identifier,user_id,updated_at"
CSV = f"""{HEADER},result.label,result.score
67f6,1,correctness,HUMAN,{{}},,ann,2026-01-01T00:00:00Z,correct,1.0
67f6,2,correctness,LLM,{{}},gpt-4,,2026-01-01T00:00:00Z,incorrect,0.0
67f6,3,correctness,CODE,{{}},,,2026-01-01T00:00:00Z,correct,1.0
88aa,4,correctness,LLM,{{}},gpt-4,,2026-01-01T00:00:00Z,,0.4
88aa,5,correctness,HUMAN,{{}},,ann,2026-01-01T00:00:00Z,incorrect,0.0
88aa,6,tone,LLM,{{}},gpt-4,,2026-01-01T00:00:00Z,polite,
"""
VOTES = {
    "67f6": {"HUMAN:ann": "correct", "LLM:gpt-4": "incorrect", "CODE": "correct"},
    "88aa": {"HUMAN:ann": "incorrect"},
}


def test_annotators_vote_on_spans(import_it):
    found = import_it("phoenix", {"annotations.csv": CSV}, "--question", "correctness")
    assert found.status == 0, found.err
    assert found.votes == VOTES
    assert "1  no label, but a score or an explanation" in found.out
    assert "1  another question" in found.out
    assert "note: 4 of 4 votes have a score" in found.out
    scores = dict(zip(found.matrix.lf_names, found.matrix.details.scores[0].tolist(), strict=True))
    assert scores == {"CODE": 1.0, "HUMAN:ann": 1.0, "LLM:gpt-4": 0.0}


def test_names_are_listed_and_several_may_be_chosen(import_it):
    refused = import_it("phoenix", {"annotations.csv": CSV})
    assert "several questions (answers): correctness (4), tone (1); choose one with --question" in refused.err
    options = ["--question", "correctness", "--question", "tone"]
    found = import_it("phoenix", {"annotations.csv": CSV}, *options)
    assert found.votes["88aa"] == {"correctness:HUMAN:ann": "incorrect", "tone:LLM:gpt-4": "polite"}


def test_the_answers_of_a_gold_source_are_gold(import_it):
    options = ["--question", "correctness", "--gold-source", "HUMAN:ann"]
    found = import_it("phoenix", {"annotations.csv": CSV}, *options)
    assert found.gold == {"67f6": "correct", "88aa": "incorrect"}
    assert found.votes == {"67f6": {"LLM:gpt-4": "incorrect", "CODE": "correct"}}
    options[-1] = "HUMAN:an"
    wrong = import_it("phoenix", {"annotations.csv": CSV}, *options, out="other")
    assert "no answer of the gold source 'HUMAN:an', did you mean 'HUMAN:ann'?" in wrong.err


def test_answers_of_the_api_give_the_same(import_it):
    rows = [line.split(",") for line in CSV.splitlines()]
    names = ["span_id", "id", "name", "annotator_kind", "", "identifier", "user_id", "updated_at"]
    data = [
        {name: value for name, value in zip(names, row, strict=False) if name}
        | {"result": {"label": row[8] or None, "score": row[9]}}
        for row in rows[1:]
    ]
    found = import_it("phoenix", {"a.json": {"data": data, "next_cursor": None}}, "--question", "correctness")
    assert found.votes == VOTES


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("span_id,annotator_kind,label\na,LLM,x\n", "row 1: none of ['annotation_name', 'name'] has a value"),
        ("name,annotator_kind,label\nq,LLM,x\n", "row 1: none of ['span_id', 'context.span_id', 'trace_id'"),
        ("span_id,name,label\na,q,x\n", "row 1: no 'annotator_kind' (HUMAN, LLM or CODE)"),
        ("span_id,name,annotator_kind,score\na,q,LLM,1\n", "no answer that chooses a class was found"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_row(import_it, table, said):
    found = import_it("phoenix", {"annotations.csv": table})
    assert found.status == 1
    assert said in found.err

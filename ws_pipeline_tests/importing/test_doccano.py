"""Exports of doccano, one file per annotator."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from ws_pipeline.cli import main

ANN = [
    {"id": 1, "text": "good", "label": ["pos"], "Comments": [], "topic": "film"},
    {"id": 2, "text": "bad", "label": ["neg"], "Comments": ["?"], "topic": "book"},
]
BOB = [
    {"id": 1, "text": "good", "label": ["neg"], "Comments": [], "topic": "film"},
    {"id": 2, "text": "bad", "label": [], "Comments": [], "topic": "book"},
]


def test_every_file_of_a_folder_is_a_source(import_it):
    found = import_it("doccano", {"ann.jsonl": ANN, "bob.jsonl": BOB})
    assert found.status == 0, found.err
    assert found.votes == {1: {"ann": "pos", "bob": "neg"}, 2: {"ann": "neg"}}
    assert found.examples["text"].to_pylist() == ["good", "bad"]
    assert found.examples["topic_column"].to_pylist() == ["film", "book"]
    assert "1  no label" in found.out


def test_one_file_needs_the_name_of_its_source(import_it):
    refused = import_it("doccano", {"all.jsonl": ANN})
    assert (
        "all.jsonl: a file of doccano does not say who labelled; name the source with --source" in refused.err
    )
    found = import_it("doccano", {"all.jsonl": ANN}, "--source", "team")
    assert found.votes == {1: {"team": "pos"}, 2: {"team": "neg"}}
    again = import_it("doccano", {"ann.jsonl": ANN, "bob.jsonl": BOB}, "--source", "x", out="other")
    assert "the sources are the names of the files in it; leave out --source" in again.err


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"id": 3, "text": "x", "label": ["pos", "neg"]},
            "bob.jsonl: line 1: 'label' chooses several classes",
        ),
        (
            {"id": 3, "text": "x", "label": [[0, 3, "LOC"]]},
            "line 1: 'label' is [0, 3, 'LOC'], expected the name",
        ),
        (
            {"id": 3, "text": "x", "annotations": []},
            "line 1: expected a list of labels under 'label', got the",
        ),
        ({"text": "x", "label": ["pos"]}, "line 1: there is no example id"),
        (
            {"id": 1, "text": "else", "label": ["pos"]},
            "example '1' has the text 'else', but before it was 'good'",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(import_it, record, said):
    found = import_it("doccano", {"ann.jsonl": ANN, "bob.jsonl": [record]})
    assert found.status == 1
    assert said in found.err


def test_a_folder_without_any_file_is_refused(import_it):
    found = import_it("doccano", {"a.zip": "", "b.txt": ""})
    assert "no file that ends in .jsonl or .json; give the export of doccano, as zip" in found.err
    missing = import_it("doccano", {"x/a.jsonl": ANN, "b.txt": ""})
    assert missing.status == 1


def test_a_zip_needs_no_unpacking(import_it):
    content = io.BytesIO()
    anna = [{"id": 1, "text": "x", "label": ["a"]}, {"id": 2, "text": "y", "label": ["b"]}]
    bob = [{"id": 1, "text": "x", "label": ["b"]}]
    with zipfile.ZipFile(content, "w") as packed:
        for name, lines in {"anna.jsonl": anna, "bob.jsonl": bob}.items():
            packed.writestr(name, "".join(json.dumps(line) + "\n" for line in lines))
        packed.writestr("__MACOSX/._bob.jsonl", "no json")
    found = import_it("doccano", {"project.zip": content.getvalue()})
    assert found.status == 0, found.err
    assert found.votes == {1: {"anna": "a", "bob": "b"}, 2: {"anna": "b"}}


def test_problems_of_a_zip_name_the_file_in_it(tmp_path, capsys):
    file = tmp_path / "doccano.zip"
    for content, said in (
        ({"a.jsonl": b'{"id": 1, "label": ["x"]}\n{"id": '}, f"{file / 'a.jsonl'}: line 2: not valid JSON"),
        ({"a.jsonl": b'{"id": 1,\n \xff'}, f"{file / 'a.jsonl'}: line 2 is not UTF-8 text"),
        ({"x/a.jsonl": b"", "y/a.jsonl": b""}, f"{file}: two files have one name, ['a', 'a']"),
        ({"a.txt": b""}, f"{file}: no file that ends in .jsonl or .json; give the export of doccano, as zip"),
    ):
        with zipfile.ZipFile(file, "w") as packed:
            for name, text in content.items():
                packed.writestr(name, text)
        arguments = ["import", "doccano", str(file), "--task", "topic", "--out", str(tmp_path / "out")]
        assert main(arguments) == 1
        assert said in capsys.readouterr().err

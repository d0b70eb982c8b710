"""Folders of the benchmark WRENCH."""

from __future__ import annotations

import copy

import pytest


def example(label, votes, **data):
    return {"label": label, "weak_labels": votes, "data": data}


FILES = {
    "label.json": {"0": "HAM", "1": "SPAM"},
    "train.json": {
        "0": example(0, [0, -1, 1], text="hi", feature=[0.5, 1]),
        "1": example(-1, [-1, -1, -1], text="ho", feature=[1, 2]),
    },
    "valid.json": {"0": example(1, [1, 1, -1], text="buy", feature=[3, 4])},
    "test.json": {"0": example(1, [-1, 1, 0], text="win", feature=[5, 6])},
}


def test_votes_gold_features_and_splits_come_in_one_go(import_it):
    found = import_it("wrench", FILES)
    assert found.status == 0, found.err
    assert found.classes == ["HAM", "SPAM"]
    assert found.votes == {
        "train-0": {"lf_0": "HAM", "lf_2": "SPAM"},
        "valid-0": {"lf_0": "SPAM", "lf_1": "SPAM"},
        "test-0": {"lf_1": "SPAM", "lf_2": "HAM"},
    }
    assert found.gold == {"train-0": "HAM", "valid-0": "SPAM", "test-0": "SPAM"}
    assert found.examples["example_id"].to_pylist() == ["train-0", "train-1", "valid-0", "test-0"]
    assert found.index.splits.tolist() == ["train", "train", "valid", "test"]
    assert found.examples["feature"].to_pylist() == [[0.5, 1], [1, 2], [3, 4], [5, 6]]
    assert found.spec.feature_columns == ["feature"]
    assert found.spec.model is not None


def test_data_of_text_alone_ends_at_the_labels(import_it):
    files = copy.deepcopy(FILES)
    for name in ("train.json", "valid.json", "test.json"):
        for values in files[name].values():
            del values["data"]["feature"]
    found = import_it("wrench", files)
    assert found.spec.model is None
    assert found.examples.column_names == ["example_id", "split", "text", "topic"]


def changed(file, key, **values):
    files = copy.deepcopy(FILES)
    files[file][key] = files[file].get(key, {}) | values
    return files


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            changed("valid.json", "0", weak_labels=[1, 2, 0]),
            "valid.json: example '0': weak label 1 is 2, expected a",
        ),
        (changed("valid.json", "0", weak_labels=[1]), "valid.json: example '0': 1 weak labels, expected 3"),
        (
            changed("test.json", "0", label="x"),
            "test.json: example '0': label is 'x', expected a number from -1",
        ),
        (
            changed("test.json", "9", label=1),
            "test.json: example '9': expected the keys ['data', 'label', 'weak",
        ),
        (
            FILES | {"label.json": {"0": "A", "2": "B"}},
            "label.json: expected the numbers 0 to 1 and the name",
        ),
        (FILES | {"label.json": {"0": "A", "1": "A"}}, "label.json: two classes have one name, ['A', 'A']"),
        (FILES | {"test.json": [1]}, "test.json: expected an object from ids to examples, got list"),
        ({name: FILES[name] for name in list(FILES)[:3]}, "test.json: there is no such file"),
    ],
)
def test_what_is_no_folder_of_wrench_is_refused_with_its_place(import_it, files, said):
    found = import_it("wrench", files)
    assert found.status == 1
    assert said in found.err


def test_splits_of_the_export_are_not_changed(import_it):
    found = import_it("wrench", FILES, "--splits", "0.8,0.1,0.1")
    assert "--splits would be ignored: the export has splits of its own; leave it out" in found.err
    assert not found.folder.exists()


def test_sources_that_never_vote_are_named(import_it):
    files = copy.deepcopy(FILES)
    for split in ("train.json", "valid.json", "test.json"):
        for row in files[split].values():
            row["weak_labels"] = [*row["weak_labels"], -1, -1]
    found = import_it("wrench", files)
    assert "note: sources that never vote, and are not among the votes: lf_3, lf_4" in found.out
    assert "never vote" not in import_it("wrench", FILES, out="all").out

"""What is made of the answers that a reader found: votes, gold labels, classes."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ws_pipeline.errors import ExportError
from ws_pipeline.importing.export import Found, make_export
from ws_pipeline.importing.options import ImportOptions


def found(rows, gold=None, **more):
    columns = dict(zip(("example_id", "source", "label"), zip(*rows, strict=True), strict=True))
    answers = pa.table({name: pa.array(values, pa.large_string()) for name, values in columns.items()})
    examples = pa.table({"example_id": answers["example_id"].unique()})
    return Found("file", examples, answers, gold or {}, {}, **more)


ROWS = [("a", "w", "x"), ("a", "boss", "y"), ("b", "w", "y"), ("b", "w", "x"), ("c", "v", "x")]


def test_answers_of_gold_sources_are_gold_and_no_votes():
    export = make_export(found(ROWS), ImportOptions(gold_sources=("boss",)))
    assert export.gold == {"a": "y"}
    assert export.votes.to_pylist() == [
        {"example_id": "a", "source": "w", "label": "x"},
        {"example_id": "b", "source": "w", "label": "x"},
        {"example_id": "c", "source": "v", "label": "x"},
    ]
    assert export.classes == ("x", "y")
    report = export.report
    assert (report.n_examples, report.n_gold, report.n_repeated, report.n_different) == (3, 1, 1, 1)
    assert list(report.sources.items()) == [("w", 2), ("v", 1)]
    assert report.labels == {"x": 3, "y": 0}


def test_two_gold_labels_of_an_example_are_refused():
    with pytest.raises(
        ExportError, match="file: example 'a' has two gold labels, 'x' and 'y'; an example has"
    ):
        make_export(found(ROWS, {"a": "x"}), ImportOptions(gold_sources=("boss",)))


def test_an_export_of_gold_alone_is_refused():
    with pytest.raises(ExportError, match="file: no vote was found; skipped were: nothing"):
        make_export(found(ROWS[1:2]), ImportOptions(gold_sources=("boss",)))


def test_classes_are_sorted_numbers_first_and_alike_ones_are_noted():
    rows = [(str(place), "w", label) for place, label in enumerate(["10", "9", "b", "B ", "-1", "a"])]
    export = make_export(found(rows), ImportOptions())
    assert export.classes == ("-1", "9", "10", "B ", "a", "b")
    assert export.report.notes == ("classes 'B ' and 'b' differ only in blanks or case: are they one?",)
    known = make_export(found(ROWS, classes=("z", "y", "x")), ImportOptions())
    assert known.classes == ("z", "y", "x")


def test_free_text_is_no_class():
    rows = [(str(place), "w", f"text {place}") for place in range(1001)]
    with pytest.raises(ExportError, match=r"1001 different labels, such as 'text 0', .*looks like free text"):
        make_export(found(rows), ImportOptions())

"""Labels that are written as names of classes."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ws_pipeline.class_names import kind_of_classes, numbers_of_names
from ws_pipeline.errors import ExamplesError, LabelMatrixError
from ws_pipeline.example_index import ExampleIndex
from ws_pipeline.examples import Examples
from ws_pipeline.labeling import LabelMatrix

CLASSES = ["ham", "spam", "ham sandwich"]


def column(values, kind=None):
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
)
def test_names_become_the_numbers_of_the_classes(kind):
    names = column(["spam", None, "ham", "ham sandwich", "spam"], pa.string()).cast(kind)
    found = numbers_of_names(names, CLASSES, what="votes", error=LabelMatrixError)
    assert found.to_pylist() == [1, None, 0, 2, 1]
    assert found.type == pa.int64()


def test_numbers_are_left_alone():
    numbers = column([1, None, -1], pa.int8())
    assert numbers_of_names(numbers, CLASSES, what="votes", error=LabelMatrixError) is numbers


def test_names_of_no_class_are_counted():
    names = column([*["spamm"] * 3, "eggs", "eggs", "", "ham", *"abcde"])
    with pytest.raises(ExamplesError) as refused:
        numbers_of_names(names, CLASSES, what="gold column 'mail'", error=ExamplesError)
    assert str(refused.value) == (
        "gold column 'mail' has labels that are no class: 'spamm' (3), 'eggs' (2), '' (1), 'a' (1), 'b' (1) "
        "and 3 more; null means no label; did you mean 'spam'?"
    )


def test_votes_may_be_names():
    table = pa.table({"example_id": [1, 2, 3], "a": ["spam", None, "ham"], "b": [0, 1, None]})
    matrix = LabelMatrix.from_table(table, 3, classes=CLASSES)
    assert matrix.votes.tolist() == [[1, 0], [-1, 1], [0, -1]]
    with pytest.raises(LabelMatrixError, match=r"map class names to 0\.\.k-1 first"):
        LabelMatrix.from_table(table, 3)
    wrong = table.set_column(1, "a", pa.array(["spam", "egg", "egg"]))
    with pytest.raises(
        LabelMatrixError, match=r"votes: LF 'a' has labels that are no class: 'egg' \(2\); null means"
    ):
        LabelMatrix.from_table(wrong, 3, classes=CLASSES, where="votes")


def test_gold_labels_may_be_names():
    table = pa.table(
        {"example_id": [1, 2, 3], "split": ["train"] * 3, "mail": ["spam", None, "ham"], "x": [1.0, 2, 3]}
    )
    index = ExampleIndex.from_table(table, {"mail": 3}, classes={"mail": CLASSES})
    assert index.gold["mail"].tolist() == [1, -1, 0]
    examples = Examples.from_table(table, {"mail": 3}, classes={"mail": CLASSES})
    assert list(examples.features) == ["x"]
    with pytest.raises(ExamplesError, match="gold column 'mail' has type string, expected integers"):
        Examples.from_table(table, {"mail": 3})
    with pytest.raises(
        ExamplesError, match="examples: gold column 'mail' has labels that are no class: 'spam'"
    ):
        Examples.from_table(table, {"mail": 1}, classes={"mail": ["ham"]})


@pytest.mark.parametrize(
    ("classes", "values"),
    [(["true", "false"], [True, False]), (["1", "0"], [1, 0]), (["1", "2", "3"], [1, 2, None])],
)
def test_numbers_that_are_names_of_other_classes_are_refused(classes, values):
    with pytest.raises(
        LabelMatrixError, match=r"votes has the type .*: a number is the place of a class, so that 0"
    ):
        numbers_of_names(column(values), classes, what="votes", error=LabelMatrixError)


@pytest.mark.parametrize(
    ("classes", "values"), [(["false", "true"], [True, False]), (["0", "1"], [1, 0]), (["no", "yes"], [True])]
)
def test_numbers_that_are_places_and_names_alike_are_taken(classes, values):
    found = numbers_of_names(column(values), classes, what="votes", error=LabelMatrixError)
    assert found.to_pylist() == values


@pytest.mark.parametrize(
    ("classes", "texts", "names"),
    [
        (["ham", "spam"], ["ham", "1", "0.0", "-1", None], ["ham", "spam", "ham", None, None]),
        (["1", "0"], ["1", "0", "1.0", "-1"], ["1", "0", "1", None]),
        (["-1", "1"], ["-1", "-1.0", "1"], ["-1", None, "1"]),
        (["ham", "2"], ["ham", "2"], ["ham", "2"]),
    ],
)
def test_texts_of_votes_are_names_or_places(classes, texts, names):
    values, wrong = kind_of_classes(classes).read(pa.chunked_array([texts], pa.large_string()))
    assert values.to_pylist() == names
    assert not any(wrong.to_pylist())


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (["ham", "spam"], "2"),
        (["ham", "spam"], "Ham"),
        (["ham", "spam"], " ham"),
        (["ham", "2"], "0"),
        (["a", "b"], "-2"),
    ],
)
def test_texts_that_are_no_class(classes, text):
    _, wrong = kind_of_classes(classes).read(pa.chunked_array([[text, None]], pa.large_string()))
    assert wrong.to_pylist() == [True, False]

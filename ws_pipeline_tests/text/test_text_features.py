"""Features of text as a table."""

import numpy as np
import pytest

from ws_pipeline.errors import TextError
from ws_pipeline.examples import Examples
from ws_pipeline.text.text_features import TextFeatures

VALUES = np.array([[0.5, -1], [0, 0], [2, 0.25]], dtype=np.float32)


def examples():
    splits = np.array(["train", "valid", "test"], dtype=object)
    numbers = {"number": np.array([[1], [2], [3]], dtype=np.float32)}
    return Examples(np.arange(3), splits, {}, {}, numbers)


def made(**columns):
    return TextFeatures(np.arange(3), columns or {"text": VALUES}, "abc")


def test_a_table_of_them_is_read_back_as_it_was():
    again = TextFeatures.from_table(made(text=VALUES, title=VALUES[:, :1]).to_table())
    assert again.example_ids.tolist() == [0, 1, 2]
    assert again.digest == "abc"
    assert {name: values.tolist() for name, values in again.features.items()} == {
        "text": VALUES.tolist(),
        "title": [[0.5], [0], [2]],
    }


def test_they_stand_behind_the_features_of_the_examples():
    both = made().added_to(examples(), columns=["text"], where="text_features")
    assert list(both.features) == ["number", "text"]
    assert both.features["text"].tolist() == VALUES.tolist()


def test_those_of_other_columns_are_refused():
    said = (
        r"text_features has features of the text columns \['text'\], but the key 'features' names \['title'\]"
    )
    with pytest.raises(TextError, match=said):
        made().added_to(examples(), columns=["title"], where="text_features")


def test_examples_without_any_known_word_are_counted():
    assert made().without_terms() == {"text": 1}

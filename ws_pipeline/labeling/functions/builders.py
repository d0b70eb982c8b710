"""Ready-made labeling functions: keywords, patterns, thresholds, tables, models, labels of another task.

They are vectorized: each works on whole columns of a DataFrame, texts with the regular expressions of Arrow,
which take time linear in the length of the text.  Missing values abstain.

Legend: n rows, k classes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.labeling.functions.labeling_function import VectorizedLabelingFunction
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN
from ws_pipeline.settings.base import nearest

if TYPE_CHECKING:
    import pandas as pd

_ROUNDING = 1e-6  # of probabilities that are stored as float32

VotesOfRows = npt.NDArray[np.int16]


def keyword_lf(
    name: str,
    keywords: Collection[str],
    label: int,
    *,
    column: str = "text",
    ignore_case: bool = True,
    whole_words: bool = True,
) -> VectorizedLabelingFunction:
    """Vote for a class where a text has one of some words or phrases.

    Parameters
    ----------
    name
        Name of the LF.
    keywords
        At least one word or phrase.
    label
        The class, from 0 on.
    column
        Column with the texts.
    ignore_case
        Whether "FREE" is found by "free".
    whole_words
        Whether "free" is not found in "freedom".

    Raises
    ------
    LabelingFunctionError
        There is no keyword, or one is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> spam = keyword_lf("offers", ["free", "prize"], label=1)
    >>> spam(pd.DataFrame({"text": ["A FREE gift", "freedom", None]})).tolist()
    [1, -1, -1]
    """
    words = sorted(keywords) if isinstance(keywords, set | frozenset) else keywords
    if isinstance(words, str) or not words or not all(isinstance(word, str) and word for word in words):
        message = f"LF '{name}': keywords must be a list of words that are not empty, got {keywords!r}"
        raise LabelingFunctionError(message)
    parts = [_at_word_ends(word) if whole_words else _escaped(word) for word in words]
    pattern = "|".join(parts)
    return regex_lf(name, pattern, label, column=column, ignore_case=ignore_case)


def _at_word_ends(keyword: str) -> str:
    r"""The pattern of a keyword, at the ends of words where it begins or ends with a part of one.

    RE2's ``\b`` knows the letters of English only.
    """
    begin, end = (r"(?:^|[^\pL\pM\pN_])", r"(?:$|[^\pL\pM\pN_])")
    first, last = _is_of_word(keyword[0]), _is_of_word(keyword[-1])
    return (begin if first else "") + _escaped(keyword) + (end if last else "")


def _is_of_word(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LMN"


def _escaped(keyword: str) -> str:
    """The pattern of a text as it is; Python's own escapes a blank in a way that RE2 does not know."""
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", keyword)


def regex_lf(
    name: str, pattern: str, label: int, *, column: str = "text", ignore_case: bool = False
) -> VectorizedLabelingFunction:
    """Vote for a class where a text matches a regular expression, anywhere in it.

    Parameters
    ----------
    name
        Name of the LF.
    pattern
        Regular expression in the syntax of RE2, which is that of Python without look-around and
        back-references.
    label
        The class, from 0 on.
    column
        Column with the texts.
    ignore_case
        Whether upper and lower case count as the same.

    Raises
    ------
    LabelingFunctionError
        The pattern is no regular expression of RE2.

    Examples
    --------
    >>> import pandas as pd
    >>> link = regex_lf("link", r"https?://", label=1)
    >>> link(pd.DataFrame({"text": ["see http://a.b", "see you"]})).tolist()
    [1, -1]
    """
    _check_label(name, label)
    try:
        pc.match_substring_regex(pa.array(["text"]), pattern, ignore_case=ignore_case)
    except pa.ArrowInvalid as refused:
        message = (
            f"LF '{name}': {pattern!r} is no regular expression of RE2 ({refused}); look-around and "
            "back-references need a labeling function with Python's re"
        )
        raise LabelingFunctionError(message) from refused
    settings = {"pattern": pattern, "label": label, "column": column, "ignore_case": ignore_case}
    return VectorizedLabelingFunction(name, _vote_by_pattern, settings)


def threshold_lf(
    name: str, column: str, label: int, *, above: float | None = None, below: float | None = None
) -> VectorizedLabelingFunction:
    """Vote for a class where a number is above or below a limit, or between two.

    Parameters
    ----------
    name
        Name of the LF.
    column
        Column of numbers.
    label
        The class, from 0 on.
    above, below
        Limits that the number must exceed, and stay under; at least one.  With ``above`` less than ``below``
        the number lies between them, otherwise outside.

    Raises
    ------
    LabelingFunctionError
        There is no limit.

    Examples
    --------
    >>> import pandas as pd
    >>> long = threshold_lf("long", "n_words", label=0, above=20)
    >>> long(pd.DataFrame({"n_words": [3, 21, None]})).tolist()
    [-1, 0, -1]
    """
    _check_label(name, label)
    _check_limit(name, above)
    _check_limit(name, below)
    if above is None and below is None:
        message = f"LF '{name}': give a limit, above=, below= or both"
        raise LabelingFunctionError(message)
    settings = {"column": column, "label": label, "above": above, "below": below}
    return VectorizedLabelingFunction(name, _vote_by_threshold, settings)


def lookup_lf(name: str, column: str, table: Mapping[Any, int]) -> VectorizedLabelingFunction:
    """Vote by a table from values of a column to classes; abstain on other values.

    Parameters
    ----------
    name
        Name of the LF.
    column
        Column to look up.
    table
        Value to class.

    Raises
    ------
    LabelingFunctionError
        The table is empty, or a class is below 0.

    Examples
    --------
    >>> import pandas as pd
    >>> sender = lookup_lf("sender", "domain", {"shop.example": 1, "bank.example": 0})
    >>> sender(pd.DataFrame({"domain": ["bank.example", "home.example"]})).tolist()
    [0, -1]
    """
    if not table:
        message = f"LF '{name}': the table is empty"
        raise LabelingFunctionError(message)
    for label in table.values():
        _check_label(name, label)
    return VectorizedLabelingFunction(name, _vote_by_table, {"column": column, "table": dict(table)})


def labels_lf(
    name: str,
    labels: Any,
    votes: Mapping[int, int],
    *,
    min_confidence: float = 0.0,
    column: str = ID_COLUMN,
) -> VectorizedLabelingFunction:
    """Vote by the labels that examples have in another task.

    Parameters
    ----------
    name
        Name of the LF.
    labels
        Labels of the other task: ``ProbabilisticLabels``; the table that a pipeline stores of them, in
        ``probabilistic_labels.parquet`` of the task; or a dict of classes by example id.  Examples that have
        none abstain.
    votes
        Class of the other task to the class that is voted for; other classes abstain.
    min_confidence
        Probability that a label has at least; a dict has no probabilities.
    column
        Column with the ids.

    Raises
    ------
    LabelingFunctionError
        There is no label, no class to vote for, or one below 0.

    Examples
    --------
    >>> import pandas as pd
    >>> is_ad = labels_lf("is_ad", {"a": 2, "b": 0}, {2: 1})  # class 2 of the other task is class 1 here
    >>> is_ad(pd.DataFrame({"example_id": ["a", "b", "c"]})).tolist()
    [1, -1, -1]
    """
    known = labels if isinstance(labels, Mapping) else _sure_labels(labels, min_confidence)
    if not known or not votes:
        what = "there is no label of the other task" if votes else "votes is empty"
        message = f"LF '{name}': {what}, so that it would never vote"
        raise LabelingFunctionError(message)
    for label in votes.values():
        _check_label(name, label)
    table = {example: votes[label] for example, label in known.items() if label in votes}
    return VectorizedLabelingFunction(name, _vote_by_table, {"column": column, "table": table})


def _sure_labels(labels: Any, min_confidence: float) -> dict[Any, int]:
    """Example id to label, of a table of probabilistic labels or a value that makes one."""
    table = labels.to_table() if hasattr(labels, "to_table") else pa.table(labels)
    names = [column for column in table.column_names if re.fullmatch(r"p_\d+", column)]
    if ID_COLUMN not in table.column_names or "prediction" not in table.column_names or not names:
        message = (
            f"expected a table of probabilistic labels ({ID_COLUMN}, p_0, p_1, .., prediction), got the "
            f"columns {table.column_names}"
        )
        raise LabelingFunctionError(message)
    sure = np.max([table.column(column).to_numpy() for column in names], axis=0) >= min_confidence
    rows = zip(table.column(ID_COLUMN).to_pylist(), table.column("prediction").to_pylist(), sure, strict=True)
    return {example: label for example, label, is_sure in rows if is_sure and label >= 0}


def model_lf(
    name: str, columns: str | Sequence[str], *, thresholds: float | Sequence[float] = 0.5
) -> VectorizedLabelingFunction:
    """Vote as a model does whose probabilities are in columns, where it is sure enough.

    Parameters
    ----------
    name
        Name of the LF.
    columns
        The k columns of P(class 0), .., P(class k-1); or, for two classes, the one column of P(class 1).
    thresholds
        Probability from which on the most probable class gets the vote: one for all classes, or k of them.

    Raises
    ------
    LabelingFunctionError
        The number of thresholds is not that of the classes.

    Examples
    --------
    >>> import pandas as pd
    >>> old_model = model_lf("old_model", "p_spam", thresholds=[0.9, 0.8])
    >>> old_model(pd.DataFrame({"p_spam": [0.85, 0.6, 0.05]})).tolist()
    [1, -1, 0]
    """
    names = [columns] if isinstance(columns, str) else list(columns)
    k = max(2, len(names))
    if not names:
        message = f"LF '{name}': expected at least one column of probabilities, got none"
        raise LabelingFunctionError(message)
    limits = [float(limit) for limit in np.broadcast_to(thresholds, k)] if np.ndim(thresholds) == 0 else []
    limits = limits or list(map(float, np.atleast_1d(thresholds)))
    if len(limits) != k:
        message = f"LF '{name}': expected one threshold, or one for each of {k} classes, got {len(limits)}"
        raise LabelingFunctionError(message)
    return VectorizedLabelingFunction(name, _vote_by_model, {"columns": names, "limits": limits})


def _vote_by_pattern(
    df: pd.DataFrame, *, pattern: str, label: int, column: str, ignore_case: bool
) -> VotesOfRows:
    texts = _texts(df, column)
    found = pc.match_substring_regex(texts, pattern, ignore_case=ignore_case)
    return _votes(pc.fill_null(found, fill_value=False).to_numpy(zero_copy_only=False), label)


def _vote_by_threshold(
    df: pd.DataFrame, *, column: str, label: int, above: float | None, below: float | None
) -> VotesOfRows:
    numbers = _numbers(df, column)
    is_above = numbers > (-np.inf if above is None else above)
    is_below = numbers < (np.inf if below is None else below)
    outside = above is not None and below is not None and above >= below
    known = ~np.isnan(numbers)
    return _votes(known & (is_above | is_below if outside else is_above & is_below), label)


def _vote_by_table(df: pd.DataFrame, *, column: str, table: Mapping[Any, int]) -> VotesOfRows:
    values = _column(df, column).tolist()
    return np.array([table.get(value, ABSTAIN) for value in values], dtype=np.int16)


def _vote_by_model(df: pd.DataFrame, *, columns: Sequence[str], limits: Sequence[float]) -> VotesOfRows:
    probs = np.stack([_numbers(df, column) for column in columns], axis=1)
    if len(columns) == 1:
        probs = np.hstack([1 - probs, probs])
    known = ~np.isnan(probs.sum(axis=1))
    if np.any((probs[known] < 0) | (probs[known] > 1)):
        message = (
            f"probabilities are from 0 to 1, got {probs[known].min()} to {probs[known].max()} in {columns}"
        )
        raise LabelingFunctionError(message)
    best = np.where(known[:, None], probs, -np.inf).argmax(axis=1)
    sure = known & (probs[np.arange(len(probs)), best] >= np.asarray(limits)[best] - _ROUNDING)
    return np.where(sure, best, ABSTAIN).astype(np.int16)


def _votes(voted: npt.NDArray[np.bool_], label: int) -> VotesOfRows:
    return np.where(voted, label, ABSTAIN).astype(np.int16)


def _texts(df: pd.DataFrame, column: str) -> pa.Array:
    try:
        return pa.array(_column(df, column), type=pa.large_string(), from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as refused:
        message = f"column '{column}' has type {df[column].dtype}, expected texts"
        raise LabelingFunctionError(message) from refused


def _numbers(df: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    numbers: npt.NDArray[np.float64] = _column(df, column).to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def _column(df: pd.DataFrame, column: str) -> pd.Series[Any]:
    if column not in df.columns:
        message = f"there is no column '{column}', {nearest(column, list(map(str, df.columns)))}"
        raise LabelingFunctionError(message)
    return df[column]


def _check_limit(name: str, limit: Any) -> None:
    is_number = isinstance(limit, int | float | np.number)
    if limit is not None and (not is_number or np.isnan(limit)):
        message = f"LF '{name}': a limit is a number, got {limit!r}"
        raise LabelingFunctionError(message)


def _check_label(name: str, label: Any) -> None:
    if not isinstance(label, int | np.integer) or isinstance(label, bool) or label < 0:
        message = f"LF '{name}': a class is a whole number from 0 on, got {label!r}"
        raise LabelingFunctionError(message)

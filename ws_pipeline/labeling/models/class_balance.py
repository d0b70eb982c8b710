"""The class balance P(class) that a label model is fitted with: given, counted, or uniform."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats
from ws_pipeline.arrays import as_array, in_order
from ws_pipeline.errors import ClassBalanceError
from ws_pipeline.labeling.votes.gold_counts import gold_numbers
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN

_SUM_TOLERANCE = 1e-6


def validate_class_balance(class_balance: Any, cardinality: int) -> Floats:
    """Return ``class_balance`` as an array ``[k]``, or say why it is none.

    Raises
    ------
    ClassBalanceError
        Not k entries, not all positive, or a sum that is not 1 (to 1e-6).
    """
    balance = _as_shares(class_balance, cardinality)
    if balance.shape != (cardinality,):
        message = f"class_balance has {balance.size} entries for {cardinality} classes; give one per class"
        raise ClassBalanceError(message)
    _refuse_zero_priors(balance)
    return check_distribution(balance, cardinality)


def check_distribution(balance: Any, cardinality: int) -> Floats:
    """Return shares of the classes as an array ``[k]``; a class may have none.

    Raises
    ------
    ClassBalanceError
        Not k entries, a negative or non-finite one, or a sum that is not 1 (to 1e-6).
    """
    shares = _as_shares(balance, cardinality).copy()
    if shares.shape != (cardinality,):
        message = (
            f"class_balance has {shares.size} entries for {cardinality} classes: expected shape "
            f"[{cardinality}], got {list(shares.shape)}"
        )
        raise ClassBalanceError(message)
    if not np.isfinite(shares).all() or shares.min() < 0:
        message = f"class_balance must be positive shares, at least 0 each, got {shares.tolist()}"
        raise ClassBalanceError(message)
    if abs(shares.sum() - 1) > _SUM_TOLERANCE:
        message = (
            f"class_balance must sum to 1, got {shares.tolist()} with sum {shares.sum():.6g}; "
            "divide it by its sum if these are counts"
        )
        raise ClassBalanceError(message)
    return shares


def _as_shares(class_balance: Any, cardinality: int) -> Floats:
    """Shares as floats; those of a dict or a Series, such as of ``value_counts``, go by class."""
    ordered = in_order(
        class_balance, range(cardinality), "class_balance", of="class", error=ClassBalanceError
    )
    shares = as_array(ordered, "class_balance", error=ClassBalanceError)
    if shares.dtype.kind not in "iuf":
        message = f"class_balance must be {cardinality} numbers, got {class_balance!r}"
        raise ClassBalanceError(message)
    return shares.astype(np.float64)


def class_balance_from_gold(gold: Any, cardinality: int) -> Floats:
    """Share of each class among gold labels ``[n]``, unknown ones (-1, or missing in a Series) ignored.

    Raises
    ------
    ClassBalanceError
        Labels out of range, none known, or a class that does not occur.
    """
    labels = gold_numbers(gold, "Y_dev", error=ClassBalanceError).ravel()
    if labels.dtype.kind not in "iuf":
        message = f"Y_dev must hold integers from -1 (unknown) to {cardinality - 1}, got dtype {labels.dtype}"
        raise ClassBalanceError(message)
    wrong = (labels != np.floor(labels)) | (labels < ABSTAIN) | (labels >= cardinality)
    if wrong.any():
        message = f"Y_dev must hold integers from -1 (unknown) to {cardinality - 1}, got {labels[wrong][0]}"
        raise ClassBalanceError(message)
    labels = labels.astype(np.int64)
    counts = np.bincount(labels[labels != ABSTAIN], minlength=cardinality)
    if counts.sum() == 0:
        message = "Y_dev has no known label, pass class_balance or leave both out"
        raise ClassBalanceError(message)
    _refuse_zero_priors(counts)
    return np.asarray(counts / counts.sum())


def _refuse_zero_priors(balance: npt.NDArray[Any]) -> None:
    if np.any(balance == 0):
        classes = np.flatnonzero(balance == 0).tolist()
        message = (
            f"class_balance is 0 for classes {classes}; every class needs a positive prior: "
            "pass class_balance with a small value for these, or lower the cardinality"
        )
        raise ClassBalanceError(message)

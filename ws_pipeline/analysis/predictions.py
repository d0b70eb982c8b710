"""From probabilities to predictions and back.

Legend: n = examples, k = classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ws_pipeline.arrays import as_array
from ws_pipeline.errors import InvalidInputError

ABSTAIN = -1
TieBreakPolicy = Literal["abstain", "random", "true-random"]
_POLICIES = ("abstain", "random", "true-random")
_MAX_NAMED_ROWS = 5


def probs_to_preds(
    probs: ArrayLike,
    tie_break_policy: TieBreakPolicy = "random",
    tol: float = 1e-5,
    *,
    keys: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Predict the most probable class of every row.

    Parameters
    ----------
    probs
        Probabilities ``[n, k]``; any finite scores will do, rows need not sum to 1.
    tie_break_policy
        What to predict where several classes come within ``tol`` of the row's largest value:
        "abstain": -1;
        "random": one of the tied classes, picked by a hash of the row's number or of its key, so
        that the same array always gives the same predictions;
        "true-random": one of the tied classes, another one at each call (numpy's global random
        state is neither read nor changed).
    tol
        Classes that come nearer than this to the largest value of their row count as tied.
    keys
        ``[n]`` example ids, integers or strings.  With them, "random" picks by the hash of ``str(key)``:
        an example gets the same class wherever its row is, and in whichever shard.  Default: row
        numbers.  The other policies make no use of them.

    Returns
    -------
    ndarray
        Predictions ``[n]`` in -1..k-1.

    Raises
    ------
    InvalidInputError
        ``probs`` is not ``[n, k]`` with k >= 2, a row is not finite, the policy is unknown, or the keys
        are not ``[n]``.

    Examples
    --------
    >>> probs_to_preds([[0.2, 0.8], [0.5, 0.5]], tie_break_policy="abstain")
    array([ 1, -1])
    >>> probs_to_preds([[0.5, 0.5], [0.5, 0.5]], keys=["doc-7", "doc-7"])
    array([1, 1])
    """
    if tie_break_policy not in _POLICIES:
        message = f"unknown tie_break_policy '{tie_break_policy}', expected one of {', '.join(_POLICIES)}"
        raise InvalidInputError(message)
    values = _check_probs(probs)
    names = None if keys is None else _check_keys(keys, len(values))
    best = values.max(axis=1, keepdims=True)
    tied = (best - values < tol) | (values == best)
    preds: NDArray[np.int64] = tied.argmax(axis=1).astype(np.int64)
    tied_rows = np.flatnonzero(tied.sum(axis=1) > 1)
    if tie_break_policy == "abstain":
        preds[tied_rows] = ABSTAIN
    elif tie_break_policy == "random":
        preds[tied_rows] = _pick_by_hash(
            tied[tied_rows], (tied_rows if names is None else names[tied_rows]).tolist()
        )
    else:
        # The tied class with the largest of independent uniform numbers is a uniform choice.
        draws = np.random.default_rng().random((len(tied_rows), values.shape[1]))
        preds[tied_rows] = np.where(tied[tied_rows], draws, -1.0).argmax(axis=1)
    return preds


def hard_labels(golds: NDArray[Any]) -> NDArray[Any]:
    """Classes of labels of either kind.

    Parameters
    ----------
    golds
        Hard labels ``[n]``, ``[n, 1]`` or, if they are integers, ``[1, n]``, which are returned as they
        are; or probabilities ``[n, k]``.

    Returns
    -------
    ndarray
        Most probable classes ``[n]``; -1 for a row without a single most probable one.
    """
    is_hard = golds.ndim != 2 or golds.shape[1] == 1 or (len(golds) == 1 and golds.dtype.kind in "iub")
    return golds if is_hard else probs_to_preds(golds, tie_break_policy="abstain")


def preds_to_probs(preds: ArrayLike, num_classes: int) -> NDArray[np.float64]:
    """Give every prediction probability one.

    Parameters
    ----------
    preds
        Predictions ``[n]`` or ``[n, 1]`` in 0..k-1.
    num_classes
        Number of classes k.

    Returns
    -------
    ndarray
        Probabilities ``[n, k]``: one in the predicted column, zero elsewhere.

    Raises
    ------
    InvalidInputError
        A prediction is not an integer in 0..k-1; an abstain (-1) has no probabilities.
    """
    labels = as_array(preds, "preds")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        message = f"preds must have shape [n] or [n, 1], got {list(labels.shape)}"
        raise InvalidInputError(message)
    bad = np.flatnonzero(~np.isin(labels, np.arange(num_classes)))
    if len(bad):
        found = ", ".join(f"{labels[row]} in row {row}" for row in bad[:_MAX_NAMED_ROWS])
        message = (
            f"preds must be integers in 0..{num_classes - 1}, got {found} ({len(bad)} rows in all); "
            "leave abstains (-1) out first"
        )
        raise InvalidInputError(message)
    probs = np.zeros((len(labels), num_classes))
    probs[np.arange(len(labels)), labels.astype(np.int64)] = 1.0
    return probs


def _check_probs(probs: ArrayLike) -> NDArray[np.floating]:
    values = as_array(probs, "probs")
    if values.ndim != 2 or values.shape[1] < 2:
        message = f"probs must have shape [n, k] with a column per class, k >= 2, got {list(values.shape)}"
        if values.ndim == 2 and values.shape[1] == 1:
            message += "; for a probability p of class 1, the two columns are 1 - p and p"
        raise InvalidInputError(message)
    if values.dtype.kind not in "iufb":
        message = f"probs must be numbers, got {values.dtype}, such as {values.flat[0]!r}"
        raise InvalidInputError(message)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        rows = ", ".join(str(row) for row in bad[:_MAX_NAMED_ROWS])
        message = f"probs must be finite, got NaN or infinity in {len(bad)} rows, first in rows {rows}"
        raise InvalidInputError(message)
    return values


def _check_keys(keys: ArrayLike, n: int) -> NDArray[Any]:
    names = as_array(keys, "keys")
    if names.shape != (n,):
        message = f"keys must have shape [{n}], one example id per row of probs, got {list(names.shape)}"
        raise InvalidInputError(message)
    return names


def _pick_by_hash(tied: NDArray[np.bool_], keys: Iterable[object]) -> NDArray[np.int64]:
    """One of the tied classes of every row, ``[n, k]`` -> ``[n]``, by the hash of the row's key."""
    hashes = map(_hash, keys)
    sizes = tied.sum(axis=1).tolist()
    picks = np.array([number % size for number, size in zip(hashes, sizes, strict=True)], dtype=np.int64)
    nth_tied = tied.cumsum(axis=1) == picks[:, None] + 1  # first True: the class that was picked
    return np.asarray(nth_tied.argmax(axis=1), dtype=np.int64)


def _hash(key: object) -> int:
    """A number that depends on the key alone, the same in every process."""
    return int.from_bytes(hashlib.sha1(str(key).encode(), usedforsecurity=False).digest())

"""Why a label model gives examples the labels that it gives: tables for people to read.

Legend: r examples, m labeling functions (LFs), k classes, u patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.array_types import Floats
from ws_pipeline.labeling.models.auto import AutoLabelModel
from ws_pipeline.labeling.models.candidates import is_unanimous
from ws_pipeline.labeling.models.plain_vote import majority_probs
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, LabelMatrix
from ws_pipeline.labeling.votes.vote_forms import read_votes
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.labeling.votes.vote_storage import DENSE_LFS, to_dense

_SHOWN_PARTS = 3  # of a reason
_LF = "log-odds of {}"


def contradicted_votes(
    model: AutoLabelModel,
    patterns: VotePatterns,
    classes: Sequence[str],
    *,
    given: Any = None,
    max_rows: int = 12,
) -> pa.Table:
    """Unanimous votes whose label is another class, with what tips the scales; the most frequent first.

    Parameters
    ----------
    model
        The label model.
    patterns
        Votes of the examples, each with a vote.
    classes
        Names of the k classes.
    given
        The same votes with what they say beyond their classes.  Default: nothing.
    max_rows
        Number of patterns that are shown.

    Returns
    -------
    pyarrow.Table
        Columns votes (LF=class), n_examples, label, confidence, reason.
    """
    votes_given: Any = patterns.votes if given is None else given
    form, probs = read_votes(votes_given, patterns.cardinality), model.predict_proba(votes_given)
    winners = majority_probs(patterns.votes, patterns.cardinality, trusted=True, details=form.details)
    disagrees = winners[np.arange(len(probs)), probs.argmax(axis=1)] == 0
    rows = np.flatnonzero(is_unanimous(patterns) & disagrees)
    rows = rows[np.argsort(-patterns.counts[rows], kind="stable")][:max_rows]
    votes = _dense(patterns, rows)
    chosen, voted = probs[rows].argmax(axis=1), winners[rows].argmax(axis=1)
    found = {
        "votes": [_as_text(row, patterns.lf_names, classes) for row in votes],
        "n_examples": patterns.counts[rows],
        "label": [classes[label] for label in chosen],
        "confidence": probs[rows].max(axis=1),
        "reason": _reasons(model, form.take(rows), votes, chosen, voted, classes),
    }
    return pa.table({name: pa.array(column, _TYPES[name]) for name, column in found.items()})


_TYPES = {
    "votes": pa.string(),
    "n_examples": pa.int64(),
    "label": pa.string(),
    "confidence": pa.float64(),
    "reason": pa.string(),
}


def least_sure(
    model: AutoLabelModel,
    matrix: LabelMatrix,
    probs: Floats,
    classes: Sequence[str],
    *,
    max_rows: int = 100,
) -> pa.Table:
    """The examples with votes that a label model is least sure of, and what speaks for which class.

    Parameters
    ----------
    model
        The label model.
    matrix
        Votes ``[n, m]``.
    probs
        ``[n, k]`` labels of the examples.
    classes
        Names of the k classes.
    max_rows
        Number of examples.

    Returns
    -------
    pyarrow.Table
        Columns example_id, label, runner_up, confidence, votes, log_odds of the label against the runner-up,
        prior, and one column per LF with what it adds to the log-odds: prior and LFs sum to log_odds.  For
        the plain vote these are null.  Of more than 256 LFs, those that add nothing to any of these examples
        have no column.
    """
    covered = np.flatnonzero(matrix.covered)
    confidence = probs[covered].max(axis=1)
    rows = covered[np.argsort(confidence, kind="stable")[:max_rows]]
    order = np.argsort(-probs[rows], axis=1, kind="stable")
    chosen, second = order[:, 0], order[:, 1]
    votes = to_dense(matrix.votes[rows])
    parts = _parts(model, matrix.take(rows), chosen, second)
    columns: dict[str, Any] = {
        "example_id": pa.array(matrix.example_ids[rows]),
        "label": pa.array([classes[label] for label in chosen], pa.string()),
        "runner_up": pa.array([classes[label] for label in second], pa.string()),
        "confidence": pa.array(probs[rows].max(axis=1)),
        "votes": pa.array([_as_text(row, matrix.lf_names, classes) for row in votes], pa.string()),
    }
    lfs = np.arange(matrix.n_lfs)
    if matrix.n_lfs > DENSE_LFS:
        lfs = lfs[:0] if parts is None else np.flatnonzero((parts[:, 1:] != 0).any(axis=0))
    names = ["log_odds", "prior", *(_LF.format(matrix.lf_names[lf]) for lf in lfs)]
    if parts is None:
        return pa.table(columns | {name: pa.nulls(len(rows), pa.float64()) for name in names})
    table = [parts.sum(axis=1), parts[:, 0], *parts[:, 1 + lfs].T.copy()]
    return pa.table(columns | {name: pa.array(column) for name, column in zip(names, table, strict=True)})


def _parts(
    model: AutoLabelModel, votes: Any, chosen: npt.NDArray[Any], other: npt.NDArray[Any]
) -> Floats | None:
    """What the prior and each LF adds to the log-odds of one class against another, ``[r, 1 + m]``."""
    explained = model.explain(votes)
    if explained is None:
        return None
    rows = np.arange(len(chosen))
    prior = explained.prior[rows, chosen] - explained.prior[rows, other]
    lfs = explained.contributions[rows, :, chosen] - explained.contributions[rows, :, other]
    return np.column_stack([prior, lfs])


def _reasons(
    model: AutoLabelModel,
    given: Any,
    votes: npt.NDArray[Any],
    chosen: npt.NDArray[Any],
    voted: npt.NDArray[Any],
    classes: Sequence[str],
) -> list[str]:
    """What speaks most for the label against the class that was voted for, one text per row."""
    if not len(votes):
        return []
    parts = _parts(model, given, chosen, voted)
    if parts is None:
        return [""] * len(votes)
    names = ("prior", *_lf_names(model))
    texts = []
    for row, added in enumerate(parts):
        strongest = [
            int(part) for part in np.argsort(-added, kind="stable")[:_SHOWN_PARTS] if added[part] > 0
        ]
        said = ", ".join(_part(names, votes[row], part, float(added[part]), classes) for part in strongest)
        label = classes[int(chosen[row])]
        texts.append(f"for {label} speaks: {said}; against it: {added[added < 0].sum():+.2f}")
    return texts


def _part(
    names: Sequence[str], votes: npt.NDArray[Any], part: int, added: float, classes: Sequence[str]
) -> str:
    if part == 0:
        return f"prior {added:+.2f}"
    vote = votes[part - 1]
    what = "abstains" if vote == ABSTAIN else f"votes {classes[int(vote)]}"
    return f"{names[part]} {what} {added:+.2f}"


def _lf_names(model: AutoLabelModel) -> tuple[str, ...]:
    names: tuple[str, ...] = getattr(model.chosen_, "lf_names", ())
    return names


def _as_text(votes: npt.NDArray[Any], lf_names: Sequence[str], classes: Sequence[str]) -> str:
    voting = np.flatnonzero(votes != ABSTAIN).tolist()
    return ", ".join(f"{lf_names[lf]}={classes[int(votes[lf])]}" for lf in voting)


def _dense(patterns: VotePatterns, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Votes ``[r, m]`` of some patterns, dense."""
    return to_dense(patterns.votes[rows])

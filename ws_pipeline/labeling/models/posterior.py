"""P(class | votes) by Bayes' rule, for labeling functions that are independent given the class.

Each vote adds a vector of log-likelihoods, looked up in a table.  Neighbouring LFs share one table over
their joint votes as long as it stays in the cache, which saves most of the look-ups.  The tables of
thousands of LFs would not stay there: their votes are few, and are added up one by one.

Legend: n examples, m labeling functions (LFs), k classes, S symbols that LFs say (the classes, if votes have
no scores), g LFs of a group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats
from ws_pipeline.labeling.votes.counting import joint_codes, lf_major_chunks
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, Votes
from ws_pipeline.labeling.votes.row_spans import map_spans
from ws_pipeline.labeling.votes.sparse_counting import one_hot_rows, sparse_parts

if TYPE_CHECKING:
    from scipy.sparse import csr_array


_TABLE_BYTES = 2**18
_ALL_TABLES_BYTES = 2**25  # beyond, votes are added up one by one
_SCORES = 2**22  # of a chunk at most
_MAX_CODES = np.iinfo(np.int16).max


class Tempering(NamedTuple):
    """How sure many votes make: log-odds are divided by a temperature t, at least 1.

    Parameters
    ----------
    inflation
        Variance inflation F of the vote totals, at least 1: t = max(sqrt(number of votes), F).
    silent
        ``[k]``: probabilities of examples without any vote.
    rising
        Whether there is a temperature; if not, t = 1.
    """

    inflation: float
    silent: Floats
    rising: bool = True


def class_probabilities(
    votes: npt.NDArray[Any] | csr_array,
    log_likelihood: Floats,
    class_balance: Floats,
    *,
    tempering: Tempering | None = None,
    trusted: bool = False,
) -> Floats:
    """Compute P(class | votes) of every example.

    Parameters
    ----------
    votes
        ``[n, m]`` in {-1, 0, .., S-1}; validated chunk by chunk, unless ``trusted``.
    log_likelihood
        ``[m, S+1, k]``: entry ``[i, v + 1, z]`` is log P(LF i votes v | class z), whatever a vote is
        to count; 0 throughout for abstains that are to say nothing.
    class_balance
        ``[k]``, positive.
    tempering
        Divide the log-odds by a temperature.  Default: votes count in full.
    trusted
        Whether the votes are known to be in range.

    Returns
    -------
    numpy.ndarray
        ``[n, k]`` float64, rows sum to 1; the class balance for examples whose votes say nothing.

    Raises
    ------
    LabelMatrixError
        A vote is out of range.
    """
    k = len(class_balance)
    # only differences between classes count, so class 0 is taken as the origin and never looked up
    terms = log_likelihood[:, :, 1:] - log_likelihood[:, :, :1]
    log_odds = np.log(class_balance[1:]) - np.log(class_balance[0])
    probs = np.empty((votes.shape[0], k))
    n_symbols = terms.shape[1] - 1
    if tables_bytes(len(terms), n_symbols, k) > _ALL_TABLES_BYTES:
        _fill_by_sparse_product(votes, terms, log_odds, probs, tempering, trusted=trusted)
        return probs
    tables = group_tables(terms)

    def fill_span(start: int, stop: int) -> None:
        row = start
        chunks = lf_major_chunks(
            votes, n_symbols, start=start, stop=stop, max_rows=_SCORES // k, trusted=trusted
        )
        for chunk, n_rows in chunks:
            scores = _chunk_scores(chunk, tables, log_odds, n_symbols)
            n_votes = None if tempering is None else _count_votes(chunk)
            probs[row : row + n_rows] = _probabilities(scores, n_votes, tempering).T[:n_rows]
            row += n_rows

    map_spans(fill_span, votes.shape[0])
    return probs


def _fill_by_sparse_product(
    votes: npt.NDArray[Any] | csr_array,
    terms: Floats,
    log_odds: Floats,
    probs: Floats,
    tempering: Tempering | None,
    *,
    trusted: bool,
) -> None:
    """Fill P(class | votes) ``[n, k]``, by a product of the votes' one-hot form with what each adds."""
    _, base, n_others = terms.shape
    # an LF that votes does not abstain
    added = np.ascontiguousarray(terms[:, 1:] - terms[:, :1]).reshape(-1, n_others)
    log_odds = log_odds + terms[:, 0].sum(axis=0)
    row = 0
    for rows in sparse_parts(votes, base - 1, max_rows=_SCORES // base, trusted=trusted):
        scores = np.zeros((rows.shape[0], n_others + 1))
        scores[:, 1:] = log_odds + one_hot_rows(rows, base - 1, np.float64) @ added
        probs[row : row + len(scores)] = _probabilities(scores.T, np.diff(rows.indptr), tempering).T
        row += len(scores)


def _chunk_scores(
    chunk: Votes, tables: list[tuple[int, int, Floats]], log_odds: Floats, n_symbols: int
) -> Floats:
    """Log-odds ``[k, r]`` of a chunk ``[m, r]`` against class 0, from those of the balance ``[k-1]``."""
    n_others = len(log_odds)
    scores = np.zeros((n_others + 1, chunk.shape[1]))
    scores[1:] = log_odds[:, None]
    term = np.empty(chunk.shape[1])
    for first, n_lfs, table in tables:
        codes = joint_codes(chunk[first : first + n_lfs], n_symbols)
        for label in range(n_others):
            scores[label + 1] += np.take(table[label], codes, out=term, mode="clip")
    return scores


def _count_votes(chunk: Votes) -> npt.NDArray[Any]:
    """Number of votes of each example of a chunk ``[m, r]``."""
    counter = np.uint8 if len(chunk) < 2**8 else np.uint32
    n_votes: npt.NDArray[Any] = (chunk != ABSTAIN).view(np.uint8).sum(axis=0, dtype=counter)
    return n_votes


def _probabilities(scores: Floats, n_votes: npt.NDArray[Any] | None, tempering: Tempering | None) -> Floats:
    """Probabilities ``[k, r]`` of log-odds, in place; the fewer votes, the lower the temperature."""
    if tempering is None or n_votes is None:
        return _softmax(scores)
    if tempering.rising:
        scores /= np.maximum(np.sqrt(n_votes, dtype=np.float64), tempering.inflation)
    probs = _softmax(scores)
    probs[:, n_votes == 0] = tempering.silent[:, None]
    return probs


def _softmax(scores: Floats) -> Floats:
    """Probabilities ``[k, r]`` of log-odds, in place."""
    scores -= scores.max(axis=0)  # so that no column of exp is all zeros
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=0)
    return scores


def tables_bytes(n_lfs: int, n_symbols: int, cardinality: int) -> int:
    """Size of all tables of joint votes."""
    size = group_size(n_symbols)
    return int(-(-n_lfs // size) * (n_symbols + 1) ** size * (cardinality - 1) * 8)


def group_tables(terms: Floats, size: int | None = None) -> list[tuple[int, int, Floats]]:
    """Tables of the summed terms of joint votes.

    Parameters
    ----------
    terms
        ``[m, S+1, c]``: what each vote of each LF adds to c scores.
    size
        Number of LFs of a group.  Default: so many that a table stays small.

    Returns
    -------
    list of (int, int, numpy.ndarray)
        First LF and number g of LFs of each group, and its table ``[c, (S+1)^g]``; the first LF of
        the group is the slowest to change along the codes.
    """
    m, base, n_scores = terms.shape
    size = group_size(base - 1) if size is None else size
    groups = []
    for first in range(0, m, size):
        table = np.zeros((1, n_scores))
        for lf in terms[first : first + size]:
            table = (table[:, None] + lf[None]).reshape(-1, n_scores)
        groups.append((first, min(size, m - first), np.ascontiguousarray(table.T)))
    return groups


def group_size(cardinality: int) -> int:
    """Number of LFs whose joint table stays small, at least 1."""
    size, n_codes = 1, cardinality + 1
    while n_codes * (cardinality + 1) <= min(_MAX_CODES, _TABLE_BYTES // (8 * cardinality)):
        size, n_codes = size + 1, n_codes * (cardinality + 1)
    return size

"""Families of labeling functions that say the same: near copies count together, not each in full.

Sources that are copies of each other look like sources that are right together, and a model that takes them
for independent believes them more than all others.  So the votes of a family that holds much of all votes are
discounted: each of its f members counts about 1/f.  Start reading at :func:`discounts`.

Legend: n examples, m labeling functions (LFs), k classes, u patterns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats, Mask
from ws_pipeline.labeling.votes.row_counts import Counts
from ws_pipeline.labeling.votes.sparse_counting import one_hot_rows, sparse_parts
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.memory import require_memory

_SQUARES = 6  # numbers per pair of LFs that are held at a time
_SAMPLED = 2**16  # patterns that are looked at, at most
_FEWEST_SHARED = (10.0, 100.0)  # votes in common of sources of one class, and of others, that are no chance
_SINGLE_SHARE = 0.98  # of a source's votes for one class, from which it is a single-class source
_ALIKE = (0.5, 0.9)  # similarity at which sources begin to be a family, and from which they are copies
_OTHERS = (0.0, 0.1)  # share of all votes of the LFs outside of it
_LEAST_ALIKE = 0.01  # mean similarity from which LFs tell something of others
_MOST_EXPLAINED = 0.98
_MASS = (0.15, 0.30)  # share of all votes at which a family begins to be discounted, and is so in full


def similarities(patterns: VotePatterns) -> Floats:
    """Votes that two LFs have in common beyond chance ``[m, m]``: 1 for copies, 0 for independent ones.

    (A - E) / (max(t_i, t_j) - E), where A is the number of examples on which LF i and j vote for the same
    class, E what it would be if their votes had nothing to do with each other, and t their numbers of votes;
    at least 0, and 0 where they have too few votes in common to tell.  More than 65,536 patterns are sampled,
    always in the same way.
    """
    signed, enough = _similarities(patterns)
    return np.where(enough, np.clip(signed, 0, 1), 0)


def _similarities(patterns: VotePatterns) -> tuple[Floats, Mask]:
    """Similarities ``[m, m]`` before they are clipped, 0 with itself, and which are of votes enough."""
    m = patterns.n_lfs
    require_memory(
        _SQUARES * 8 * m**2,
        f"comparing {m:,} labeling functions with each other",
        "leave out those that vote little, or use label_model: {kind: dawid_skene}",
    )
    sample = _sample(patterns)
    shared, totals = shared_votes(sample)
    n_votes = totals.sum(axis=1)
    by_chance = totals @ totals.T / sample.n_examples
    most = np.maximum(n_votes[:, None], n_votes)
    beyond = np.divide(
        shared - by_chance, most - by_chance, out=np.zeros_like(shared), where=most > by_chance
    )
    np.fill_diagonal(beyond, 0)
    single = totals.max(axis=1) >= _SINGLE_SHARE * n_votes
    fewest = np.where(single[:, None] | single, *_FEWEST_SHARED)
    return beyond, shared >= fewest


def discounts(patterns: VotePatterns, class_counts: Counts) -> Floats:
    """What the votes of each LF count ``[m]``, in (0, 1]: 1 unless it belongs to a family with many votes.

    1 / (1 + h sum_l g_l).  g_l rises from 0 to 1 as the similarity to LF l, beyond what the accuracies of
    both explain, rises from 0.5 to 0.9.  h rises from 0 to 1 as the family's share of all votes rises from
    0.15 to 0.3, since a smaller family cannot turn the others around, and is 0 where there are no others.

    Parameters
    ----------
    patterns
        Votes of the examples.
    class_counts
        ``[m, k]``: how often each LF votes each class.
    """
    signed, enough = _similarities(patterns)
    n_votes = class_counts.sum(axis=1).astype(np.float64)
    explained = _explained(signed, enough, n_votes > 0)
    beyond = np.where(enough, np.clip((signed - explained) / (1 - explained), 0, 1), 0)
    likeness = _ramp(beyond, *_ALIKE)
    mass = (likeness @ n_votes + n_votes) / n_votes.sum()
    others = 1 - ((likeness > 0) @ n_votes + n_votes) / n_votes.sum()
    strength = _ramp(mass, *_MASS) * _ramp(others, *_OTHERS)
    return np.asarray(1 / (1 + strength * likeness.sum(axis=1)))


def _explained(signed: Floats, enough: Mask, voting: Mask) -> Floats:
    """Similarity that the accuracies of two LFs explain ``[m, m]``, as the LFs unlike each of them tell it.

    Of LFs that are independent given the class, the similarity is a product a_i a_j of what each has in
    common with the class.  So a_i is the mean similarity of LF i to the LFs unlike it, over the square root
    of their mean similarity to each other.
    """
    unlike = (~enough | (signed < _ALIKE[0])) & voting
    np.fill_diagonal(unlike, val=False)
    sizes = unlike.sum(axis=1)
    weights = unlike.astype(np.float64)
    to_them = (weights * signed).sum(axis=1) / np.maximum(sizes, 1)
    among_them = ((weights @ signed) * weights).sum(axis=1) / np.maximum(sizes * (sizes - 1), 1)
    tells = (sizes > 1) & (among_them > _LEAST_ALIKE)
    common = np.divide(
        to_them, np.sqrt(np.maximum(among_them, _LEAST_ALIKE)), where=tells, out=np.zeros(len(sizes))
    )
    common = np.clip(common, 0, _MOST_EXPLAINED)
    return np.asarray(common[:, None] * common)


def _ramp(values: Floats, start: float, end: float) -> Floats:
    """0 up to ``start``, 1 from ``end`` on, straight in between."""
    return np.asarray(np.clip((values - start) / (end - start), 0, 1))


def _sample(patterns: VotePatterns) -> VotePatterns:
    if patterns.n_patterns <= _SAMPLED:
        return patterns
    rows = np.sort(np.random.default_rng(0).choice(patterns.n_patterns, _SAMPLED, replace=False))
    return VotePatterns(patterns.cardinality, patterns.lf_names, patterns.votes[rows], patterns.counts[rows])


def shared_votes(patterns: VotePatterns) -> tuple[Floats, Floats]:
    """Examples on which two LFs vote for the same class ``[m, m]``, and votes of each for each ``[m, k]``."""
    m, k = patterns.n_lfs, patterns.cardinality
    if isinstance(patterns.votes, np.ndarray):
        return _shared_dense(patterns.votes, patterns.counts.astype(np.float64), k)
    shared, first = np.zeros((m, m)), 0
    for rows in sparse_parts(patterns.votes, k, trusted=True):
        one_hot = one_hot_rows(rows, k, np.float64)
        weights = patterns.counts[first : first + rows.shape[0]].astype(np.float64)
        for label in range(k):
            votes = one_hot[:, label::k]
            shared += (votes.multiply(weights[:, None]).T @ votes).toarray()
        first += rows.shape[0]
    return shared, patterns.class_counts.astype(np.float64)


def _shared_dense(votes: npt.NDArray[Any], counts: Floats, cardinality: int) -> tuple[Floats, Floats]:
    m = votes.shape[1]
    shared, totals = np.zeros((m, m)), np.empty((m, cardinality))
    for label in range(cardinality):
        is_vote = (votes == label).astype(np.float64)
        weighted = is_vote * counts[:, None]
        shared += weighted.T @ is_vote
        totals[:, label] = weighted.sum(axis=0)
    return shared, totals

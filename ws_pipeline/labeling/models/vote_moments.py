"""How much the votes of all sources vary together: the variance inflation that makes probabilities less sure.

Sources that are right and wrong together are worth fewer than they are.  Start reading at
:func:`vote_moments`.

Legend: m labeling functions (LFs), k classes, S symbols, see :mod:`ws_pipeline.labeling.votes.vote_symbols`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ws_pipeline.array_types import Floats
from ws_pipeline.labeling.models.lift_em import Additive
from ws_pipeline.labeling.models.pattern_passes import PatternPasses
from ws_pipeline.labeling.votes.vote_symbols import Alphabet


class VoteMoments(NamedTuple):
    """Votes by class, and how much more they vary than those of independent sources would.

    Parameters
    ----------
    joint
        ``[m, S, k]``: at ``[j, s, y]`` the examples of class y, by the model, on which LF j says s.
    inflation
        Variance of the vote totals given the class, over that of independent sources; at least 1.  m sources
        that are right and wrong together are worth m / inflation independent ones.
    """

    joint: Floats
    inflation: float


def vote_moments(passes: PatternPasses, model: Additive, alphabet: Alphabet | None = None) -> VoteMoments:
    """Compare the votes with those of sources that are independent given the model's classes.

    Votes are counted; those with scores, which do not count the same, by what they add to the log-odds.
    """
    if alphabet is not None and alphabet.n_levels > 1:
        return _moments_of_weights(passes, model)
    k = len(model.intercept)
    shares = (Alphabet.of_classes(k) if alphabet is None else alphabet).shares
    joint, class_totals = passes.expect(model.intercept, model.weights)
    sums, squares = np.zeros((k, k)), np.zeros((k, k))  # of the totals of votes s, by class
    posteriors = passes.posteriors(model.intercept, model.weights)
    for (block, tallies), (_, probs) in zip(passes.tallies(shares), posteriors, strict=True):
        masses = probs * passes.counts[block]
        sums += tallies @ masses.T
        squares += tallies**2 @ masses.T
    return VoteMoments(joint, variance_inflation(shares.T @ joint, class_totals, sums, squares))


def variance_inflation(joint: Floats, class_totals: Floats, sums: Floats, squares: Floats) -> float:
    """Variance of the vote totals given the class, over that of independent sources; at least 1.

    Parameters
    ----------
    joint
        ``[m, k, k]``: see :class:`VoteMoments`, the symbols brought to classes.
    class_totals
        ``[k]``: examples of each class.
    sums, squares
        ``[k, k]``: sum over the examples of class y of their votes for class s, and of its square, at
        ``[s, y]``.
    """
    sizes = np.where(class_totals > 0, class_totals, 1.0)
    of_totals = squares / sizes - (sums / sizes) ** 2
    rates = joint / sizes
    independent = (rates * (1 - rates)).sum(axis=0)
    weighting = (sums.sum(axis=1) / sums.sum())[:, None] * class_totals
    together, alone = float((weighting * of_totals).sum()), float((weighting * independent).sum())
    return max(1.0, together / alone) if alone > 0 else 1.0


def _moments_of_weights(passes: PatternPasses, model: Additive) -> VoteMoments:
    """The moments, with the inflation of the log-odds that all votes of an example add up to."""
    k = len(model.intercept)
    joint, class_totals = passes.expect(model.intercept, model.weights)
    added = model.weights - model.weights.mean(axis=2, keepdims=True)
    prepared = passes.prepare(added)
    sums, squares = np.zeros((k, k)), np.zeros((k, k))  # of what is added for each class, by true class
    for block, probs in passes.posteriors(model.intercept, model.weights):
        totals, masses = passes.scores(block, prepared), probs * passes.counts[block]
        sums += totals @ masses.T
        squares += totals**2 @ masses.T
    sizes = np.where(class_totals > 0, class_totals, 1.0)
    of_totals = squares / sizes - (sums / sizes) ** 2
    by_class = added.transpose(0, 2, 1)  # [m, k, S]
    rates = joint / sizes
    independent = (by_class**2 @ rates - (by_class @ rates) ** 2).sum(axis=0)
    together, alone = float((of_totals * class_totals).sum()), float((independent * class_totals).sum())
    return VoteMoments(joint, max(1.0, together / alone) if alone > 0 else 1.0)

"""What the score of a vote adds to the vote: a source that is surer may be right more often, or not.

Scores are levels of votes, see :mod:`ws_pipeline.labeling.votes.vote_symbols`.  For a vote of LF j for group
g at level l, log-odds get ln P(l | g, y) / P(l | g) besides those of the vote itself, by Bayes' rule.  A
level has few votes, so P(l | g, y) is shrunk to P(l | g): a level which tells nothing adds nothing.

Legend: m labeling functions (LFs), k classes, G groups, L levels, S = G * L symbols.
"""

from __future__ import annotations

import numpy as np

from ws_pipeline.array_types import Floats
from ws_pipeline.labeling.votes.vote_symbols import Alphabet

_LEVEL_PRIOR = 10.0  # votes of an LF for a group, for each class, that are spread over the levels as all are


def with_levels(
    weights: Floats, joint: Floats, symbol_counts: Floats, alphabet: Alphabet, known: Floats
) -> Floats:
    """Weights of symbols ``[m, S, k]``, from those of their groups.

    Parameters
    ----------
    weights
        ``[m, G, k]``: what votes add, whatever their score.
    joint
        ``[m, S, k]``: at ``[j, s, y]`` the examples of class y on which LF j says symbol s.
    symbol_counts
        ``[m, S]``: how often each LF says each symbol.
    alphabet
        The symbols.
    known
        ``[m]``: accuracies of LFs that are known; their scores are left out of account.  NaN for the others.
    """
    if alphabet.n_levels == 1:
        return weights
    by_level, counts = alphabet.by_level(joint), alphabet.by_level(symbol_counts)
    totals = counts.sum(axis=2, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)[..., None]
    of_class = by_level.sum(axis=2, keepdims=True)
    given_class = (by_level + _LEVEL_PRIOR * shares) / (of_class + _LEVEL_PRIOR)
    says = (shares > 0) & np.isnan(known)[:, None, None, None]
    ratios = np.divide(given_class, shares, out=np.ones_like(given_class), where=says)
    m, n_symbols, k = joint.shape
    return np.asarray((weights[:, :, None] + np.log(ratios)).reshape(m, n_symbols, k))

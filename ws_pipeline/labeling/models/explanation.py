"""Labels taken apart: what the prior, each vote and each abstain adds to the log-odds of the classes.

Legend: r examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ws_pipeline.array_types import Floats
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, check_range
from ws_pipeline.labeling.votes.vote_forms import VoteForm, dense_votes


@dataclass(frozen=True, eq=False)
class Explanation:
    """Log-odds of r examples, taken apart.

    Parameters
    ----------
    lf_names
        Names of the m labeling functions.
    prior
        ``[r, k]``: what every example starts with.
    contributions
        ``[r, m, k]``: what each LF adds, be it by a vote or by an abstain.
    """

    lf_names: tuple[str, ...]
    prior: Floats
    contributions: Floats

    @property
    def logits(self) -> Floats:
        """``[r, k]``: the sum of all parts; its softmax is P(class)."""
        return np.asarray(self.prior + self.contributions.sum(axis=1))

    def scaled(self, factors: Floats) -> Explanation:
        """All parts of each example times its factor ``[r]``."""
        return Explanation(
            self.lf_names, self.prior * factors[:, None], self.contributions * factors[:, None, None]
        )


def take_apart(
    form: VoteForm,
    lf_names: tuple[str, ...],
    *,
    prior: Floats,
    weights: Floats,
    abstains: Floats | None = None,
) -> Explanation:
    """Look up what each part of the votes adds.

    Parameters
    ----------
    form
        Votes ``[r, m]``.
    lf_names
        Names of the m labeling functions.
    prior
        ``[k]``: what every example starts with.
    weights
        ``[m, S, k]``: what a vote of LF j for class, or symbol, s adds for class y, at ``[j, s, y]``.
    abstains
        ``[m, k]``: what the LF adds whether it votes or not.  Default: nothing.

    Raises
    ------
    LabelMatrixError
        A vote is out of range.
    """
    found = dense_votes(form)
    if not form.is_checked_for(weights.shape[1]):
        check_range(found, weights.shape[1])
    votes = np.asarray(found).astype(np.intp)
    is_vote = votes != ABSTAIN
    added = weights[np.arange(len(lf_names)), np.where(is_vote, votes, 0)]
    parts = np.where(is_vote[:, :, None], added, 0.0)
    if abstains is not None:
        parts = parts + abstains
    return Explanation(lf_names, np.tile(prior, (len(votes), 1)), parts)

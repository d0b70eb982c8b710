"""Labels beside those of the plain vote, and the promise that they are not worse.

Start reading at :func:`compare_with_vote`.

Legend: n examples, k classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats
from ws_pipeline.errors import LabelMatrixError, WorseThanVoteError

SIGNIFICANCE = 0.05

_SAME = 1e-5  # classes whose probabilities differ by no more are tied

Verdict = Literal["not worse", "below", "worse", "unknown"]


@dataclass(frozen=True)
class VoteComparison:
    """Comparison of labels with those of the plain vote, on the same examples.

    Parameters
    ----------
    n_compared
        Number of examples that have a vote and a gold label.
    n_won, n_lost
        On how many of them only the labels are right, and only the plain vote.  A tie is right by the share
        of its classes that is right.
    accuracy, vote_accuracy
        Share of the compared examples on which the labels, and the plain vote, are right; NaN where there is
        none.
    agreement
        Share of all examples with votes for which both name the same class; NaN where there is none.
    p_value
        Probability of at least ``n_lost`` losses among so many wins and losses by chance: a one-sided sign
        test.
    """

    n_compared: int
    n_won: int
    n_lost: int
    accuracy: float
    vote_accuracy: float
    agreement: float
    p_value: float

    @property
    def verdict(self) -> Verdict:
        """Verdict of the gold labels.

        "worse": beyond chance, ``p_value`` is below 0.05; "below": less accurate than the plain vote, which
        may be chance; "not worse"; "unknown": there is nothing to compare.
        """
        if not self.n_compared:
            return "unknown"
        if self.n_lost > self.n_won and self.p_value < SIGNIFICANCE:
            return "worse"
        return "below" if self.accuracy < self.vote_accuracy else "not worse"

    def require(self) -> None:
        """Refuse labels that are worse than the plain vote beyond chance.

        Raises
        ------
        WorseThanVoteError
            The verdict is "worse".
        """
        if self.verdict == "worse":
            message = (
                f"the labels are worse than those of the plain vote: accuracy {self.accuracy:.3f} against "
                f"{self.vote_accuracy:.3f} on {self.n_compared} examples with gold, {self.n_won} won and "
                f"{self.n_lost} lost (p = {self.p_value:.2g}); look for weak LFs with LFAnalysis, give "
                "class_balance, or use MajorityLabelVoter"
            )
            raise WorseThanVoteError(message)


def compare_with_vote(
    probs: Floats, vote_probs: Floats, gold: npt.NDArray[Any], *, covered: npt.NDArray[np.bool_]
) -> VoteComparison:
    """Compare labels with those of the plain vote, example by example.

    Parameters
    ----------
    probs, vote_probs
        ``[n, k]`` probabilistic labels, and those of
        :class:`~ws_pipeline.labeling.MajorityLabelVoter` for the same votes.
    gold
        ``[n]`` gold labels, -1 where unknown.
    covered
        ``[n]`` mask of the examples that have a vote; the others are left out.

    Returns
    -------
    VoteComparison

    Raises
    ------
    LabelMatrixError
        The arrays have different numbers of rows, or a gold label is no class.
    """
    _check(probs, vote_probs, gold, covered)
    known = (gold >= 0) & covered
    hits, _ = hits_and_best(probs[known], gold[known])
    vote_hits, _ = hits_and_best(vote_probs[known], gold[known])
    n_won, n_lost = int((hits > vote_hits).sum()), int((hits < vote_hits).sum())
    agree = probs.argmax(axis=1) == vote_probs.argmax(axis=1)
    return VoteComparison(
        n_compared=len(hits),
        n_won=n_won,
        n_lost=n_lost,
        accuracy=_mean(hits),
        vote_accuracy=_mean(vote_hits),
        agreement=_mean(agree[covered]),
        p_value=_sign_test(n_won, n_lost),
    )


def _check(probs: Floats, vote_probs: Floats, gold: npt.NDArray[Any], covered: npt.NDArray[np.bool_]) -> None:
    n, k = probs.shape
    if vote_probs.shape != (n, k) or gold.shape != (n,) or covered.shape != (n,):
        message = (
            f"expected vote_probs of shape {(n, k)}, gold and covered of shape {(n,)}, got "
            f"{vote_probs.shape}, {gold.shape} and {covered.shape}"
        )
        raise LabelMatrixError(message)
    wrong = np.flatnonzero(gold >= k)
    if len(wrong):
        message = f"gold label {gold[wrong[0]]} in row {wrong[0]}, expected -1 or a class in 0..{k - 1}"
        raise LabelMatrixError(message)


def hits_and_best(probs: Floats, gold: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Chance of being right on each row ``[n]``, and shares of its most probable classes ``[n, k]``.

    Ties are broken evenly.
    """
    is_best = np.isclose(probs, probs.max(axis=1, keepdims=True), rtol=0, atol=_SAME)
    best: Floats = is_best / is_best.sum(axis=1, keepdims=True)
    return best[np.arange(len(best)), gold], best


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _sign_test(n_won: int, n_lost: int) -> float:
    """Probability of at least so many losses among all decided rows, if both outcomes were as likely."""
    from scipy.stats import binomtest

    if not n_won + n_lost:
        return 1.0
    return float(binomtest(n_lost, n_won + n_lost, alternative="greater").pvalue)

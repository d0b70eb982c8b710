"""From vote counts to the parameters of a label model: what is learned, what is assumed, and what went wrong.

:mod:`.evidence` says which labeling functions (LFs) the votes tell something of; :mod:`.matrix_completion`
learns those.  Legend: n examples, m LFs, k classes, d = m*k.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats
from ws_pipeline.errors import ConvergenceWarning, DegenerateWeightsWarning, WsPipelineWarning
from ws_pipeline.labeling.models.evidence import (
    assumed_mu,
    find_overruled_catch_alls,
    find_overruled_unanimity,
)
from ws_pipeline.labeling.models.matrix_completion import (
    PATIENCE,
    Completion,
    EpochRecord,
    SparseOverlaps,
    align_columns,
    complete_matrix,
)
from ws_pipeline.labeling.votes.sparse_counting import REMEDY
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.memory import require_memory
from ws_pipeline.settings.label_model import FitConfig

_SAME_WEIGHT = 1e-3
_SMALL = 2**10  # d up to which a matrix [d, d] is the fastest form of the overlaps
_SPARSE_BELOW = 1 / 8  # share of pairs that occur, below which a sparse product is faster than a dense one


class Estimate(NamedTuple):
    """mu ``[d, k]``, the steps that led to it (none where nothing could be learned), and what is amiss."""

    mu: Floats
    completion: Completion
    causes: list[WsPipelineWarning]


def estimate_mu(
    counts: VoteCounts,
    config: FitConfig,
    class_balance: Floats,
    *,
    learnable: npt.NDArray[np.bool_],
    mu_eps: float,
    device: str,
    on_epoch: Callable[[EpochRecord], object],
) -> Estimate:
    """Learn mu of the LFs that the votes tell something of, and assume that of the others.

    Parameters
    ----------
    counts
        Counts of n examples by m LFs.
    config
        Settings; ``prec_init`` a float or m of them.
    class_balance
        ``[k]``, positive, sums to 1.
    learnable
        ``[m]``: of which LFs the votes tell something.
    mu_eps
        mu is kept in [mu_eps, 1 - mu_eps].
    device, on_epoch
        See :func:`.complete_matrix`.

    Raises
    ------
    TrainingError
        The loss is not finite, or has grown far beyond that of mu = 0.
    TooLargeError
        The overlaps need more memory than there is.
    """
    precisions = np.broadcast_to(np.asarray(config.prec_init, float), (counts.n_lfs,))
    rates = counts.class_counts / counts.n_examples
    mu = assumed_mu(rates, precisions, class_balance, mu_eps=mu_eps)
    if not learnable.any():
        return Estimate(mu, Completion(mu, [], None), [])
    fitted = learnable | (counts.class_counts.sum(axis=1) == 0)
    completion = complete_matrix(
        _overlaps(counts, fitted),
        class_balance,
        config.model_copy(update={"prec_init": precisions[fitted].tolist()}),
        mu_eps=mu_eps,
        device=device,
        on_epoch=on_epoch,
    )
    learned = mu.copy()
    learned[np.repeat(fitted, counts.cardinality)] = align_columns(completion.mu, class_balance)
    found = [
        _not_converged(completion),
        find_overruled_catch_alls(counts, learned, class_balance, mu_clamp=config.mu_clamp),
        _same_weights(counts, learned, class_balance, mu_eps),
    ]
    unanimity = find_overruled_unanimity(counts, learned, class_balance)
    if unanimity is not None:
        return Estimate(mu, completion, [unanimity])
    return Estimate(learned, completion, [cause for cause in found if cause is not None])


def _overlaps(counts: VoteCounts, fitted: npt.NDArray[np.bool_]) -> Floats | SparseOverlaps:
    """O of the fitted LFs: a matrix, or where few pairs occur those; decided by the votes alone."""
    pairs = counts.pairs if fitted.all() else counts.pairs.take(np.repeat(fitted, counts.cardinality))
    d = pairs.d
    sizes = f"fitting {counts.n_lfs:,} LFs and {counts.cardinality:,} classes"
    if d > _SMALL and 2 * pairs.n_entries < _SPARSE_BELOW * d * d:
        require_memory(8 * pairs.n_entries, f"{sizes} ({pairs.n_entries:,} different pairs of votes)", REMEDY)
        return SparseOverlaps(pairs, counts.n_examples)
    require_memory(16 * d * d, f"{sizes} (overlaps of {d:,} x {d:,} pairs of votes)", REMEDY)
    return pairs.to_dense() / counts.n_examples


def right_shares(mu: Floats, class_balance: Floats, coverage: Floats) -> Floats:
    """Share of each LF's votes that are right, ``[m]`` in [1e-6, 1]; 0 for an LF that never votes."""
    k = len(class_balance)
    right = (np.diagonal(mu.reshape(-1, k, k), axis1=1, axis2=2) * class_balance).sum(axis=1)
    votes = coverage > 0
    weights = np.zeros(len(coverage))
    weights[votes] = np.clip(right[votes] / coverage[votes], 1e-6, 1.0)
    return weights


def _not_converged(completion: Completion) -> ConvergenceWarning | None:
    if completion.converged is not False:
        return None
    n_epochs, loss = len(completion.history), completion.history[-1].loss
    if n_epochs <= PATIENCE:
        return ConvergenceWarning(
            f"tol compares losses over {PATIENCE} epochs, so that {n_epochs} epochs are too few to tell "
            f"whether the loss has settled (loss {loss:.4g}); raise n_epochs, or leave tol out"
        )
    return ConvergenceWarning(
        f"the loss was still decreasing after {n_epochs} epochs (loss {loss:.4g}); raise n_epochs or tol"
    )


def _same_weights(
    counts: VoteCounts, mu: Floats, class_balance: Floats, mu_eps: float
) -> DegenerateWeightsWarning | None:
    weights = right_shares(mu, class_balance, counts.coverage)[counts.coverage > 0]
    at_clamp = np.mean((mu <= mu_eps) | (mu >= 1 - mu_eps))
    if np.ptp(weights) >= _SAME_WEIGHT or at_clamp <= 0.5:
        return None
    rates = counts.class_counts / counts.n_examples
    usual = float(np.median(rates[rates > 0]))
    found = (
        f"all labeling functions have the same weight ({weights[0]:.4g}) and {at_clamp:.0%} of mu lies at "
        "the clamp"
    )
    if mu_eps >= usual / 2:
        return DegenerateWeightsWarning(
            f"{found}: mu_eps={mu_eps:g} is likely too high for these votes, since a typical LF votes for a "
            f"class on a share of {usual:.2g} of the examples; pass a lower one"
        )
    return DegenerateWeightsWarning(
        f"{found}: these votes do not tell the LFs apart; compare the labels with MajorityLabelVoter's"
    )

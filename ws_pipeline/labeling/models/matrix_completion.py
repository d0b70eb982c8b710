r"""Matrix completion on LF overlaps: the maths of the label model, as functions of arrays.

Source: A. Ratner, B. Hancock, J. Dunnmon, F. Sala, S. Pandey, C. Re, "Training Complex Models with
Multi-Task Weak Supervision", AAAI 2019, arXiv 1810.02840 (sections 3 and 4), for labeling functions
that are conditionally independent given the class.

Legend: n examples, m labeling functions (LFs), k classes, d = m*k.

- ``mu[i*k + y, z]`` = P(LF i votes y | class z), ``[d, k]``, what is estimated;
- ``p[z]`` = P(class z), ``[k]``, P = diag(p);
- ``O = pair counts / n``, ``[d, d]``: how often two votes occur together;
- off an LF's own block, independence gives O = mu P mu^T; on the diagonal, diag(O) = mu p.

Start reading at :func:`complete_matrix`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from munkres import Munkres

from ws_pipeline.array_types import Floats
from ws_pipeline.errors import TrainingError
from ws_pipeline.labeling.models.gradient_steps import steps_on
from ws_pipeline.labeling.votes.row_spans import n_threads
from ws_pipeline.optim import learning_rate
from ws_pipeline.settings.label_model import FitConfig
from ws_pipeline.settings.optimizer import count_warmup_steps

if TYPE_CHECKING:
    from ws_pipeline.labeling.votes.pair_counts import PairCounts

Array = Any
"""A numpy array on the CPU, a torch tensor elsewhere; the maths is written in what both have in common."""

#: Priors that agree to this many decimals leave the order of their classes undetermined.
PRIOR_DECIMALS = 3

#: Epochs over which the loss has to sink by tol.
PATIENCE = 10

_DIVERGED = 10.0  # times the usual loss at the start


class Completion(NamedTuple):
    """The estimate: mu ``[d, k]``, its columns not yet aligned, and how it was reached."""

    mu: Floats
    history: list[EpochRecord]
    converged: bool | None


class EpochRecord(NamedTuple):
    """One step of the optimisation: the loss before it, and its learning rate."""

    epoch: int
    loss: float
    lr: float


def default_mu_eps(n_examples: int) -> float:
    """Smallest probability that n examples can speak of: min(0.01, 10^-ceil(log10 n)).

    Rounded to a power of ten, so that clamped parameters are easy to recognise.  It drops tenfold
    just above each power of ten (0.001 at n = 1000, 0.0001 at n = 1001).
    """
    return float(min(0.01, 1 / 10 ** np.ceil(np.log10(n_examples))))


def initial_mu(vote_rates: Floats, precisions: Floats, class_balance: Floats) -> Floats:
    """Start of the optimisation, before the random scale.

    By Bayes' rule P(LF_i = y | y) = P(LF_i = y) * P(y | LF_i = y) / p_y, with the assumed precision
    for the middle factor; all other entries are 0, which breaks the symmetry between the classes.

    Parameters
    ----------
    vote_rates
        ``[m, k]``: P(LF_i = y), the diagonal of O.
    precisions
        ``[m]``: assumed P(y | LF_i = y).
    class_balance
        ``[k]``.

    Returns
    -------
    numpy.ndarray
        ``[d, k]``.
    """
    m, k = vote_rates.shape
    mu = np.zeros((m, k, k))
    classes = np.arange(k)
    mu[:, classes, classes] = np.clip(vote_rates * precisions[:, None] / class_balance, 0, 1)
    return mu.reshape(m * k, k)


def complete_matrix(
    overlaps: Floats | SparseOverlaps,
    class_balance: Floats,
    config: FitConfig,
    *,
    mu_eps: float,
    device: str = "cpu",
    on_epoch: Callable[[EpochRecord], object] = lambda _: None,
) -> Completion:
    """Estimate mu by gradient steps.

    Parameters
    ----------
    overlaps
        ``[d, d]``: O.
    class_balance
        ``[k]``, positive, sums to 1.
    config
        Settings; ``prec_init`` a float or m of them.
    mu_eps
        Bound of the clamp.
    device
        "cpu", which numpy computes on, or the name of another torch device.  Computes in float64 (float32 on
        mps, which has nothing wider).
    on_epoch
        Called with each record as it comes, to show progress.

    Returns
    -------
    Completion
        ``converged`` says whether ``config.tol`` ended the steps, None without it.

    Raises
    ------
    TrainingError
        The loss is not finite, or more than ten times that of mu = 0 and of the clamped start; raised
        before the update, names the epoch.
    """
    k = len(class_balance)
    rates = np.diagonal(overlaps) if isinstance(overlaps, np.ndarray) else overlaps.vote_rates
    m = len(rates) // k
    precisions = np.broadcast_to(np.asarray(config.prec_init, float), (m,))
    start = initial_mu(rates.reshape(m, k), precisions, class_balance)
    scale = np.random.RandomState(config.seed).random_sample()
    put = _placing(device)
    known = DenseOverlaps(put(overlaps), k) if isinstance(overlaps, np.ndarray) else overlaps
    objective = Objective(known, put(rates), put(class_balance), put(start), config.l2)
    mu = put(start * scale)
    steps = steps_on(mu, config)
    # mu = 0 explains nothing, and a coarse clamp may force more than that on the very first step
    clamped, _ = objective.loss_and_gradient(mu.clip(mu_eps, 1 - mu_eps))
    usual = max(objective.loss_at_zero, clamped)
    n_warmup = count_warmup_steps(config, n_steps=config.n_epochs)
    history = []
    for epoch in range(config.n_epochs):
        lr = learning_rate(config, epoch, n_steps=config.n_epochs, n_warmup=n_warmup)
        loss, gradient = objective.loss_and_gradient(mu)
        _check_loss(loss, usual, epoch, lr)
        steps.take(gradient, lr)
        if config.mu_clamp == "step":
            mu[:] = mu.clip(mu_eps, 1 - mu_eps)
        history.append(EpochRecord(epoch, loss, lr))
        on_epoch(history[-1])
        if config.tol is not None and _has_settled(history, config.tol):
            break
    found = mu.clip(mu_eps, 1 - mu_eps)
    converged = None if config.tol is None else _has_settled(history, config.tol)
    on_cpu = found if isinstance(found, np.ndarray) else found.cpu().double().numpy()
    return Completion(on_cpu, history, converged)


def _placing(device: str) -> Callable[[Floats], Any]:
    """How arrays are put where they are computed with: copied in numpy for the CPU, else as torch tensors."""
    if device == "cpu":
        return lambda array: np.array(array, dtype=np.float64)
    import torch

    dtype = torch.float32 if device.startswith("mps") else torch.float64
    return lambda array: torch.tensor(array, dtype=dtype, device=device)


def _check_loss(loss: float, usual: float, epoch: int, lr: float) -> None:
    """Stop an optimisation that has left the reasonable."""
    where = f"(epoch {epoch}: loss {loss:.4g}, lr {lr:g}; {usual:.4g} would be usual at the start)"
    if not np.isfinite(loss):
        message = f"Loss is NaN. Consider reducing learning rate. {where}"
        raise TrainingError(message)
    if loss > _DIVERGED * usual:
        message = f"Loss diverges. Consider reducing learning rate, or mu_clamp='step'. {where}"
        raise TrainingError(message)


def _has_settled(history: list[EpochRecord], tol: float) -> bool:
    """Whether the best loss of the last epochs is no better than the best one before them."""
    if len(history) <= PATIENCE:
        return False
    before = min(record.loss for record in history[:-PATIENCE])
    lately = min(record.loss for record in history[-PATIENCE:])
    return before - lately <= tol * history[0].loss


class DenseOverlaps:
    """O off the LFs' own blocks, as one matrix.

    Parameters
    ----------
    overlaps
        ``[d, d]``: O, a numpy array or a torch tensor; its own blocks are set to zero in place.
    cardinality
        Number of classes k.
    """

    def __init__(self, overlaps: Array, cardinality: int) -> None:
        for first in range(0, len(overlaps), cardinality):
            overlaps[first : first + cardinality, first : first + cardinality] = 0
        self.off_blocks = overlaps
        self.squares = float((overlaps * overlaps).sum())

    def times(self, factor: Array) -> Array:
        """Multiply with a ``[d, k]`` matrix."""
        return (factor.T @ self.off_blocks).T  # O is symmetric, and this side of it is twice as fast


class SparseOverlaps:
    """O off the LFs' own blocks, as the pairs of votes that occur.

    Products are computed on the CPU and in one order of summation, whatever the device of the other factor.

    Parameters
    ----------
    pairs
        Pair counts ``[d, d]``.
    n_examples
        Number of examples n.
    """

    def __init__(self, pairs: PairCounts, n_examples: int) -> None:
        from scipy.sparse import csr_array

        upper = pairs.upper
        self.vote_rates: Floats = pairs.diagonal() / n_examples
        rates = upper.data / n_examples
        # an LF casts one vote per example, so that its own block holds nothing but the diagonal
        rates[upper.indptr[:-1][self.vote_rates > 0]] = 0
        self.upper = csr_array((rates, upper.indices, upper.indptr), shape=upper.shape)
        self.squares = float(2 * (rates @ rates))

    def times(self, factor: Array) -> Array:
        """Multiply with a ``[d, k]`` matrix."""
        if isinstance(factor, np.ndarray):
            return self._times(factor)
        import torch

        return torch.from_numpy(self._times(factor.cpu().numpy())).to(factor)

    def _times(self, factor: Floats) -> Floats:
        if n_threads() == 1:
            return np.asarray(self.upper @ factor + self.upper.T @ factor)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(self.upper.__matmul__, factor)
            below = self.upper.T @ factor
            return np.asarray(other.result() + below)


class Objective:
    """Loss of mu and its gradient, in closed form.

    loss = ||(O - mu P mu^T) off the own blocks||_F^2 + ||mu p - diag(O)||^2 + l2 ||mu - mu_init||_F^2

    The residual is never formed: it is d x d, while mu P mu^T has rank k, so that only the product of O
    with a ``[d, k]`` matrix costs d^2 k per step; all else costs d k^2.

    Parameters
    ----------
    overlaps
        O off the own blocks.
    vote_rates
        ``[d]``: diag(O).
    p
        ``[k]``.
    mu_init
        ``[d, k]``, the centre of the l2 term.
    l2
        Weight of the l2 term.
    """

    def __init__(
        self,
        overlaps: DenseOverlaps | SparseOverlaps,
        vote_rates: Array,
        p: Array,
        mu_init: Array,
        l2: float,
    ) -> None:
        self.overlaps = overlaps
        self.vote_rates = vote_rates
        self.loss_at_zero = float(overlaps.squares + _squares(vote_rates) + l2 * _squares(mu_init))
        self.p = p
        self.mu_init = mu_init
        self.l2 = l2

    @np.errstate(over="ignore", invalid="ignore")  # a loss that is not finite is refused by who asked for it
    def loss_and_gradient(self, mu: Array) -> tuple[float, Array]:
        """Evaluate at ``mu`` ``[d, k]``; the gradient has the same shape."""
        k = len(self.p)
        mu_p = mu * self.p
        votes = mu.reshape(-1, k, k)
        own = votes * self.p @ votes.swapaxes(1, 2)  # the own blocks of mu P mu^T, [m, k, k]
        pulled = self.overlaps.times(mu_p)
        gram = mu.T @ mu_p
        excess = mu @ self.p - self.vote_rates
        drift = mu - self.mu_init
        # ||O - A||^2 = ||O||^2 - 2 <O, A> + ||A||^2, off the own blocks, with A = mu P mu^T
        loss = self.overlaps.squares - 2 * (pulled * mu).sum() + (gram * gram.T).sum() - _squares(own)
        loss = loss + _squares(excess) + self.l2 * _squares(drift)
        residual_mu_p = pulled - mu_p @ gram + (own @ mu_p.reshape(-1, k, k)).reshape(-1, k)
        gradient = -4 * residual_mu_p + 2 * excess[:, None] * self.p + 2 * self.l2 * drift
        return float(loss), gradient


def _squares(values: Array) -> Any:
    return (values * values).sum()


def align_columns(mu: Floats, class_balance: Floats) -> Floats:
    """Order the columns of mu so that LFs are trusted the most.

    Permuting classes of equal prior changes neither term of the objective.  Among these solutions,
    take the one that maximises sum_i P(LF_i = y, Y = y), by the Hungarian algorithm within each
    group of classes whose priors agree to three decimals.

    Parameters
    ----------
    mu
        ``[d, k]``.
    class_balance
        ``[k]``.

    Returns
    -------
    numpy.ndarray
        ``[d, k]``, the columns of ``mu`` permuted.
    """
    k = len(class_balance)
    # votes_given_class[y, z] = sum_i P(LF_i = y, Y = z)
    votes_given_class = mu.reshape(-1, k, k).sum(axis=0) * class_balance
    order = np.arange(k)
    for group in _groups_of_equal_prior(class_balance):
        gain = votes_given_class[np.ix_(group, group)]
        for column, target in Munkres().compute((-gain.T).tolist()):
            order[group[target]] = group[column]
    return mu[:, order]


def _groups_of_equal_prior(class_balance: Floats) -> list[list[int]]:
    groups: dict[float, list[int]] = defaultdict(list)
    for label, prior in enumerate(np.around(class_balance, PRIOR_DECIMALS)):
        groups[float(prior)].append(label)
    return [group for group in groups.values() if len(group) > 1]

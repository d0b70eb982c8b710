"""The label model: learns how far to trust each labeling function from their overlaps alone.

The estimator only sequences and keeps results; the maths is in
:mod:`ws_pipeline.labeling.models.matrix_completion`, the counting in
:mod:`ws_pipeline.labeling.votes.vote_counts`.

Legend: n examples, m labeling functions (LFs), k classes, d = m*k.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ws_pipeline.array_types import Floats
from ws_pipeline.arrays import in_order
from ws_pipeline.compat.nested_settings import flat_lr_scheduler_settings, flat_optimizer_settings
from ws_pipeline.errors import NotFittedError, SettingsError
from ws_pipeline.labeling.models.class_balance import class_balance_from_gold, validate_class_balance
from ws_pipeline.labeling.models.estimation import estimate_mu, right_shares
from ws_pipeline.labeling.models.evidence import check_learnable, find_evidence
from ws_pipeline.labeling.models.explanation import Explanation, take_apart
from ws_pipeline.labeling.models.labeler import BaseLabeler, State
from ws_pipeline.labeling.models.matrix_completion import EpochRecord, default_mu_eps
from ws_pipeline.labeling.models.posterior import class_probabilities
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.labeling.votes.vote_forms import align_lfs, read_votes
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.label_model import FitConfig
from ws_pipeline.storage.files import FileFormat

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

logger = logging.getLogger(__name__)


class LabelModel(BaseLabeler):
    r"""Conditionally independent label model, fitted by matrix completion.

    Ratner et al., "Training Complex Models with Multi-Task Weak Supervision", AAAI 2019.

    Parameters
    ----------
    cardinality
        Number of classes k.
    verbose
        Log the loss every ``log_freq`` epochs (logger ``ws_pipeline.labeling.models.label_model``, INFO).
    device
        Torch device that :meth:`fit` computes on.

    Attributes
    ----------
    mu : numpy.ndarray
        ``[d, k]``: ``mu[i*k + y, z]`` = P(LF i votes y | class z).
    class_balance : numpy.ndarray
        ``[k]``: P(class z), as used in fitting.
    coverage : numpy.ndarray
        ``[m]``: share of the training examples that each LF votes on.
    lf_names : tuple of str
        Names of the m labeling functions.
    history_ : list of EpochRecord
        Epoch, loss and learning rate of every step.
    n_epochs_ : int
        Number of steps taken, 0 where the votes tell nothing that could be learned.
    converged_ : bool or None
        Whether ``tol`` stopped the fit; None without ``tol``.
    mu_eps_ : float
        The bound that mu was clamped to.

    Examples
    --------
    >>> L = np.array([[0, 0, -1], [1, 1, 1], [-1, 1, 1], [0, 0, 0]])
    >>> model = LabelModel(cardinality=2, verbose=False).fit(L, progress_bar=False, seed=123)
    >>> model.predict(L)
    array([0, 1, 1, 0])
    """

    file_format = FileFormat("ws_pipeline/LabelModel", version=1)

    mu: Floats
    class_balance: Floats
    coverage: Floats
    lf_names: tuple[str, ...]
    history_: list[EpochRecord]
    n_epochs_: int
    converged_: bool | None
    mu_eps_: float

    def __init__(self, cardinality: int = 2, verbose: bool = True, device: str = "cpu") -> None:
        super().__init__(cardinality)
        self.verbose = verbose
        self.device = device

    def fit(
        self,
        L_train: LabelMatrix | VoteCounts | ArrayLike,
        Y_dev: ArrayLike | None = None,
        class_balance: ArrayLike | None = None,
        progress_bar: bool = True,
        *,
        n_epochs: int = 100,
        lr: float = 0.01,
        l2: float = 0.0,
        optimizer: str = "sgd",
        lr_scheduler: str = "constant",
        prec_init: float | ArrayLike = 0.7,
        seed: int = 0,
        log_freq: int = 10,
        mu_eps: float | None = None,
        mu_clamp: str = "step",
        tol: float | None = None,
        optimizer_config: Any = None,
        lr_scheduler_config: Any = None,
    ) -> Self:
        """Estimate mu from the votes.

        Parameters
        ----------
        L_train
            ``[n, m]`` votes in {-1, 0, .., k-1} (any integer dtype, or floats with integer values), a
            :class:`LabelMatrix`, a frame with a column per LF, a scipy sparse array, a table of triples (see
            :mod:`ws_pipeline.labeling.votes.vote_forms`), or :class:`VoteCounts`.  At least 3 LFs.
        Y_dev
            Gold labels of some examples, -1 where unknown, from which to take the class balance.
        class_balance
            P(class), k positive numbers that sum to 1; those of a dict or a Series go by class.  Default:
            from ``Y_dev``, else uniform.
        progress_bar
            Show a progress bar.
        n_epochs
            Number of gradient steps, at least 1.
        lr
            Base learning rate, above 0.
        l2
            Weight of ||mu - mu_init||_F^2 in the loss, at least 0.
        optimizer
            "sgd" (momentum 0.9), "adam" or "adamax".
        lr_scheduler
            "constant", "linear", "exponential" or "step".
        prec_init
            Assumed precision of the LFs at the start, in (0, 1]: one value, or ``[m]``; those of a dict or a
            Series go by the LFs' names.
        seed
            Seed of the random scalar that the initial mu is multiplied by.
        log_freq
            Epochs between two log lines when verbose.
        mu_eps
            mu is kept in [mu_eps, 1 - mu_eps].  Default: min(0.01, 10^-ceil(log10 n)).
        mu_clamp
            "step": clamp after every gradient step; "final": once, after the last one.
        tol
            Stop when, over 10 epochs, the loss has not sunk by more than ``tol`` times its first value.
            Default: run exactly ``n_epochs``.
        optimizer_config
            Details of the optimizer, as a mapping: momentum, beta1, beta2, eps, amsgrad; Snorkel's
            nested form is taken as well.
        lr_scheduler_config
            Details of the schedule, as a mapping: warmup_steps (epochs), warmup_percentage, min_lr,
            gamma, step_size; Snorkel's nested form is taken as well.

        Returns
        -------
        LabelModel
            self.

        Raises
        ------
        SettingsError
            A setting is out of range.
        LabelMatrixError
            Votes out of range, fewer than 3 LFs, or no vote at all.
        TooLargeError
            The pairs of votes need more memory than there is.
        ClassBalanceError
            A class balance that is not a positive distribution over the k classes.
        TrainingError
            The loss is not finite, or has grown far beyond that of mu = 0; names the epoch.

        Warns
        -----
        SilentLFWarning
            An LF never votes.
        EvidenceWarning
            The votes do not tell how accurate LFs are, and why: one class only, no overlap, fewer than three
            LFs that vote together, no agreement, copies.  Their votes are then taken to be right with
            probability ``prec_init``, which gives the labels of the plain vote.
        UnvotedClassWarning
            No LF votes for a class.
        CatchAllLFWarning
            LFs vote one class on nearly every example, and the fit takes them, or all votes for another
            class, for no evidence of the class that they name.
        ConvergenceWarning
            With ``tol``: the loss was still decreasing at the last epoch.
        DegenerateWeightsWarning
            All LFs have the same weight while most of mu lies at the clamp.
        """
        named = isinstance(L_train, LabelMatrix | VoteCounts)
        votes: Any = L_train if named else read_votes(L_train, self.cardinality)
        prec_init = in_order(prec_init, votes.lf_names, "prec_init", of="LF", error=SettingsError)
        settings = {
            "n_epochs": n_epochs,
            "lr": lr,
            "l2": l2,
            "optimizer": optimizer,
            "lr_scheduler": lr_scheduler,
            "prec_init": _as_plain(prec_init),
            "seed": seed,
            "log_freq": log_freq,
            "mu_eps": mu_eps,
            "mu_clamp": mu_clamp,
            "tol": tol,
            **flat_optimizer_settings(optimizer_config, optimizer),
            **flat_lr_scheduler_settings(lr_scheduler_config, lr_scheduler),
        }
        config = parse_settings(FitConfig, settings, where="LabelModel.fit")
        if class_balance is None and Y_dev is not None:
            class_balance = class_balance_from_gold(Y_dev, self.cardinality)
        counts = _count(votes, self.cardinality)
        return self.fit_counts(counts, config, class_balance=class_balance, progress_bar=progress_bar)

    def fit_counts(
        self,
        counts: VoteCounts,
        config: FitConfig,
        *,
        class_balance: ArrayLike | None = None,
        progress_bar: bool = False,
    ) -> Self:
        """Estimate mu from vote counts, which may be the sum over any number of shards.

        The whole of :meth:`fit` once the votes are counted; the same parameters and errors.
        """
        check_learnable(counts, self.cardinality)
        _check_precisions(config, counts.n_lfs)
        balance = (
            np.full(self.cardinality, 1 / self.cardinality)
            if class_balance is None
            else validate_class_balance(class_balance, self.cardinality)
        )
        mu_eps = default_mu_eps(counts.n_examples) if config.mu_eps is None else config.mu_eps
        evidence = find_evidence(counts)
        for cause in evidence.causes:
            warnings.warn(cause, stacklevel=3)
        with tqdm(total=config.n_epochs, unit="epoch", disable=not progress_bar) as progress:

            def report(record: EpochRecord) -> None:
                progress.update()
                if self.verbose and (record.epoch + 1) % config.log_freq == 0:
                    logger.info("epoch %d of %d: loss %.6g", record.epoch + 1, config.n_epochs, record.loss)

            estimate = estimate_mu(
                counts,
                config,
                balance,
                learnable=evidence.learnable,
                mu_eps=mu_eps,
                device=self.device,
                on_epoch=report,
            )
        self.mu = estimate.mu
        self.class_balance = balance
        self.coverage = counts.coverage
        self.lf_names = counts.lf_names
        self.history_ = estimate.completion.history
        self.n_epochs_ = len(self.history_)
        self.converged_ = estimate.completion.converged
        self.mu_eps_ = mu_eps
        for cause in estimate.causes:
            warnings.warn(cause, stacklevel=3)
        return self

    def predict_proba(self, L: LabelMatrix | ArrayLike) -> Floats:
        """Return P(class | votes) by Bayes' rule, the LFs being independent given the class.

        Abstains say nothing; an example without votes gets the class balance.

        Parameters
        ----------
        L
            ``[n, m]`` votes in {-1, 0, .., k-1}, in any form that :meth:`fit` takes but counts.  Where LFs
            have names, here and in the fit, they are matched by name; in triples an absent LF abstains, and
            the rows are those of the examples in the order of their first triples.

        Returns
        -------
        numpy.ndarray
            ``[n, k]``, rows sum to 1.
        """
        self._check_fitted()
        form = align_lfs(read_votes(L, self.cardinality), self.lf_names)
        k = self.cardinality
        log_likelihood = np.zeros((len(self.lf_names), k + 1, k))
        log_likelihood[:, 1:] = np.log(self.mu).reshape(-1, k, k)
        trusted = form.is_checked_for(k)
        return class_probabilities(form.votes, log_likelihood, self.class_balance, trusted=trusted)

    def explain(self, L: LabelMatrix | ArrayLike) -> Explanation:
        """Take the log-odds of examples apart: what the class balance and each vote adds.

        Parameters
        ----------
        L
            ``[r, m]`` votes, in any form that :meth:`predict_proba` takes; r*m*k numbers are made of them.
        """
        self._check_fitted()
        form = align_lfs(read_votes(L, self.cardinality), self.lf_names)
        weights = np.log(self.mu).reshape(-1, self.cardinality, self.cardinality)
        return take_apart(form, self.lf_names, prior=np.log(self.class_balance), weights=weights)

    def get_conditional_probs(self) -> Floats:
        """Return P(vote | class) of every LF.

        Returns
        -------
        numpy.ndarray
            ``[m, k+1, k]``: entry ``[i, v + 1, z]`` is P(LF i votes v | class z), v = -1 for abstain; at
            least ``mu_eps_``, also where an LF's votes alone add up to more than 1.
        """
        self._check_fitted()
        k = self.cardinality
        votes = self.mu.reshape(-1, k, k)
        table = np.concatenate([1 - votes.sum(axis=1, keepdims=True), votes], axis=1)
        floored: Floats = np.maximum(table, self.mu_eps_)
        return floored

    def get_weights(self) -> Floats:
        """Return how often each LF is right when it votes, as the model sees it.

        Returns
        -------
        numpy.ndarray
            ``[m]``: sum_y P(LF_i = y, Y = y) / coverage_i, in [1e-6, 1]; 0 for an LF that never votes.
        """
        self._check_fitted()
        return right_shares(self.mu, self.class_balance, self.coverage)

    def _state(self) -> State:
        self._check_fitted()
        header = {
            "cardinality": self.cardinality,
            "lf_names": self.lf_names,
            "history": self.history_,
            "converged": self.converged_,
            "mu_eps": self.mu_eps_,
        }
        return header, {"mu": self.mu, "class_balance": self.class_balance, "coverage": self.coverage}

    def _set_state(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._set_state(header, arrays)
        self.lf_names = tuple(header["lf_names"])
        self.history_ = [EpochRecord(*record) for record in header["history"]]
        self.n_epochs_ = len(self.history_)
        self.converged_ = header["converged"]
        self.mu_eps_ = header["mu_eps"]
        self.mu = arrays["mu"]
        self.class_balance = arrays["class_balance"]
        self.coverage = arrays["coverage"]

    def _check_fitted(self) -> None:
        if not hasattr(self, "mu"):
            message = f"this {type(self).__name__} is not fitted yet: call fit or load first"
            raise NotFittedError(message)


def _count(L_train: Any, cardinality: int) -> VoteCounts:
    """Vote counts of whatever form of training votes ``fit`` was given."""
    if isinstance(L_train, VoteCounts):
        return L_train
    if isinstance(L_train, LabelMatrix):
        return VoteCounts.from_label_matrix(L_train)
    return VoteCounts.from_votes(L_train, cardinality)


def _check_precisions(config: FitConfig, n_lfs: int) -> None:
    if isinstance(config.prec_init, list) and len(config.prec_init) != n_lfs:
        message = f"prec_init must have shape {n_lfs}, one value per LF, got {len(config.prec_init)}."
        raise SettingsError(message)


def _as_plain(value: Any) -> Any:
    """Arrays and tensors as lists, so that they can be validated and stored."""
    return value.tolist() if hasattr(value, "tolist") else value

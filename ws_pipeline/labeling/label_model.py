"""The label model: learns how far to trust each labeling function from their overlaps alone.

The estimator only sequences and keeps results; the maths is in
:mod:`ws_pipeline.labeling.matrix_completion`, the counting in :mod:`ws_pipeline.labeling.vote_counts`.

Legend: n examples, m labeling functions (LFs), k classes, d = m*k.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ws_pipeline.errors import (
    ClassBalanceError,
    LabelMatrixError,
    NotFittedError,
    SettingsError,
    SilentLFWarning,
)
from ws_pipeline.files import FileFormat, PathLike, atomic_write, read_stamped, stamp
from ws_pipeline.labeling.base import BaseLabeler, Floats
from ws_pipeline.labeling.label_matrix import ABSTAIN, LabelMatrix
from ws_pipeline.labeling.matrix_completion import (
    EpochRecord,
    FitConfig,
    align_columns,
    complete_matrix,
    default_mu_eps,
)
from ws_pipeline.labeling.vote_counts import VoteCounts
from ws_pipeline.settings import parse_settings

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

logger = logging.getLogger(__name__)

MIN_LFS = 3
FILE_FORMAT = FileFormat("ws_pipeline/LabelModel", version=1)
_SUM_TOLERANCE = 1e-6
_CHUNK_ROWS = 2**16


class LabelModel(BaseLabeler):
    r"""Conditionally independent label model, fitted by matrix completion.

    Ratner et al., "Training Complex Models with Multi-Task Weak Supervision", AAAI 2019.

    Parameters
    ----------
    cardinality
        Number of classes k.
    verbose
        Log the loss every ``log_freq`` epochs (logger ``ws_pipeline.labeling.label_model``, INFO).
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
        Number of steps taken.

    Examples
    --------
    >>> L = np.array([[0, 0, -1], [1, 1, 1], [-1, 1, 1], [0, 0, 0]])
    >>> model = LabelModel(cardinality=2, verbose=False).fit(L, progress_bar=False, seed=123)
    >>> model.predict(L)
    array([0, 1, 1, 0])
    """

    mu: Floats
    class_balance: Floats
    coverage: Floats
    lf_names: tuple[str, ...]
    history_: list[EpochRecord]
    n_epochs_: int

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
    ) -> Self:
        """Estimate mu from the votes.

        Parameters
        ----------
        L_train
            ``[n, m]`` votes in {-1, 0, .., k-1} (any integer dtype, or floats with integer values),
            a :class:`LabelMatrix`, or :class:`VoteCounts`.  At least 3 LFs.
        Y_dev
            Gold labels of some examples, -1 where unknown, from which to take the class balance.
        class_balance
            P(class), k positive numbers that sum to 1.  Default: from ``Y_dev``, else uniform.
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
            Assumed precision of the LFs at the start, in (0, 1]: one value, or ``[m]``.
        seed
            Seed of the random scalar that the initial mu is multiplied by.
        log_freq
            Epochs between two log lines when verbose.
        mu_eps
            mu is kept in [mu_eps, 1 - mu_eps].  Default: min(0.01, 10^-ceil(log10 n)).
        mu_clamp
            "step": clamp after every gradient step; "final": once, after the last one.

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
        ClassBalanceError
            A class balance that is not a positive distribution over the k classes.
        TrainingError
            The loss left the finite numbers.

        Warns
        -----
        SilentLFWarning
            An LF never votes.
        """
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
        }
        config = parse_settings(FitConfig, settings, where="LabelModel.fit")
        if class_balance is None and Y_dev is not None:
            class_balance = class_balance_from_gold(Y_dev, self.cardinality)
        counts = _count(L_train, self.cardinality)
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
        _check_counts(counts, self.cardinality)
        _check_precisions(config, counts.n_lfs)
        balance = (
            np.full(self.cardinality, 1 / self.cardinality)
            if class_balance is None
            else validate_class_balance(class_balance, self.cardinality)
        )
        overlaps = counts.pair_counts / counts.n_examples
        mu_eps = default_mu_eps(counts.n_examples) if config.mu_eps is None else config.mu_eps
        with tqdm(total=config.n_epochs, unit="epoch", disable=not progress_bar) as progress:

            def report(record: EpochRecord) -> None:
                progress.update()
                if self.verbose and (record.epoch + 1) % config.log_freq == 0:
                    logger.info("epoch %d of %d: loss %.6g", record.epoch + 1, config.n_epochs, record.loss)

            mu, history = complete_matrix(
                overlaps, balance, config, mu_eps=mu_eps, device=self.device, on_epoch=report
            )
        self.mu = align_columns(mu, balance)
        self.class_balance = balance
        self.coverage = counts.coverage
        self.lf_names = counts.lf_names
        self.history_ = history
        self.n_epochs_ = len(history)
        return self

    def predict_proba(self, L: LabelMatrix | ArrayLike) -> Floats:
        """Return P(class | votes) by Bayes' rule, the LFs being independent given the class.

        Abstains say nothing; an example without votes gets the class balance.

        Parameters
        ----------
        L
            ``[n, m]`` votes in {-1, 0, .., k-1}.

        Returns
        -------
        numpy.ndarray
            ``[n, k]``, rows sum to 1.
        """
        self._check_fitted()
        votes = self._votes(L, n_lfs=len(self.lf_names))
        k = self.cardinality
        # log_likelihood[i, v + 1] is LF i's vector of log P(vote v | class); 0 for abstain
        log_likelihood = np.zeros((len(self.lf_names), k + 1, k))
        log_likelihood[:, 1:] = np.log(self.mu).reshape(-1, k, k)
        probs = np.empty((len(votes), k))
        for start in range(0, len(votes), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            scores = np.tile(np.log(self.class_balance), (len(votes[rows]), 1))
            for table, lf_votes in zip(log_likelihood, votes[rows].T, strict=True):
                scores += table[lf_votes.astype(np.intp) + 1]
            scores -= scores.max(axis=1, keepdims=True)  # so that no row of exp is all zeros
            np.exp(scores, out=scores)
            probs[rows] = scores / scores.sum(axis=1, keepdims=True)
        return probs

    def get_conditional_probs(self) -> Floats:
        """Return P(vote | class) of every LF.

        Returns
        -------
        numpy.ndarray
            ``[m, k+1, k]``: entry ``[i, v + 1, z]`` is P(LF i votes v | class z), v = -1 for abstain.
        """
        self._check_fitted()
        k = self.cardinality
        votes = self.mu.reshape(-1, k, k)
        return np.concatenate([1 - votes.sum(axis=1, keepdims=True), votes], axis=1)

    def get_weights(self) -> Floats:
        """Return how often each LF is right when it votes, as the model sees it.

        Returns
        -------
        numpy.ndarray
            ``[m]``: sum_y P(LF_i = y, Y = y) / coverage_i, in [1e-6, 1]; 0 for an LF that never votes.
        """
        self._check_fitted()
        k = self.cardinality
        right = (np.diagonal(self.mu.reshape(-1, k, k), axis1=1, axis2=2) * self.class_balance).sum(axis=1)
        votes = self.coverage > 0
        weights = np.zeros(len(self.coverage))
        weights[votes] = np.clip(right[votes] / self.coverage[votes], 1e-6, 1.0)
        return weights

    def save(self, destination: PathLike) -> None:
        """Save the fitted model to one file (safetensors, the rest as JSON inside), atomically.

        Parameters
        ----------
        destination
            Local path or any fsspec URL.
        """
        from safetensors.numpy import save

        self._check_fitted()
        header = {"cardinality": self.cardinality, "lf_names": self.lf_names, "history": self.history_}
        tensors = {"mu": self.mu, "class_balance": self.class_balance, "coverage": self.coverage}
        with atomic_write(destination) as stream:
            stream.write(save(_contiguous(tensors), metadata=stamp(FILE_FORMAT, header)))

    def load(self, source: PathLike) -> Self:
        """Read a model that :meth:`save` wrote into this one.

        Parameters
        ----------
        source
            Local path or any fsspec URL.

        Returns
        -------
        LabelModel
            self.

        Raises
        ------
        FileFormatError
            The file is damaged, not a label model, or of another format version.
        """
        from safetensors.numpy import load

        header, tensors = read_stamped(source, load, file_format=FILE_FORMAT)
        self.cardinality = int(header["cardinality"])
        self.lf_names = tuple(header["lf_names"])
        self.history_ = [EpochRecord(*record) for record in header["history"]]
        self.n_epochs_ = len(self.history_)
        self.mu = tensors["mu"]
        self.class_balance = tensors["class_balance"]
        self.coverage = tensors["coverage"]
        return self

    @classmethod
    def from_file(cls, source: PathLike) -> Self:
        """Load a saved model as a new one; see :meth:`load`."""
        return cls(verbose=False).load(source)

    def _check_fitted(self) -> None:
        if not hasattr(self, "mu"):
            message = f"this {type(self).__name__} is not fitted yet: call fit or load first"
            raise NotFittedError(message)


def _count(L_train: Any, cardinality: int) -> VoteCounts:
    """Vote counts of whatever form of training votes ``fit`` was given."""
    if isinstance(L_train, VoteCounts):
        return L_train
    matrix = L_train if isinstance(L_train, LabelMatrix) else LabelMatrix(L_train, cardinality)
    return VoteCounts.from_label_matrix(matrix)


def _check_counts(counts: VoteCounts, cardinality: int) -> None:
    """Refuse counts that the method cannot learn from; warn of LFs that never vote."""
    if counts.cardinality != cardinality:
        message = f"L_train has cardinality {counts.cardinality}, cardinality={cardinality} passed in."
        raise LabelMatrixError(message)
    if counts.n_lfs < MIN_LFS:
        message = (
            f"L_train should have at least {MIN_LFS} labeling functions, got {counts.n_lfs}; "
            "with fewer, accuracies cannot be told from the overlaps: use MajorityLabelVoter"
        )
        raise LabelMatrixError(message)
    if counts.n_covered == 0:
        message = f"L_train has no votes at all on its {counts.n_examples} examples, nothing can be learned"
        raise LabelMatrixError(message)
    if counts.silent_lfs:
        warnings.warn(SilentLFWarning(f"these LFs never vote: {', '.join(counts.silent_lfs)}"), stacklevel=4)


def validate_class_balance(class_balance: Any, cardinality: int) -> Floats:
    """Return ``class_balance`` as an array ``[k]``, or say why it is none.

    Raises
    ------
    ClassBalanceError
        Not k entries, not all positive, or a sum that is not 1 (to 1e-6).
    """
    balance = np.asarray(class_balance, dtype=np.float64)
    if balance.shape != (cardinality,):
        message = (
            f"class_balance has {balance.size} entries. Does not match LabelModel cardinality {cardinality}."
        )
        raise ClassBalanceError(message)
    _refuse_zero_priors(balance)
    if not np.all(np.isfinite(balance)) or np.any(balance < 0):
        message = f"class_balance must be positive, got {balance.tolist()}"
        raise ClassBalanceError(message)
    if abs(balance.sum() - 1) > _SUM_TOLERANCE:
        message = (
            f"class_balance must sum to 1, got {balance.tolist()} with sum {balance.sum():.6g}; "
            "divide it by its sum if these are counts"
        )
        raise ClassBalanceError(message)
    return balance


def class_balance_from_gold(gold: Any, cardinality: int) -> Floats:
    """Share of each class among gold labels ``[n]``, -1 (unknown) ignored.

    Raises
    ------
    ClassBalanceError
        Labels out of range, none known, or a class that does not occur.
    """
    labels = np.asarray(gold).ravel()
    if labels.dtype.kind not in "iuf":
        message = f"Y_dev must hold integers from -1 (unknown) to {cardinality - 1}, got dtype {labels.dtype}"
        raise ClassBalanceError(message)
    wrong = (labels != np.floor(labels)) | (labels < ABSTAIN) | (labels >= cardinality)
    if wrong.any():
        message = f"Y_dev must hold integers from -1 (unknown) to {cardinality - 1}, got {labels[wrong][0]}"
        raise ClassBalanceError(message)
    labels = labels.astype(np.int64)
    counts = np.bincount(labels[labels != ABSTAIN], minlength=cardinality)
    if counts.sum() == 0:
        message = "Y_dev has no known label, pass class_balance or leave both out"
        raise ClassBalanceError(message)
    _refuse_zero_priors(counts)
    return np.asarray(counts / counts.sum())


def _refuse_zero_priors(balance: npt.NDArray[Any]) -> None:
    if np.any(balance == 0):
        classes = np.flatnonzero(balance == 0).tolist()
        message = (
            f"Class balance prior is 0 for class(es) {classes}. Every class needs a positive prior: "
            "pass class_balance with a small value for these, or lower the cardinality"
        )
        raise ClassBalanceError(message)


def _check_precisions(config: FitConfig, n_lfs: int) -> None:
    if isinstance(config.prec_init, list) and len(config.prec_init) != n_lfs:
        message = f"prec_init must have shape {n_lfs}, one value per LF, got {len(config.prec_init)}."
        raise SettingsError(message)
    if np.any(np.asarray(config.prec_init) <= 0) or np.any(np.asarray(config.prec_init) > 1):
        message = f"prec_init must be precisions in (0, 1], got {config.prec_init}"
        raise SettingsError(message)


def _as_plain(value: Any) -> Any:
    """Arrays and tensors as lists, so that they can be validated and stored."""
    return value.tolist() if hasattr(value, "tolist") else value


def _contiguous(arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Arrays in C order; safetensors writes the memory as it lies, whatever the strides say."""
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

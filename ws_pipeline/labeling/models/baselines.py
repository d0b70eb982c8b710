"""Baselines that every label model has to beat: the plain vote, the most frequent class, chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats
from ws_pipeline.errors import NotFittedError
from ws_pipeline.labeling.models.class_balance import check_distribution
from ws_pipeline.labeling.models.labeler import BaseLabeler, State
from ws_pipeline.labeling.models.plain_vote import majority_probs
from ws_pipeline.labeling.votes.vote_forms import VoteForm, read_votes
from ws_pipeline.storage.files import FileFormat

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ws_pipeline.labeling.votes.label_matrix import LabelMatrix


class MajorityLabelVoter(BaseLabeler):
    """Each example gets the class that most LFs vote for.

    Examples
    --------
    >>> MajorityLabelVoter().predict_proba([[0, 0, -1], [-1, 0, 1]])
    array([[1. , 0. ],
           [0.5, 0.5]])
    """

    file_format = FileFormat("ws_pipeline/MajorityLabelVoter", version=1)

    def predict_proba(self, L: LabelMatrix | ArrayLike) -> Floats:
        """Share 1 evenly among the classes with the most votes.

        Parameters
        ----------
        L
            ``[n, m]`` votes in {-1, 0, .., k-1}.

        Returns
        -------
        numpy.ndarray
            ``[n, k]``; uniform for examples without votes.
        """
        form = read_votes(L, self.cardinality)
        trusted = form.is_checked_for(self.cardinality)
        return majority_probs(form.votes, self.cardinality, trusted=trusted, details=form.details)


def _n_examples(L: LabelMatrix | ArrayLike) -> int:
    return int(read_votes(L).votes.shape[0])


class VoteBlindLabeler(BaseLabeler):
    """Labels every example, whether it has votes or not."""

    def _covered(self, form: VoteForm) -> npt.NDArray[np.bool_]:
        return np.ones(form.votes.shape[0], dtype=np.bool_)


class MajorityClassVoter(VoteBlindLabeler):
    """Every example gets the most frequent class, whatever its votes.

    Examples
    --------
    >>> voter = MajorityClassVoter().fit(balance=[0.8, 0.2])
    >>> voter.predict_proba([[0, 0, -1], [-1, 0, 1]])
    array([[1., 0.],
           [1., 0.]])
    """

    file_format = FileFormat("ws_pipeline/MajorityClassVoter", version=1)

    balance: Floats

    def fit(self, balance: ArrayLike) -> MajorityClassVoter:
        """Take the class balance.

        Parameters
        ----------
        balance
            ``[k]`` shares of the classes, sum to 1.

        Returns
        -------
        MajorityClassVoter
            Itself.

        Raises
        ------
        ClassBalanceError
            Not k shares that sum to 1.
        """
        self.balance = check_distribution(balance, self.cardinality)
        return self

    def predict_proba(self, L: LabelMatrix | ArrayLike) -> Floats:
        """Share 1 evenly among the most frequent classes.

        Parameters
        ----------
        L
            ``[n, m]`` votes; only their number is used.

        Returns
        -------
        numpy.ndarray
            ``[n, k]``, all rows the same.

        Raises
        ------
        NotFittedError
            There is no class balance yet.
        """
        self._check_fitted()
        winners = self.balance == self.balance.max()
        return np.tile(winners / winners.sum(), (_n_examples(L), 1))

    def _state(self) -> State:
        self._check_fitted()
        header, _ = super()._state()
        return header, {"balance": self.balance}

    def _set_state(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._set_state(header, arrays)
        self.balance = arrays["balance"]

    def _check_fitted(self) -> None:
        if not hasattr(self, "balance"):
            message = "MajorityClassVoter has no class balance yet, call fit(balance) first"
            raise NotFittedError(message)


class RandomVoter(VoteBlindLabeler):
    """Every example gets random probabilities: what chance would do.

    Parameters
    ----------
    cardinality
        Number of classes k.
    seed
        Of the random numbers.  The same seed and number of examples give the same probabilities.

    Examples
    --------
    >>> RandomVoter(seed=7).predict_proba([[0, 0, -1], [-1, 0, 1]]).sum(axis=1)
    array([1., 1.])
    """

    file_format = FileFormat("ws_pipeline/RandomVoter", version=1)

    def __init__(self, cardinality: int = 2, *, seed: int = 0) -> None:
        super().__init__(cardinality)
        self.seed = seed

    def predict_proba(self, L: LabelMatrix | ArrayLike) -> Floats:
        """Draw probabilities.

        Parameters
        ----------
        L
            ``[n, m]`` votes; only their number is used.

        Returns
        -------
        numpy.ndarray
            ``[n, k]``, rows sum to 1.
        """
        weights = 1 - np.random.default_rng(self.seed).random((_n_examples(L), self.cardinality))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def _state(self) -> State:
        header, arrays = super()._state()
        return {**header, "seed": self.seed}, arrays

    def _set_state(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._set_state(header, arrays)
        self.seed = header["seed"]

"""The classic model of crowds: every source has a confusion matrix.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ws_pipeline.errors import ConvergenceWarning
from ws_pipeline.labeling.models.additive import AdditiveLabeler, given_balance, patterns_of
from ws_pipeline.labeling.models.gold_votes import GoldRows
from ws_pipeline.labeling.models.labeler import State
from ws_pipeline.labeling.models.lift_em import (
    Additive,
    GoldVotes,
    Kinds,
    Member,
    Problem,
    match_balance,
    maximise,
    start,
    vote_moments,
)
from ws_pipeline.labeling.models.pattern_passes import passes_over
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.label_model import DawidSkeneConfig
from ws_pipeline.storage.files import FileFormat

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_POWER_ONE = Member(balance_power=1.0, n_rounds=1)


class DawidSkene(AdditiveLabeler):
    """Expectation-maximisation over confusion matrices, until nothing moves.

    Dawid and Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm", Applied
    Statistics 28 (1979), section 3, from the plain vote on, with a few votes of prior for each source.
    Abstains say nothing.  Made for crowds; sources that vote one class only, as many labeling functions do,
    can turn the classes around: see :class:`.LiftDawidSkene`.

    Parameters
    ----------
    cardinality
        Number of classes k.

    Attributes
    ----------
    weights, intercept, abstain_evidence, class_balance, accuracies, inflation, lf_names
        See :class:`.AdditiveLabeler`.
    n_iter_ : int
        Number of rounds.
    converged_ : bool
        Whether ``tol`` stopped them.

    Examples
    --------
    >>> votes = [[0, 0, -1], [1, 1, 1], [-1, 1, 1], [0, 0, 0]]
    >>> DawidSkene(cardinality=2).fit(votes).predict(votes)
    array([0, 1, 1, 0])
    """

    file_format = FileFormat("ws_pipeline/DawidSkene", version=1)

    n_iter_: int
    converged_: bool

    def fit(
        self,
        L_train: LabelMatrix | VotePatterns | ArrayLike,
        gold: ArrayLike | None = None,
        class_balance: ArrayLike | None = None,
        *,
        max_iter: int = 100,
        tol: float = 1e-4,
        gold_weight: float = 10.0,
        temperature: bool = True,
    ) -> Self:
        """Estimate the confusion matrices.

        Parameters
        ----------
        L_train, gold, class_balance, gold_weight
            See :meth:`.LiftDawidSkene.fit`.
        max_iter
            Number of rounds, at least 1.
        tol
            Stop when no entry of a confusion matrix, in examples, moves by more than this share of all
            examples with votes.
        temperature
            Divide the log-odds by a temperature, see :class:`.LiftDawidSkene`; False gives the posteriors of
            the paper.

        Returns
        -------
        DawidSkene
            self.

        Raises
        ------
        SettingsError, LabelMatrixError, ClassBalanceError
            See :meth:`.LiftDawidSkene.fit`.

        Warns
        -----
        ConvergenceWarning
            The confusion matrices still moved in the last round.
        """
        settings = {"max_iter": max_iter, "tol": tol, "gold_weight": gold_weight, "temperature": temperature}
        config = parse_settings(DawidSkeneConfig, settings, where="DawidSkene.fit")
        votes: Any = L_train
        anchors = (
            None if gold is None else GoldRows.read(votes, gold, self.cardinality).count(self.cardinality)
        )
        patterns = patterns_of(votes, self.cardinality)
        return self.fit_patterns(patterns, config, gold=anchors, class_balance=class_balance)

    def fit_patterns(
        self,
        patterns: VotePatterns,
        config: DawidSkeneConfig,
        *,
        gold: GoldVotes | None = None,
        class_balance: ArrayLike | None = None,
    ) -> Self:
        """Estimate the confusion matrices from vote patterns; see :meth:`fit`."""
        known_balance = given_balance(class_balance, self.cardinality)
        patterns = patterns_of(patterns, self.cardinality)
        passes = passes_over(patterns)
        kinds = Kinds(np.zeros(patterns.n_lfs, dtype=np.bool_), crowd=True, panel=True)
        anchors = None if gold is None else gold.weighted(config.gold_weight)
        model = self._iterate(Problem.of(passes, patterns.class_counts, kinds, anchors), config)
        if not self.converged_:
            message = f"the confusion matrices still moved after {self.n_iter_} rounds; raise max_iter or tol"
            warnings.warn(ConvergenceWarning(message), stacklevel=3)
        if known_balance is not None:
            voted = patterns.class_counts.sum(axis=0) > 0
            model = match_balance(passes, model, known_balance, voted=voted)
        self.has_temperature = config.temperature
        return self._keep(patterns, model, vote_moments(passes, model))

    def _iterate(self, problem: Problem, config: DawidSkeneConfig) -> Additive:
        """Expect and maximise until no expected vote moves; keep how it ended."""
        expected = problem.passes.expect(*start(len(problem.symbol_counts), problem.alphabet))
        self.converged_ = False
        for n_rounds in range(1, config.max_iter + 1):
            model = maximise(problem, expected, _POWER_ONE)
            before, expected = expected, problem.passes.expect(model.intercept, model.weights)
            self.n_iter_ = n_rounds
            if np.abs(expected.joint - before.joint).max() <= config.tol * problem.n:
                self.converged_ = True
                break
        return model

    def _state(self) -> State:
        header, arrays = super()._state()
        return {**header, "n_iter": self.n_iter_, "converged": self.converged_}, arrays

    def _set_state(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._set_state(header, arrays)
        self.n_iter_, self.converged_ = int(header["n_iter"]), bool(header["converged"])

"""Base of the label models that are one additive table: the log-odds of a class are a sum over the votes.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats
from ws_pipeline.errors import LabelMatrixError, NotFittedError
from ws_pipeline.labeling.models.class_balance import validate_class_balance
from ws_pipeline.labeling.models.explanation import Explanation, take_apart
from ws_pipeline.labeling.models.labeler import BaseLabeler, State
from ws_pipeline.labeling.models.lift_em import Additive, VoteMoments, right_votes
from ws_pipeline.labeling.models.posterior import Tempering, class_probabilities
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, LabelMatrix
from ws_pipeline.labeling.votes.vote_forms import VoteForm, align_lfs, dense_votes, read_votes
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.labeling.votes.vote_symbols import Alphabet, VoteSymbols

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class AdditiveLabeler(BaseLabeler):
    """P(class | votes) is the softmax of an intercept and of what each vote adds, over a temperature.

    Attributes
    ----------
    weights : numpy.ndarray
        ``[m, S, k]``: what a vote of LF j for class s adds to the log-odds of class y, at ``[j, s, y]``, with
        S = k.  Of votes with scores, or for superclasses, s is a symbol of ``symbols``.
    intercept : numpy.ndarray
        ``[k]``: log-odds of the classes where no LF votes.
    abstain_evidence : numpy.ndarray
        ``[m, k]``: the part of ``intercept`` that the abstain of each LF stands for.
    class_balance : numpy.ndarray
        ``[k]``: P(class), as estimated or given; the probabilities of examples without votes.
    accuracies : numpy.ndarray
        ``[m]``: share of each LF's votes that are right, as the model sees it; 0 for an LF that never votes.
    inflation : float
        Variance inflation F of the vote totals, at least 1: m LFs are worth m / F independent ones.
    lf_names : tuple of str
        Names of the m labeling functions.
    symbols : VoteSymbols or None
        What brings votes with scores, and for superclasses, to symbols; None: votes are taken by class alone.
    """

    symbols: VoteSymbols | None = None
    weights: Floats
    intercept: Floats
    abstain_evidence: Floats
    class_balance: Floats
    accuracies: Floats
    inflation: float
    lf_names: tuple[str, ...]
    has_temperature: bool

    def predict_proba(self, L: LabelMatrix | ArrayLike) -> Floats:
        """Return P(class | votes); an example without votes gets the class balance.

        Parameters
        ----------
        L
            ``[n, m]`` votes in {-1, 0, .., k-1}, in any form that :meth:`fit` takes but patterns.  Where LFs
            have names, here and in the fit, they are matched by name; in triples an absent LF abstains, and
            the rows are those of the examples in the order of their first triples.

        Returns
        -------
        numpy.ndarray
            ``[n, k]``, rows sum to 1.
        """
        form = self._aligned(L)
        m, n_symbols, k = self.weights.shape
        table = np.zeros((m, n_symbols + 1, k))
        table[:, 1:] = self.weights
        start = np.exp(self.intercept - self.intercept.max())
        tempering = Tempering(self.inflation, self.class_balance, rising=self.has_temperature)
        trusted = form.is_checked_for(n_symbols)
        return class_probabilities(form.votes, table, start, tempering=tempering, trusted=trusted)

    def explain(self, L: LabelMatrix | ArrayLike) -> Explanation:
        """Take the log-odds of examples apart: what the prior, each vote and each abstain adds.

        Parameters
        ----------
        L
            ``[r, m]`` votes, in any form that :meth:`predict_proba` takes; r*m*k numbers are made of them.

        Returns
        -------
        Explanation
            For an example without votes, the prior is all of it.
        """
        form = self._aligned(L)
        found = take_apart(
            form,
            self.lf_names,
            prior=self.intercept - self.abstain_evidence.sum(axis=0),
            weights=self.weights,
            abstains=self.abstain_evidence,
        )
        n_votes = (np.asarray(dense_votes(form)) != ABSTAIN).sum(axis=1)
        found = found.scaled(1 / self.temperatures(n_votes))
        silent = n_votes == 0
        found.prior[silent], found.contributions[silent] = np.log(self.class_balance), 0
        return found

    def temperatures(self, n_votes: npt.NDArray[Any]) -> Floats:
        """What the log-odds of examples are divided by, ``[n]``, from their numbers of votes ``[n]``."""
        if not self.has_temperature:
            return np.ones(len(n_votes))
        return np.asarray(np.maximum(np.sqrt(n_votes), self.inflation))

    def get_weights(self) -> Floats:
        """Return how often each LF is right when it votes, as the model sees it: ``accuracies``."""
        self._check_fitted()
        return self.accuracies

    def _aligned(self, L: LabelMatrix | ArrayLike) -> VoteForm:
        """Votes of the LFs that the model was fitted on, in its order; symbols, if it takes these."""
        self._check_fitted()
        form = align_lfs(read_votes(L, self.cardinality), self.lf_names)
        return form if self.symbols is None else self.symbols.encode(form._replace(lf_names=self.lf_names))

    def _keep(self, patterns: VotePatterns, model: Additive, moments: VoteMoments) -> Self:
        """Take over what was estimated."""
        totals = moments.joint.sum(axis=(1, 2))
        alphabet = Alphabet.of_classes(self.cardinality) if self.symbols is None else self.symbols.alphabet
        right = right_votes(moments.joint, alphabet.symbol_members)
        self.weights, self.intercept = model.weights, model.intercept
        self.abstain_evidence, self.class_balance = model.abstain_evidence, model.class_balance
        self.accuracies = np.divide(right, totals, out=np.zeros(len(totals)), where=totals > 0)
        self.inflation = moments.inflation
        self.lf_names = patterns.lf_names
        return self

    def _state(self) -> State:
        self._check_fitted()
        header = {
            "cardinality": self.cardinality,
            "lf_names": self.lf_names,
            "inflation": self.inflation,
            "has_temperature": self.has_temperature,
        }
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        if self.symbols is None:
            return header, arrays
        of_symbols, edges = self.symbols.to_state()
        return {**header, "symbols": of_symbols}, arrays | edges

    def _set_state(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._set_state(header, arrays)
        self.lf_names = tuple(header["lf_names"])
        self.inflation = float(header["inflation"])
        self.has_temperature = bool(header["has_temperature"])
        for name in _ARRAYS:
            setattr(self, name, arrays[name])
        found = header.get("symbols")
        self.symbols = None if found is None else VoteSymbols.from_state(found, arrays)

    def _check_fitted(self) -> None:
        if not hasattr(self, "weights"):
            message = f"this {type(self).__name__} is not fitted yet: call fit or load first"
            raise NotFittedError(message)


_ARRAYS = ("weights", "intercept", "abstain_evidence", "class_balance", "accuracies")


def patterns_of(L_train: Any, cardinality: int) -> VotePatterns:
    """Find the vote patterns of whatever form of training votes ``fit`` was given; refuse votes without any.

    Raises
    ------
    LabelMatrixError
        Votes out of range, patterns of another number of classes, or no vote at all.
    """
    patterns = L_train if isinstance(L_train, VotePatterns) else VotePatterns.from_votes(L_train, cardinality)
    if patterns.cardinality != cardinality:
        message = f"L_train has cardinality {patterns.cardinality}, expected {cardinality}"
        raise LabelMatrixError(message)
    covered = patterns.covered()
    if not covered.n_patterns:
        message = (
            f"L_train has no votes at all: its {patterns.n_lfs} LFs vote on none of the "
            f"{patterns.n_examples} examples, nothing can be learned"
        )
        raise LabelMatrixError(message)
    return covered


def given_balance(class_balance: ArrayLike | None, cardinality: int) -> Floats | None:
    """A class balance that was given, validated; None where there is none."""
    return None if class_balance is None else validate_class_balance(class_balance, cardinality)

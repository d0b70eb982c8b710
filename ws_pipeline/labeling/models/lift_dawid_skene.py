"""The default label model: Dawid-Skene in which a source of one class counts by its lift.

The maths is in :mod:`.lift_em`, the counting in :mod:`ws_pipeline.labeling.votes.vote_patterns`.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats
from ws_pipeline.errors import SettingsError
from ws_pipeline.labeling.models.additive import AdditiveLabeler, given_balance, patterns_of
from ws_pipeline.labeling.models.families import discounts
from ws_pipeline.labeling.models.gold_votes import GoldRows
from ws_pipeline.labeling.models.labeler import State
from ws_pipeline.labeling.models.lift_em import (
    GoldVotes,
    Problem,
    estimate,
    find_kinds,
    match_balance,
    members_of,
)
from ws_pipeline.labeling.models.pattern_passes import passes_over
from ws_pipeline.labeling.models.vote_moments import vote_moments
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.labeling.votes.vote_symbols import DEFAULT_BINS, Alphabet, VoteSymbols, symbols_of
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.label_model import LiftDawidSkeneConfig
from ws_pipeline.storage.files import FileFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike


class LiftDawidSkene(AdditiveLabeler):
    r"""Additive label model for labeling functions, crowds and mixtures of both; no training, no seed.

    Expectation-maximisation after Dawid and Skene, "Maximum Likelihood Estimation of Observer Error-Rates
    Using the EM Algorithm", Applied Statistics 28 (1979), from the plain vote on and a few rounds only, with
    every estimate shrunk towards an assumed accuracy.  What is different:

    - A source that votes one class has no confusion matrix; its vote counts by the lift P(class | vote) /
      P(class).
    - The class balance enters with a power below 1, since sources of one class say little of it.
    - The log-odds are the mean over a few such models.
    - Near copies that together hold much of the votes count about as one; see :mod:`.families`.
    - The posterior has a temperature t = max(sqrt(number of votes), F), F being the variance inflation of the
      vote totals: correlated sources make it less sure, and change no label.
    - Votes may have scores, and be for superclasses: a vote for any of several classes.  The scores of each
      LF are put into bins, and a vote counts by its bin; see
      :mod:`ws_pipeline.labeling.votes.vote_symbols`.

    Parameters
    ----------
    cardinality
        Number of classes k.

    Attributes
    ----------
    weights, intercept, abstain_evidence, class_balance, accuracies, inflation, lf_names, symbols
        See :class:`.AdditiveLabeler`.
    discounts : numpy.ndarray
        ``[m]``: what the votes of each LF count, below 1 for near copies; ``weights`` have it in them.

    Examples
    --------
    >>> votes = [[0, 0, -1], [1, 1, 1], [-1, 1, 1], [0, 0, 0]]
    >>> LiftDawidSkene(cardinality=2).fit(votes).predict(votes)
    array([0, 1, 1, 0])
    """

    file_format = FileFormat("ws_pipeline/LiftDawidSkene", version=2)

    discounts: Floats

    def fit(
        self,
        L_train: LabelMatrix | VotePatterns | ArrayLike,
        gold: ArrayLike | None = None,
        class_balance: ArrayLike | None = None,
        *,
        gold_weight: float = 10.0,
        temperature: bool = True,
        known_accuracy: Mapping[str, float] | None = None,
        n_bins: int = DEFAULT_BINS,
    ) -> Self:
        """Estimate the weights of the votes.

        Parameters
        ----------
        L_train
            ``[n, m]`` votes in {-1, 0, .., k-1}, in any form that
            :mod:`ws_pipeline.labeling.votes.vote_forms` reads, or :class:`.VotePatterns`.
        gold
            Gold labels of some of the examples, to anchor the model on: ``[n]``, -1 where unknown, or a dict
            of them by example id.
        class_balance
            P(class) of the examples with votes, k positive numbers that sum to 1; those of a dict or a Series
            go by class.  Default: estimated.
        gold_weight
            Number of examples without gold that an example with a gold label counts as, at least 0.
        temperature
            Divide the log-odds by a temperature, see above.
        known_accuracy
            Name of an LF to the share of its votes that are right, where that is known: its votes then weigh
            as that says, and not as is estimated.
        n_bins
            Bins of the scores of an LF, at least 1, if its votes have scores; 1 leaves the scores out of
            account.

        Returns
        -------
        LiftDawidSkene
            self.

        Raises
        ------
        SettingsError
            A setting is out of range, or an accuracy is known of an LF that is not there.
        LabelMatrixError
            Votes out of range, no vote at all, or gold labels that do not belong to the votes.
        ClassBalanceError
            A class balance that is not a positive distribution over the k classes.
        """
        settings = {
            "gold_weight": gold_weight,
            "temperature": temperature,
            "known_accuracy": dict(known_accuracy or {}),
            "n_bins": n_bins,
        }
        config = parse_settings(LiftDawidSkeneConfig, settings, where="LiftDawidSkene.fit")
        votes: Any = L_train
        k = self.cardinality
        symbols = symbols_of(votes, k, config.n_bins)
        rows = None if gold is None else GoldRows.read(votes, gold, k)
        patterns = patterns_of(votes, k) if symbols is None else symbols.patterns(votes)
        anchors = None if rows is None else rows.count(k, symbols)
        return self.fit_patterns(patterns, config, gold=anchors, class_balance=class_balance, symbols=symbols)

    def fit_patterns(
        self,
        patterns: VotePatterns,
        config: LiftDawidSkeneConfig,
        *,
        gold: GoldVotes | None = None,
        class_balance: ArrayLike | None = None,
        symbols: VoteSymbols | None = None,
        discounts_of: Callable[[], Floats] | None = None,
    ) -> Self:
        """Estimate the weights from vote patterns, which may be the sum over any number of shards.

        The whole of :meth:`fit` once the votes are counted; the same parameters and errors.  Of votes with
        scores, or for superclasses, the patterns and the gold labels are counted by the ``symbols``.
        ``discounts_of`` gives what :func:`find_discounts` found in the same patterns before.
        """
        k = self.cardinality
        known_balance = given_balance(class_balance, k)
        alphabet = Alphabet.of_classes(k) if symbols is None else symbols.alphabet
        patterns = patterns_of(patterns, alphabet.n_symbols)
        passes = passes_over(patterns, k)
        group_counts = _by_group(patterns, alphabet).class_counts
        kinds = find_kinds(group_counts)
        self.discounts = find_discounts(patterns, alphabet) if discounts_of is None else discounts_of()
        problem = Problem.of(
            passes,
            patterns.class_counts,
            kinds,
            None if gold is None else gold.weighted(config.gold_weight),
            known=_in_order(config.known_accuracy, patterns.lf_names),
            discounts=self.discounts,
            alphabet=alphabet,
        )
        model = estimate(problem, members_of(kinds))
        if known_balance is not None:
            voted = group_counts.sum(axis=0) @ alphabet.members > 0
            model = match_balance(passes, model, known_balance, voted=voted)
        self.has_temperature, self.symbols = config.temperature, symbols
        return self._keep(patterns, model, vote_moments(passes, model, alphabet))

    def _state(self) -> State:
        header, arrays = super()._state()
        return header, {**arrays, "discounts": self.discounts}

    def _set_state(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._set_state(header, arrays)
        self.discounts = arrays["discounts"]


def find_discounts(patterns: VotePatterns, alphabet: Alphabet) -> Floats:
    """What the votes of each LF count ``[m]``, by patterns of symbols with votes; see :mod:`.families`."""
    by_group = _by_group(patterns, alphabet)
    return discounts(by_group, by_group.class_counts)


def _by_group(patterns: VotePatterns, alphabet: Alphabet) -> VotePatterns:
    return patterns if alphabet.n_levels == 1 else patterns.merged(alphabet.groups, alphabet.n_groups)


def _in_order(known_accuracy: Mapping[str, float], lf_names: tuple[str, ...]) -> Floats:
    """Known accuracies ``[m]`` in the order of the LFs, NaN where not known.

    Raises
    ------
    SettingsError
        There is no LF of that name.
    """
    unknown = [name for name in known_accuracy if name not in lf_names]
    if unknown:
        message = f"known_accuracy: there is no LF '{unknown[0]}'; the LFs are {', '.join(lf_names)}"
        raise SettingsError(message)
    return np.array([known_accuracy.get(name, np.nan) for name in lf_names])

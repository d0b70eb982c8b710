r"""The maths of the label models that see whole rows: expectation-maximisation over vote patterns.

P(class y | votes) = softmax(b_y + sum_j W[j, vote_j, y]) is additive in the votes.  Dawid and Skene (1979)
read W off a confusion matrix of every source.  A source that votes one class only has none: what its vote
says is by how much the class is more frequent under it than elsewhere, its *lift*.  So each labeling function
(LF) is of one of two kinds, see :func:`find_kinds`, and each kind has its own M-step.  All of them shrink:
the fewer the votes, the closer W is to that of an assumed accuracy, so that no source can turn the classes
around as a free fit does on sparse votes.

Start reading at :func:`estimate`.

What LFs say are symbols: the classes, or with votes for superclasses and scores a few more; see
:mod:`ws_pipeline.labeling.votes.vote_symbols`.  A vote for a superclass is right if the class is one of its
classes.  What the score of a vote adds is in :mod:`.level_evidence`.

Legend: n examples with votes, m LFs, k classes, S symbols of G groups; ``N[j, s, y]`` is the number of votes
of LF j for symbol s on examples of class y.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats, Mask
from ws_pipeline.labeling.models.level_evidence import with_levels
from ws_pipeline.labeling.models.pattern_passes import Expectations, PatternPasses
from ws_pipeline.labeling.votes.vote_symbols import Alphabet

ASSUMED_ODDS = 3.0  # a source is taken to be right 3(k-1) times as often as for any one other class

_SINGLE_SHARE = 0.98  # of a source's votes for one class, from which it is a single-class source
_FEW_VOTES = 10  # fewer votes do not tell the kind of a source
_CROWD = 20  # sources from which a matrix of choosers is a crowd
_BALANCE_PRIOR = 10.0  # examples of a uniform balance
_LIFT_PRIOR = 50.0  # votes of the assumed lift
_MEAN_PRIOR = (15.0, 20.0)  # right votes, and votes, of the assumed accuracy of all choosers
_ACCURACY_PRIOR = 10.0  # votes of the mean accuracy of all choosers
_CONFUSION_PRIOR = 10.0  # votes of the source's accuracy, for each class
_PROPENSITY_PRIOR = 200.0  # votes of an even propensity to vote
_MIN_ABSTAIN = 0.01  # probability of an abstain, at least
_MATCHING_ROUNDS = 50
_MATCHED = 1e-4  # difference of shares at which they are the same
_LEAST_SHARE = 1e-12  # of a class, so that its logarithm is finite


class Kinds(NamedTuple):
    """Kinds of the sources.

    Parameters
    ----------
    single
        ``[m]``: sources that vote one class nearly always; the others are choosers.
    crowd
        Whether there are many choosers, of which each sees some of the examples: abstaining says nothing.
    panel
        Whether all sources that vote are choosers.
    """

    single: Mask
    crowd: bool
    panel: bool


class Member(NamedTuple):
    """One of the models whose mean is taken.

    Parameters
    ----------
    balance_power
        Power of the class balance in the posterior.
    n_rounds
        Number of rounds of expectation and maximisation.
    abstains
        Whether abstains of single-class sources are evidence.
    """

    balance_power: float
    n_rounds: int
    abstains: bool = False


class GoldVotes(NamedTuple):
    """Votes on examples with gold labels, counted with their weight.

    Parameters
    ----------
    joint
        ``[m, S, k]``: at ``[j, s, y]`` the weight of the examples of gold class y on which LF j says s.
    class_counts
        ``[k]``: the weight of the examples of each gold class.
    """

    joint: Floats
    class_counts: Floats

    @classmethod
    def none(cls, n_lfs: int, alphabet: Alphabet) -> GoldVotes:
        """No gold labels."""
        k = alphabet.cardinality
        return cls(np.zeros((n_lfs, alphabet.n_symbols, k)), np.zeros(k))

    def weighted(self, weight: float) -> GoldVotes:
        """The same with another weight of every example."""
        return GoldVotes(weight * self.joint, weight * self.class_counts)


class Additive(NamedTuple):
    """An additive model of the classes.

    Parameters
    ----------
    intercept
        ``[k]``: log-odds of an example of which all LFs abstain.
    weights
        ``[m, S, k]``: what symbol s of LF j adds to the log-odds of class y, at ``[j, s, y]``.
    abstain_evidence
        ``[m, k]``: the part of ``intercept`` that the abstain of each LF stands for; a vote takes it back.
    class_balance
        ``[k]``: share of each class among the examples.
    """

    intercept: Floats
    weights: Floats
    abstain_evidence: Floats
    class_balance: Floats


def find_kinds(class_counts: npt.NDArray[np.int64]) -> Kinds:
    """Tell single-class sources from choosers, and crowds from labeling functions.

    Parameters
    ----------
    class_counts
        ``[m, G]``: how often each LF votes each class, or group.
    """
    totals = class_counts.sum(axis=1)
    voting, known = totals > 0, totals >= _FEW_VOTES
    single = class_counts.max(axis=1) >= _SINGLE_SHARE * totals
    chosen = totals[known & ~single].sum()
    single = np.where(known, single, chosen < totals[known].sum() / 2)
    chosen = totals[~single].sum()
    crowd = bool(np.count_nonzero(voting) >= _CROWD and chosen >= totals.sum() / 2)
    if crowd:
        single = np.zeros(len(totals), dtype=np.bool_)
    return Kinds(single, crowd, panel=not (single & voting).any())


def members_of(kinds: Kinds) -> list[Member]:
    """Members whose mean is taken, by the kinds of the sources.

    Single-class sources say little of the class balance, which a free fit pushes to one class; a low power
    holds it back.  A panel of choosers tells it well.
    """
    if kinds.panel:
        return [Member(0.75, 5), Member(1.0, 5)]
    if kinds.crowd:
        return [Member(0.75, 5)]
    return [Member(0.5, 5), Member(0.0, 5), Member(0.5, 1, abstains=True)]


class Problem(NamedTuple):
    """All that the rounds of one fit share.

    Parameters
    ----------
    passes
        Passes over the patterns with votes.
    kinds
        Kinds of the sources.
    gold
        Votes on examples with gold labels.
    symbol_counts
        ``[m, S]``: how often each LF says each symbol, examples with gold counted once more by their weight.
    n
        Number of examples with votes, those with gold counted once more by their weight.
    known
        ``[m]``: share of each LF's votes that are right, where that is known; NaN where it is estimated.
    discounts
        ``[m]``: what the votes of each LF count, in (0, 1]; see :mod:`.families`.
    alphabet
        The symbols.
    """

    passes: PatternPasses
    kinds: Kinds
    gold: GoldVotes
    symbol_counts: Floats
    n: float
    known: Floats
    discounts: Floats
    alphabet: Alphabet

    @classmethod
    def of(
        cls,
        passes: PatternPasses,
        symbol_counts: npt.NDArray[np.int64],
        kinds: Kinds,
        gold: GoldVotes | None = None,
        *,
        known: Floats | None = None,
        discounts: Floats | None = None,
        alphabet: Alphabet | None = None,
    ) -> Problem:
        """Put the parts together; ``symbol_counts`` are those without gold."""
        m, n_symbols = symbol_counts.shape
        alphabet = Alphabet.of_classes(n_symbols) if alphabet is None else alphabet
        gold = GoldVotes.none(m, alphabet) if gold is None else gold
        counts = symbol_counts + gold.joint.sum(axis=2)
        n = float(passes.counts.sum() + gold.class_counts.sum())
        known = np.full(m, np.nan) if known is None else known
        discounts = np.ones(m) if discounts is None else discounts
        return cls(passes, kinds, gold, counts, n, known, discounts, alphabet)


def start(n_lfs: int, alphabet: Alphabet) -> tuple[Floats, Floats]:
    """Intercept ``[k]`` and weights ``[m, S, k]`` of the plain vote: the more votes, the more probable."""
    weights = np.log(_assumed_odds(alphabet.symbol_members)) * alphabet.symbol_members
    return np.zeros(alphabet.cardinality), np.tile(weights, (n_lfs, 1, 1))


def _assumed_odds(members: Mask) -> Floats:
    """How often a vote for these classes is taken to be right for each, against any one other ``[.., 1]``."""
    sizes = members.sum(axis=1, keepdims=True)
    return np.asarray(ASSUMED_ODDS * (members.shape[1] - sizes) / sizes)


def estimate(problem: Problem, members: list[Member]) -> Additive:
    """Fit every member from the plain vote on, and take the mean of their log-odds."""
    fitted = [_fit_member(problem, member) for member in members]
    return Additive(*(np.mean(part, axis=0) for part in zip(*fitted, strict=True)))


def _fit_member(problem: Problem, member: Member) -> Additive:
    intercept, weights = start(len(problem.symbol_counts), problem.alphabet)
    weights = weights * problem.discounts[:, None, None]
    for _ in range(member.n_rounds):
        expected = problem.passes.expect(intercept, weights)
        model = maximise(problem, expected, member)
        intercept, weights = model.intercept, model.weights
    return model


def maximise(problem: Problem, expected: Expectations, member: Member) -> Additive:
    """Estimate the model from the examples that were shared out to the classes, and from gold labels."""
    joint_of_symbols = expected.joint + problem.gold.joint
    members, joint = problem.alphabet.members, problem.alphabet.by_group(joint_of_symbols)
    group_counts = problem.alphabet.by_group(problem.symbol_counts)
    class_totals = expected.class_totals + problem.gold.class_counts
    balance = (class_totals + _BALANCE_PRIOR / len(class_totals)) / (problem.n + _BALANCE_PRIOR)
    single = problem.kinds.single
    lifts = _lifts(joint, group_counts, members, balance, problem.known)
    confusions = _confusions(joint, members, ~single, problem.known)
    if not problem.kinds.crowd:
        confusions = confusions * _propensities(joint, balance)[:, None]
    weights = np.log(np.where(single[:, None, None], lifts / balance, confusions))
    is_cast = group_counts > 0
    weights[~is_cast] = 0
    evidence = np.zeros((len(weights), len(balance)))
    if member.abstains:
        evidence[single] = _abstain_evidence(lifts, group_counts, balance, problem.n)[single]
        weights -= np.where(is_cast[:, :, None], evidence[:, None], 0)
    weights = with_levels(weights, joint_of_symbols, problem.symbol_counts, problem.alphabet, problem.known)
    weights *= problem.discounts[:, None, None]
    evidence *= problem.discounts[:, None]
    intercept = member.balance_power * np.log(balance) + evidence.sum(axis=0)
    return Additive(intercept, weights, evidence, balance)


def _lifts(joint: Floats, group_counts: Floats, members: Mask, balance: Floats, known: Floats) -> Floats:
    """P(class y | vote of LF j for group g) ``[m, G, k]``, shrunk to the assumed one, or as it is known."""
    assumed = np.where(members, _assumed_odds(members) * balance, balance)
    assumed /= assumed.sum(axis=1, keepdims=True)
    lifts: Floats = (joint + _LIFT_PRIOR * assumed) / (group_counts[:, :, None] + _LIFT_PRIOR)
    is_known = ~np.isnan(known)
    inside = (members * balance).sum(axis=1)[:, None]
    wrong = (1 - known[is_known])[:, None, None] * balance / (1 - inside)
    lifts[is_known] = np.where(members, known[is_known, None, None] * (balance / inside), wrong)
    return lifts


def right_votes(joint: Floats, members: Mask) -> Floats:
    """Number of votes of each LF that are right ``[m]``, of those by symbol and class ``[m, S, k]``."""
    symbols, classes = np.nonzero(members)
    # in the memory's order, so that it is added up in that of the symbols
    return np.asarray(np.ascontiguousarray(joint[:, symbols, classes]).sum(axis=1))


def _confusions(joint: Floats, members: Mask, choosers: Mask, known: Floats) -> Floats:
    """P(group g | class y) of the votes that are cast ``[m, G, k]``, shrunk to an even one, or as known."""
    by_class, totals = joint.sum(axis=1), joint.sum(axis=(1, 2))
    right = right_votes(joint, members)
    mean = (right[choosers].sum() + _MEAN_PRIOR[0]) / (totals[choosers].sum() + _MEAN_PRIOR[1])
    accuracies = (right + _ACCURACY_PRIOR * mean) / (totals + _ACCURACY_PRIOR)
    is_known = ~np.isnan(known)
    accuracies = np.where(is_known, known, accuracies)[:, None, None]
    n_right = members.sum(axis=0)
    assumed = np.where(members, accuracies / n_right, (1 - accuracies) / (len(members) - n_right))
    shrunk = (joint + _CONFUSION_PRIOR * assumed) / (by_class + _CONFUSION_PRIOR)[:, None]
    return np.asarray(np.where(is_known[:, None, None], assumed, shrunk))


def _propensities(joint: Floats, balance: Floats) -> Floats:
    """P(any vote | class y) over P(any vote) ``[m, k]``, shrunk to 1."""
    by_class, totals = joint.sum(axis=1), joint.sum(axis=(1, 2))
    shares = (by_class + _PROPENSITY_PRIOR * balance) / (totals + _PROPENSITY_PRIOR)[:, None]
    return np.asarray(shares / balance)


def _abstain_evidence(lifts: Floats, group_counts: Floats, balance: Floats, n: float) -> Floats:
    """Log of P(LF j abstains | class y) over P(LF j abstains), ``[m, k]``."""
    votes_by_class = (lifts * group_counts[:, :, None]).sum(axis=1)
    given_class = np.clip(1 - votes_by_class / (n * balance + 1), _MIN_ABSTAIN, 1)
    anyhow = np.clip(1 - group_counts.sum(axis=1) / (n + 1), _MIN_ABSTAIN, 1)
    evidence: Floats = np.log(given_class) - np.log(anyhow)[:, None]
    return evidence


def match_balance(passes: PatternPasses, model: Additive, class_balance: Floats, *, voted: Mask) -> Additive:
    """Shift the intercept until the classes have a known share of the examples with votes.

    The weights of the votes stay as they are.  A balance that is held fixed in the rounds instead turns the
    classes around: lifts are relative to the balance that the votes themselves imply.  Classes that no LF
    votes for are left as they are, ``voted`` ``[k]`` says which: no intercept makes examples of them without
    overruling all votes.
    """
    intercept = model.intercept
    n = passes.counts.sum()
    for _ in range(_MATCHING_ROUNDS):
        shares = passes.expect(intercept, model.weights).class_totals / n
        wanted = np.where(voted, class_balance * shares[voted].sum() / class_balance[voted].sum(), shares)
        steps = np.log(np.maximum(wanted, _LEAST_SHARE)) - np.log(np.maximum(shares, _LEAST_SHARE))
        intercept = intercept + steps
        if np.abs(shares - wanted).max() < _MATCHED:
            break
    return model._replace(intercept=intercept - intercept.max(), class_balance=class_balance)


class VoteMoments(NamedTuple):
    """Votes by class, and how much more they vary than those of independent sources would.

    Parameters
    ----------
    joint
        ``[m, S, k]``: at ``[j, s, y]`` the examples of class y, by the model, on which LF j says s.
    inflation
        Variance of the vote totals given the class, over that of independent sources; at least 1.  m sources
        that are right and wrong together are worth m / inflation independent ones.
    """

    joint: Floats
    inflation: float


def vote_moments(passes: PatternPasses, model: Additive, alphabet: Alphabet | None = None) -> VoteMoments:
    """Compare the votes with those of sources that are independent given the model's classes."""
    k = len(model.intercept)
    shares = (Alphabet.of_classes(k) if alphabet is None else alphabet).shares
    joint, class_totals = passes.expect(model.intercept, model.weights)
    sums, squares = np.zeros((k, k)), np.zeros((k, k))  # of the totals of votes s, by class
    posteriors = passes.posteriors(model.intercept, model.weights)
    for (block, tallies), (_, probs) in zip(passes.tallies(shares), posteriors, strict=True):
        masses = probs * passes.counts[block]
        sums += tallies @ masses.T
        squares += tallies**2 @ masses.T
    return VoteMoments(joint, variance_inflation(shares.T @ joint, class_totals, sums, squares))


def variance_inflation(joint: Floats, class_totals: Floats, sums: Floats, squares: Floats) -> float:
    """Variance of the vote totals given the class, over that of independent sources; at least 1.

    Parameters
    ----------
    joint
        ``[m, k, k]``: see :class:`VoteMoments`, the symbols brought to classes.
    class_totals
        ``[k]``: examples of each class.
    sums, squares
        ``[k, k]``: sum over the examples of class y of their votes for class s, and of its square, at
        ``[s, y]``.
    """
    sizes = np.where(class_totals > 0, class_totals, 1.0)
    of_totals = squares / sizes - (sums / sizes) ** 2
    rates = joint / sizes
    independent = (rates * (1 - rates)).sum(axis=0)
    weighting = (sums.sum(axis=1) / sums.sum())[:, None] * class_totals
    together, alone = float((weighting * of_totals).sum()), float((weighting * independent).sum())
    return max(1.0, together / alone) if alone > 0 else 1.0

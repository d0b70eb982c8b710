"""Decide whether the votes can tell how accurate the labeling functions are, and act where they cannot.

A label model learns from how often labeling functions (LFs) agree where they vote together.  Where they
never do, the optimisation still returns numbers, and these may turn votes into evidence against the class
that they name.  Such votes are found here, before and after the fit, each with its cause; an LF of which
nothing can be learned is taken to be right with its assumed precision, as in the plain vote.

Legend: m LFs, k classes, d = m*k; ``mu[i*k + y, z]`` = P(LF i votes y | class z).  Start reading at
:func:`find_evidence`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats, Mask
from ws_pipeline.errors import (
    CatchAllLFWarning,
    CopiedLFsWarning,
    FewVotersWarning,
    LabelMatrixError,
    NoAgreementWarning,
    NoOverlapWarning,
    OneClassVotesWarning,
    SilentLFWarning,
    UnanimousVotesWarning,
    UnvotedClassWarning,
    WsPipelineWarning,
)
from ws_pipeline.labeling.votes.row_counts import Counts
from ws_pipeline.labeling.votes.vote_counts import VoteCounts

#: Fewest LFs that vote together from which their accuracies can be told.
MIN_LFS = 3

_MIN_COPIED_VOTES = 10  # fewer votes may be the same by chance ...
_MIN_COPIED_CHOICES = 100  # ... and so may more, of accurate LFs that were given the same examples
_ONE_CLASS = 0.98  # share of an LF's votes for one class, from which it counts as an LF of that class
_CATCH_ALL = 0.9  # coverage above which an LF of one class is a catch-all
_MOST_VOTES = 0.75  # share of a class's votes, above which it is hardly voted for without its catch-alls
_MIN_CLASS_VOTES = 10  # fewer votes for a class are too few to learn from
_SAYS_NOTHING = 0.02  # log-odds below which a vote is no evidence for the class that it names
_NAMES = 10  # of LFs in a message
_REPLACED = "every vote is taken to be right with probability prec_init, as in the plain vote"


class Evidence(NamedTuple):
    """Findings about what can be learned from the votes.

    ``learnable`` ``[m]`` is True for LFs whose accuracy the votes tell something of; ``causes`` says why they
    do not of others, and what else is amiss.
    """

    learnable: Mask
    causes: list[WsPipelineWarning]


def find_evidence(counts: VoteCounts) -> Evidence:
    """Look for votes of which nothing, or little, can be learned; all causes are told, not only the first."""
    causes: list[WsPipelineWarning | None] = [_silent(counts)]
    without_evidence = [
        _one_class(counts),
        _no_overlap(counts) or _few_voters(counts),
        _no_agreement(counts),
        _only_copies(counts),
    ]
    causes += without_evidence
    if not any(without_evidence):
        causes += [_isolated(counts), _copies(counts)]
    causes.append(_unvoted_classes(counts) if without_evidence[0] is None else None)
    learnable = (counts.rows.overlap_counts > 0) & (not any(without_evidence))
    return Evidence(learnable, [cause for cause in causes if cause is not None])


def assumed_mu(vote_rates: Floats, precisions: Floats, class_balance: Floats, *, mu_eps: float) -> Floats:
    """Parameters of LFs that are right with an assumed precision: they make the plain vote a label model.

    A vote multiplies the odds of its class against every other one by the same factor, larger than the
    class balance can outweigh.  So the class with the most votes wins, and the balance breaks ties.

    Parameters
    ----------
    vote_rates
        ``[m, k]``: share of the examples on which each LF votes each class.
    precisions
        ``[m]``: P(class y | vote y), where the classes are equally frequent; taken to be better than chance.
    class_balance
        ``[k]``, positive.
    mu_eps
        mu is kept in [mu_eps, 1 - mu_eps].

    Returns
    -------
    numpy.ndarray
        ``[d, k]``.
    """
    m, k = vote_rates.shape
    better_than_chance = np.clip(precisions, 1 / k + 0.1 * (1 - 1 / k), 1 - mu_eps)
    factors = better_than_chance * (k - 1) / (1 - better_than_chance)
    factors = np.minimum(factors * class_balance.max() / class_balance.min(), (1 - mu_eps) / mu_eps)[:, None]
    others = vote_rates / (class_balance * factors + 1 - class_balance)  # P(vote y | another class)
    others = np.clip(others, mu_eps, (1 - mu_eps) / factors)
    mu = np.repeat(others[:, :, None], k, axis=2)
    classes = np.arange(k)
    mu[:, classes, classes] *= factors
    return np.asarray(np.clip(mu, mu_eps, 1 - mu_eps).reshape(m * k, k))


def find_overruled_catch_alls(
    counts: VoteCounts, mu: Floats, class_balance: Floats, *, mu_clamp: str
) -> CatchAllLFWarning | None:
    """Whether the fit, led astray by catch-all LFs, reads votes, even all together, as no evidence.

    With mu clamped at each step, LFs that vote one class on nearly every example are pushed to the clamp.
    Where that class has few other votes, the labels of most examples turn against it; else the votes for
    another class may be read as evidence against that class, which no example gets then.
    """
    k = counts.cardinality
    n_votes = counts.class_counts.sum(axis=1)
    main = counts.class_counts.argmax(axis=1)
    catch_all = (counts.coverage > _CATCH_ALL) & (counts.class_counts.max(axis=1) >= _ONE_CLASS * n_votes)
    log_mu = np.log(mu).reshape(-1, k, k)
    for label in np.unique(main[catch_all]):
        lfs = np.flatnonzero(catch_all & (main == label))
        scores = np.log(class_balance) + log_mu[lfs, label].sum(axis=0)
        if scores[label] - np.delete(scores, label).max() <= _SAYS_NOTHING:
            taken = f"these for no evidence of class {label}"
            return _catch_all_warning(counts, lfs, int(label), taken, mu_clamp=mu_clamp)
        overruled = _overruled_classes(counts, log_mu, but=int(label))
        if overruled:
            taken = f"all votes for class {overruled[0]} for no evidence of it"
            return _catch_all_warning(counts, lfs, int(label), taken, mu_clamp=mu_clamp)
    return None


def _overruled_classes(counts: VoteCounts, log_mu: Floats, *, but: int) -> list[int]:
    """Other classes than ``but`` whose votes, if all LFs that ever vote for one did so, would not tell it.

    Classes of so few votes that little can be learned of them are left out.
    """
    cast = counts.class_counts
    overruled = []
    for label in np.flatnonzero(cast.sum(axis=0) >= _MIN_CLASS_VOTES).tolist():
        scores = log_mu[cast[:, label] > 0, label].sum(axis=0)
        if label != but and scores[label] - np.delete(scores, label).max() <= _SAYS_NOTHING:
            overruled.append(label)
    return overruled


def _catch_all_warning(
    counts: VoteCounts, lfs: npt.NDArray[np.intp], label: int, taken: str, *, mu_clamp: str
) -> CatchAllLFWarning:
    """The warning; ``taken`` says which votes the fit takes for what."""
    cast = counts.class_counts[:, label]
    share = cast[lfs].sum() / cast.sum()
    at_each_step = mu_clamp == "step"
    remedies = [
        *(["pass mu_clamp='final'"] if at_each_step else []),
        "give the class_balance if it is known",
        *(["leave these LFs out"] if share <= _MOST_VOTES else []),
    ]
    return CatchAllLFWarning(
        f"on more than {_CATCH_ALL:.0%} of the examples class {label} gets a vote of {_names(counts, lfs)}, "
        f"{share:.0%} of all votes for it; {'with mu clamped at each step ' if at_each_step else ''}the fit "
        f"takes {taken}, so that the labels may be far worse than the plain vote: {', or '.join(remedies)}; "
        "compare them with MajorityLabelVoter's"
    )


def find_overruled_unanimity(
    counts: VoteCounts, mu: Floats, class_balance: Floats
) -> UnanimousVotesWarning | None:
    """Whether the fit would give examples another class than all their votes, where LFs never disagree."""
    if counts.rows.n_conflicting:
        return None
    k = counts.cardinality
    log_mu = np.log(mu).reshape(-1, k, k)
    for label in range(k):
        lfs = np.flatnonzero(counts.class_counts[:, label])
        others = np.delete(np.arange(k), label)
        gain = log_mu[lfs, label, label][:, None] - log_mu[lfs, label][:, others]
        alone = gain + np.log(class_balance[label]) - np.log(class_balance[others])
        turned = ((gain < 0) | (alone <= 0)).any(axis=1)
        if turned.any():
            return UnanimousVotesWarning(
                f"the LFs never disagree, but the fit takes votes of {_names(counts, lfs[turned])} for class "
                f"{label} as evidence against it, which the votes do not support; {_REPLACED}"
            )
    return None


def _silent(counts: VoteCounts) -> SilentLFWarning | None:
    if not counts.silent_lfs:
        return None
    return SilentLFWarning(f"these LFs never vote: {', '.join(counts.silent_lfs)}")


def _one_class(counts: VoteCounts) -> OneClassVotesWarning | None:
    voted = np.flatnonzero(counts.class_counts.sum(axis=0))
    if len(voted) != 1:
        return None
    n_votes = int(counts.class_counts.sum())
    return OneClassVotesWarning(
        f"all {n_votes} votes are for class {voted[0]}: nobody ever disagrees, so that the votes do not tell "
        f"how accurate an LF is; every example with a vote gets class {voted[0]}; check that the LFs return "
        "the classes they should, and add LFs that vote for the other classes"
    )


def _no_overlap(counts: VoteCounts) -> NoOverlapWarning | None:
    if counts.rows.n_overlapping > 1:
        return None
    found = "no example has" if counts.rows.n_overlapping == 0 else "only 1 example has"
    return NoOverlapWarning(
        f"{found} votes of two LFs ({counts.n_covered} of {counts.n_examples} have a vote): how accurate an "
        f"LF is can only be told from where others vote too; {_REPLACED}; add LFs that vote on the same "
        "examples"
    )


def _few_voters(counts: VoteCounts) -> FewVotersWarning | None:
    together = np.flatnonzero(counts.rows.overlap_counts)
    if len(together) >= MIN_LFS:
        return None
    return FewVotersWarning(
        f"only {_names(counts, together)} vote where another LF votes too, of {counts.n_lfs} LFs: with fewer "
        f"than {MIN_LFS} it cannot be told which one is right; {_REPLACED}; add LFs that vote on the same "
        "examples"
    )


def _no_agreement(counts: VoteCounts) -> NoAgreementWarning | None:
    if counts.rows.n_overlapping == 0 or any(len(count) for *_, count in _agreements(counts)):
        return None
    return NoAgreementWarning(
        f"no two LFs ever cast the same vote, on {counts.rows.n_overlapping} examples with votes of several: "
        f"it cannot be told who is right; {_REPLACED}, and examples whose votes tie stay undecided; check "
        "that all LFs number the classes alike"
    )


def _only_copies(counts: VoteCounts) -> CopiedLFsWarning | None:
    voting = np.flatnonzero(counts.class_counts.sum(axis=1))
    groups = _groups_of_copies(counts)
    if not groups or len(groups[0]) != len(voting) or counts.n_covered < _MIN_COPIED_VOTES:
        return None
    return CopiedLFsWarning(
        f"{_names(counts, voting)} cast the same votes on every example, as copies of one LF do: their "
        f"agreement does not tell how accurate they are; {_REPLACED}; keep one of them, and add other LFs"
    )


def _copies(counts: VoteCounts) -> CopiedLFsWarning | None:
    is_choice = (counts.class_counts > 0).sum(axis=1) > 1
    fewest = np.where(is_choice, _MIN_COPIED_CHOICES, _MIN_COPIED_VOTES)
    suspicious = counts.class_counts.sum(axis=1) >= fewest
    groups = [group for group in _groups_of_copies(counts) if suspicious[group[0]]]
    if not groups:
        return None
    shown = "; ".join(" = ".join(counts.lf_names[lf] for lf in group) for group in groups[:_NAMES])
    more = f"; and {len(groups) - _NAMES} more groups" if len(groups) > _NAMES else ""
    return CopiedLFsWarning(
        f"these LFs cast the same votes on every example: {shown}{more}; the model takes copies for "
        "independent voices that confirm each other, which makes labels worse and too sure: keep one of each"
    )


def _isolated(counts: VoteCounts) -> NoOverlapWarning | None:
    lfs = np.flatnonzero((counts.rows.overlap_counts == 0) & (counts.class_counts.sum(axis=1) > 0))
    if not len(lfs):
        return None
    return NoOverlapWarning(
        f"{_names(counts, lfs)} never vote where another LF votes too: the votes do not tell how accurate "
        "they are; each of their votes is taken to be right with probability prec_init"
    )


def _unvoted_classes(counts: VoteCounts) -> UnvotedClassWarning | None:
    unvoted = np.flatnonzero(counts.class_counts.sum(axis=0) == 0).tolist()
    if not unvoted:
        return None
    return UnvotedClassWarning(
        f"no LF ever votes for class(es) {unvoted}: what the model says of them comes from the class "
        "balance alone; add LFs that vote for them, or lower the number of classes"
    )


def _agreements(
    counts: VoteCounts, size: int = 2**22
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], Counts]]:
    """LFs i < j, class and number of the examples on which both vote it, in parts."""
    k, upper = counts.cardinality, counts.pairs.upper
    starts = upper.indptr
    first = 0
    while first < counts.pairs.d:
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + size, side="right")) - 1)
        rows = np.repeat(np.arange(first, last), np.diff(starts[first : last + 1]))
        columns = upper.indices[starts[first] : starts[last]].astype(np.int64)
        same = (rows % k == columns % k) & (rows != columns)
        rows, columns = rows[same], columns[same]
        yield rows // k, columns // k, rows % k, upper.data[starts[first] : starts[last]][same]
        first = last


def _groups_of_copies(counts: VoteCounts) -> list[list[int]]:
    """LFs that cast the same votes on every example, the first of each group in ascending order."""
    cast = counts.class_counts
    n_votes = cast.sum(axis=1)
    shared: dict[tuple[int, int], int] = {}
    for left, right, label, count in _agreements(counts):
        always = (count == cast[left, label]) & (count == cast[right, label])
        pairs = zip(left[always].tolist(), right[always].tolist(), count[always].tolist(), strict=True)
        for i, j, number in pairs:
            shared[i, j] = shared.get((i, j), 0) + number
    groups: dict[int, list[int]] = {}
    copied: set[int] = set()
    for (i, j), number in sorted(shared.items()):
        if number == n_votes[i] == n_votes[j] and i not in copied:
            groups.setdefault(i, [i]).append(j)
            copied.add(j)
    return list(groups.values())


def _names(counts: VoteCounts, lfs: npt.NDArray[np.intp]) -> str:
    """Names of LFs for a message; of many, the first ones."""
    shown = [f"'{counts.lf_names[lf]}'" for lf in lfs[:_NAMES]]
    more = f" and {len(lfs) - _NAMES} more" if len(lfs) > _NAMES else ""
    return ", ".join(shown) + more


def check_learnable(counts: VoteCounts, cardinality: int) -> None:
    """Refuse counts that the method cannot learn from."""
    if counts.cardinality != cardinality:
        message = f"L_train has cardinality {counts.cardinality}, cardinality={cardinality} passed in."
        raise LabelMatrixError(message)
    if counts.n_lfs < MIN_LFS:
        message = (
            f"L_train should have at least {MIN_LFS} labeling functions, got {counts.n_lfs} "
            f"({', '.join(counts.lf_names)}); with fewer, accuracies cannot be told from the overlaps: use "
            "MajorityLabelVoter"
        )
        raise LabelMatrixError(message)
    if counts.n_covered == 0:
        message = (
            f"L_train has no votes at all: its {counts.n_lfs} LFs vote on none of the {counts.n_examples} "
            "examples, nothing can be learned"
        )
        raise LabelMatrixError(message)

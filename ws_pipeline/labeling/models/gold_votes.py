"""Votes on examples with gold labels, which a label model is anchored on or judged by.

Legend: n examples, g of them with a gold label and a vote, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling.models.lift_em import GoldVotes
from ws_pipeline.labeling.votes.gold_counts import check_gold, count_joint
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN
from ws_pipeline.labeling.votes.vote_forms import covered_rows, dense_votes, read_votes
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns


def read_gold_votes(votes: Any, gold: Any, cardinality: int) -> GoldVotes:
    """Count the votes on examples with gold labels.

    Parameters
    ----------
    votes
        ``[n, m]`` votes in any form.
    gold
        ``[n]`` gold labels, -1 where unknown, or a dict of them by example id.
    cardinality
        Number of classes k.

    Raises
    ------
    LabelMatrixError
        Votes are patterns, whose examples are not known; not one gold label per row; or one that is no class.
    """
    if isinstance(votes, VotePatterns):
        message = "gold labels belong to examples, which vote patterns do not know; pass votes, or GoldVotes"
        raise LabelMatrixError(message)
    form = read_votes(votes, cardinality)
    labels = check_gold(gold, form.votes.shape[0], form.example_ids)
    known = np.flatnonzero((labels != ABSTAIN) & covered_rows(form))
    return count_gold_votes(dense_votes(form._replace(votes=form.votes[known])), labels[known], cardinality)


def count_gold_votes(votes: Any, gold: Any, cardinality: int) -> GoldVotes:
    """Count votes ``[g, m]`` together with the gold labels ``[g]`` of the same examples."""
    joint, class_counts = count_joint(votes, gold, cardinality)
    return GoldVotes(joint[:, 1:].astype(np.float64), class_counts.astype(np.float64))

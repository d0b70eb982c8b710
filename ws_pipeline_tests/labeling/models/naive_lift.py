"""The recipe of LiftDawidSkene as plain loops over sources, votes and classes: the oracle of its tests."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax


def naive_lift_dawid_skene(votes, k, members=None, gold=None, gold_weight=10):
    """Intercept ``[k]``, weights ``[m, k, k]`` and class balance ``[k]`` of votes ``[n, m]``."""
    votes = np.asarray(votes)
    covered = (votes >= 0).any(axis=1)
    anchors = (
        []
        if gold is None
        else [(row, y) for row, y in zip(votes[covered], gold[covered], strict=True) if y >= 0]
    )
    votes = votes[covered]
    m = votes.shape[1]
    counts = np.array([[np.sum(votes[:, j] == s) for s in range(k)] for j in range(m)], dtype=float)
    single, crowd = naive_kinds(counts)
    panel = not any(single[j] and counts[j].sum() for j in range(m))
    if members is None:
        members = [(0.75, 5, False), (1, 5, False)] if panel else [(0.75, 5, False)] if crowd else None
        members = members or [(0.5, 5, False), (0, 5, False), (0.5, 1, True)]
    added = np.zeros((m, k, k))
    for row, y in anchors:
        for j in range(m):
            if row[j] >= 0:
                added[j, row[j], y] += gold_weight
    gold_classes = gold_weight * np.bincount([y for _, y in anchors], minlength=k)
    n = len(votes) + gold_classes.sum()
    counts = counts + added.sum(axis=2)
    found = []
    for power, rounds, abstains in members:
        probs = softmax(np.log(3 * (k - 1)) * np.stack([(votes == s).sum(1) for s in range(k)], 1), axis=1)
        for _ in range(rounds):
            intercept, weights, balance = naive_round(
                votes, probs, counts, n, single, crowd, added, gold_classes, power, abstains
            )
            scores = np.array([naive_scores(row, intercept, weights) for row in votes])
            probs = softmax(scores, axis=1)
        found.append((intercept, weights, balance))
    return [np.mean([part[i] for part in found], axis=0) for i in range(3)]


def naive_kinds(counts):
    totals = counts.sum(axis=1)
    single = counts.max(axis=1) >= 0.98 * totals
    known = totals >= 10
    held = sum(totals[j] for j in range(len(totals)) if known[j] and not single[j])
    for j in np.flatnonzero(~known):
        single[j] = held < 0.5 * totals[known].sum()
    held = totals[~single].sum()
    crowd = np.count_nonzero(totals) >= 20 and held >= 0.5 * totals.sum()
    return (np.zeros(len(totals), dtype=bool) if crowd else single), crowd


def naive_scores(row, intercept, weights):
    return intercept + sum(
        (weights[j, vote] for j, vote in enumerate(row) if vote >= 0), np.zeros(len(intercept))
    )


def naive_round(votes, probs, counts, n, single, crowd, added, gold_classes, power, abstains):
    m, k = counts.shape
    expected = added.copy()
    for row, shares in zip(votes, probs, strict=True):
        for j in np.flatnonzero(row >= 0):
            expected[j, row[j]] += shares
    balance = (probs.sum(axis=0) + gold_classes + 10 / k) / (n + 10)
    choosers = [j for j in range(m) if not single[j]]
    right = sum(np.trace(expected[j]) for j in choosers)
    mean = (right + 15) / (sum(counts[j].sum() for j in choosers) + 20)
    weights, intercept = np.zeros((m, k, k)), power * np.log(balance)
    for j in range(m):
        total = counts[j].sum()
        if single[j]:
            posts = np.zeros((k, k))
            for s in range(k):
                odds = np.array([3 * (k - 1) * balance[y] if y == s else balance[y] for y in range(k)])
                posts[s] = (expected[j, s] + 50 * odds / odds.sum()) / (counts[j, s] + 50)
                weights[j, s] = np.log(posts[s] / balance)
        else:
            accuracy = (np.trace(expected[j]) + 10 * mean) / (total + 10)
            of_class = expected[j].sum(axis=0)
            for s in range(k):
                for y in range(k):
                    p = accuracy if s == y else (1 - accuracy) / (k - 1)
                    weights[j, s, y] = np.log((expected[j, s, y] + 10 * p) / (of_class[y] + 10))
                    if not crowd:
                        share = (of_class[y] + 200 * balance[y]) / (total + 200)
                        weights[j, s, y] += np.log(share / balance[y])
        weights[j][counts[j] == 0] = 0
        if abstains and single[j]:
            voted = sum(posts[s] * counts[j, s] for s in range(k))
            evidence = np.log(np.clip(1 - voted / (n * balance + 1), 0.01, 1))
            evidence = evidence - np.log(np.clip(1 - total / (n + 1), 0.01, 1))
            intercept = intercept + evidence
            weights[j][counts[j] > 0] -= evidence
    return intercept, weights, balance

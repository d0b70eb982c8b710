"""The recipe of LiftDawidSkene as plain loops over sources, votes and classes: the oracle of its tests."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax


def naive_lift_dawid_skene(votes, k, members=None, gold=None, gold_weight=10, known=None):
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
    shares = naive_discounts(votes, k)
    counts = counts + added.sum(axis=2)
    found = []
    for power, rounds, abstains in members:
        tallies = np.stack([(votes == s) @ shares for s in range(k)], 1)
        probs = softmax(np.log(3 * (k - 1)) * tallies, axis=1)
        for _ in range(rounds):
            intercept, weights, balance = naive_round(
                votes,
                probs,
                counts,
                n,
                single,
                crowd,
                added,
                gold_classes,
                power,
                abstains,
                shares,
                known or {},
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


def naive_discounts(votes, k):
    """What each source counts, by loops over pairs of sources."""
    n, m = votes.shape
    counts = np.array([[np.sum(votes[:, j] == s) for s in range(k)] for j in range(m)])
    totals = counts.sum(axis=1)
    alike, enough = np.zeros((m, m)), np.zeros((m, m), dtype=bool)
    for i in range(m):
        for j in range(m):
            shared = np.sum((votes[:, i] == votes[:, j]) & (votes[:, i] >= 0))
            single = max(counts[i]) >= 0.98 * totals[i] or max(counts[j]) >= 0.98 * totals[j]
            chance = sum(counts[i, s] * counts[j, s] for s in range(k)) / n
            most = max(totals[i], totals[j])
            enough[i, j] = shared >= (10 if single else 100)
            if i != j and most > chance:
                alike[i, j] = (shared - chance) / (most - chance)
    common = [naive_common(lf, alike, enough, totals) for lf in range(m)]
    copies = np.zeros((m, m))
    for i in range(m):
        for j in range(m):
            if i != j and enough[i, j]:
                explained = common[i] * common[j]
                beyond = np.clip((alike[i, j] - explained) / (1 - explained), 0, 1)
                copies[i, j] = np.clip((beyond - 0.5) / 0.4, 0, 1)
    found = np.ones(m)
    for j in range(m):
        mass = (totals[j] + copies[j] @ totals) / totals.sum()
        outside = 1 - (totals[j] + sum(totals[i] for i in range(m) if copies[j, i] > 0)) / totals.sum()
        strength = np.clip((mass - 0.15) / 0.15, 0, 1) * np.clip(outside / 0.1, 0, 1)
        found[j] = 1 / (1 + strength * copies[j].sum())
    return found


def naive_common(lf, alike, enough, totals):
    """What a source has in common with the class, as the sources unlike it tell."""
    m = len(totals)
    unlike = [j for j in range(m) if j != lf and totals[j] and not (enough[lf, j] and alike[lf, j] >= 0.5)]
    if len(unlike) < 2:
        return 0
    among = np.mean([alike[i, j] for i in unlike for j in unlike if i != j])
    if among <= 0.01:
        return 0
    return np.clip(np.mean([alike[lf, j] for j in unlike]) / np.sqrt(among), 0, 0.98)


def naive_round(  # noqa: C901  plain loops
    votes, probs, counts, n, single, crowd, added, gold_classes, power, abstains, shares, known
):
    m, k = counts.shape
    expected = added.copy()
    for row, of_classes in zip(votes, probs, strict=True):
        for j in np.flatnonzero(row >= 0):
            expected[j, row[j]] += of_classes
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
                if j in known:
                    posts[s] = (1 - known[j]) * balance / (1 - balance[s])
                    posts[s, s] = known[j]
                weights[j, s] = np.log(posts[s] / balance)
        else:
            accuracy = known.get(j, (np.trace(expected[j]) + 10 * mean) / (total + 10))
            of_class = expected[j].sum(axis=0)
            for s in range(k):
                for y in range(k):
                    p = accuracy if s == y else (1 - accuracy) / (k - 1)
                    weights[j, s, y] = np.log((expected[j, s, y] + 10 * p) / (of_class[y] + 10))
                    if j in known:
                        weights[j, s, y] = np.log(p)
                    if not crowd:
                        votes_of_class = (of_class[y] + 200 * balance[y]) / (total + 200)
                        weights[j, s, y] += np.log(votes_of_class / balance[y])
        weights[j][counts[j] == 0] = 0
        if abstains and single[j]:
            voted = sum(posts[s] * counts[j, s] for s in range(k))
            evidence = np.log(np.clip(1 - voted / (n * balance + 1), 0.01, 1))
            evidence = evidence - np.log(np.clip(1 - total / (n + 1), 0.01, 1))
            intercept = intercept + shares[j] * evidence
            weights[j][counts[j] > 0] -= evidence
        weights[j] *= shares[j]
    return intercept, weights, balance

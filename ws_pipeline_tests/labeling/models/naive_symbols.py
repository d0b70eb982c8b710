"""LiftDawidSkene on votes with scores and for superclasses, as plain loops: the oracle of its tests."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from ws_pipeline_tests.labeling.models.naive_lift import naive_kinds


def naive_with_symbols(groups, levels, sets, k, n_levels):
    """Intercept ``[k]`` and weights ``[m, G, L, k]`` of votes for groups ``[n, m]`` at levels ``[n, m]``.

    ``sets`` has the classes of each group.  All examples have votes, and no source copies another.
    """
    n, m = groups.shape
    counts = np.zeros((m, len(sets), n_levels))
    for row in range(n):
        for j in range(m):
            if groups[row, j] >= 0:
                counts[j, groups[row, j], levels[row, j]] += 1
    of_groups = counts.sum(axis=2)
    single, crowd = naive_kinds(of_groups)
    panel = not any(single[j] and of_groups[j].sum() for j in range(m))
    members = [(0.75, 5, False), (1, 5, False)] if panel else [(0.75, 5, False)] if crowd else None
    fitted = []
    for power, rounds, abstains in members or [(0.5, 5, False), (0, 5, False), (0.5, 1, True)]:
        assumed = np.zeros((m, len(sets), n_levels, k))
        for g, classes in enumerate(sets):
            assumed[:, g, :, list(classes)] = np.log(3 * (k - len(classes)) / len(classes))
        model = np.zeros(k), assumed
        for _ in range(rounds):
            probs = naive_probs(groups, levels, *model)
            model = naive_symbol_round(groups, levels, probs, counts, sets, (single, crowd), power, abstains)
        fitted.append(model)
    return [np.mean([part[i] for part in fitted], axis=0) for i in range(2)]


def naive_probs(groups, levels, intercept, weights):
    scores = []
    for row_groups, row_levels in zip(groups, levels, strict=True):
        score = intercept.copy()
        for j, (group, level) in enumerate(zip(row_groups, row_levels, strict=True)):
            if group >= 0:
                score = score + weights[j, group, level]
        scores.append(score)
    return softmax(np.array(scores), axis=1)


def naive_symbol_round(  # noqa: C901  plain loops
    groups, levels, probs, counts, sets, kinds, power, abstains
):
    (n, m), k, n_levels = groups.shape, probs.shape[1], counts.shape[2]
    single, crowd = kinds
    expected = np.zeros((m, len(sets), n_levels, k))
    for row in range(n):
        for j in range(m):
            if groups[row, j] >= 0:
                expected[j, groups[row, j], levels[row, j]] += probs[row]
    balance = (probs.sum(axis=0) + 10 / k) / (n + 10)
    choosers = [j for j in range(m) if not single[j]]
    right = {j: sum(expected[j, g, :, y].sum() for g, s in enumerate(sets) for y in s) for j in range(m)}
    mean = (sum(right[j] for j in choosers) + 15) / (sum(counts[j].sum() for j in choosers) + 20)
    intercept, weights = power * np.log(balance), np.zeros((m, len(sets), n_levels, k))
    for j in range(m):
        total, of_class = counts[j].sum(), expected[j].sum(axis=(0, 1))
        accuracy = (right[j] + 10 * mean) / (total + 10)
        voted = np.zeros(k)
        for g, classes in enumerate(sets):
            n_group, of_group = counts[j, g].sum(), expected[j, g].sum(axis=0)
            for y in range(k):
                n_right = sum(y in other for other in sets)
                if single[j]:
                    odds = [
                        balance[z] * (3 * (k - len(classes)) / len(classes) if z in classes else 1)
                        for z in range(k)
                    ]
                    post = (of_group[y] + 50 * odds[y] / sum(odds)) / (n_group + 50)
                    voted[y] += post * n_group
                    weight = np.log(post / balance[y])
                else:
                    p = accuracy / n_right if y in classes else (1 - accuracy) / (len(sets) - n_right)
                    weight = np.log((of_group[y] + 10 * p) / (of_class[y] + 10))
                    if not crowd:
                        weight += np.log((of_class[y] + 200 * balance[y]) / (total + 200) / balance[y])
                for level in range(n_levels):
                    share = counts[j, g, level] / n_group if n_group else 0
                    weights[j, g, level, y] = weight if n_group else 0
                    if share:
                        given_class = (expected[j, g, level, y] + 10 * share) / (of_group[y] + 10)
                        weights[j, g, level, y] += np.log(given_class / share)
        if abstains and single[j]:
            evidence = np.log(np.clip(1 - voted / (n * balance + 1), 0.01, 1))
            evidence = evidence - np.log(np.clip(1 - total / (n + 1), 0.01, 1))
            intercept = intercept + evidence
            weights[j][counts[j].sum(axis=1) > 0] -= evidence
    return intercept, weights

"""Splits by a hash of the ids."""

from __future__ import annotations

from collections import Counter

import pytest

from ws_pipeline.errors import SettingsError
from ws_pipeline.importing.splits import assign_splits, parse_shares, unit_hash

IDS = [f"example {number}" for number in range(4000)]


def test_shares_are_kept_and_an_example_keeps_its_split_among_others():
    splits, said = assign_splits(IDS, (), (0.8, 0.1, 0.1))
    counts = Counter(splits.to_pylist())
    assert counts["train"] == pytest.approx(3200, abs=100)
    assert counts["valid"] == pytest.approx(400, abs=80)
    assert counts["test"] == pytest.approx(400, abs=80)
    assert said == "shares 0.8, 0.1, 0.1 by a hash of the ids"
    alone, _ = assign_splits(IDS[::-7], (), (0.8, 0.1, 0.1))
    assert alone.to_pylist() == splits.to_pylist()[::-7]


def test_without_shares_gold_is_divided_and_the_others_train():
    gold = set(IDS[:1000])
    splits, _ = assign_splits(IDS, gold, None)
    counts = Counter(splits.to_pylist())
    assert counts["train"] == 3000
    assert set(splits.to_pylist()[:1000]) == {"valid", "test"}
    assert counts["valid"] == pytest.approx(500, abs=80)


def test_the_hash_is_the_same_on_every_machine():
    assert [round(unit_hash(name), 6) for name in ("a", "é")] == [0.26259, 0.989052]


def test_a_share_of_nothing_leaves_a_split_empty():
    splits, _ = assign_splits(IDS, (), (0.0, 0.0, 1.0))
    assert set(splits.to_pylist()) == {"test"}


@pytest.mark.parametrize("text", ["1", "0.5,0.5", "0.5,0.4,0.2", "-0.1,0.6,0.5", "a,b,c", "nan,1,0", ""])
def test_what_are_no_three_shares_is_refused(text):
    with pytest.raises(SettingsError, match=f"that sum to 1, such as 0.8,0.1,0.1, got '{text}'"):
        parse_shares(text)

"""Splits of examples that have none, by a hash of their ids: the same ids always get the same splits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import blake2b

import pyarrow as pa

from ws_pipeline.errors import SettingsError
from ws_pipeline.example_index import SPLITS

TRAIN, VALID, TEST = SPLITS


def parse_shares(text: str) -> tuple[float, ...]:
    """Three shares, of train, valid and test, from text such as ``0.8,0.1,0.1``.

    Raises
    ------
    SettingsError
        They are not three numbers from 0 to 1 that sum to 1.
    """
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if (
        len(shares) != len(SPLITS)
        or not all(0 <= share <= 1 for share in shares)
        or abs(sum(shares) - 1) > 1e-6
    ):
        message = (
            f"--splits: expected three shares of {', '.join(SPLITS)} that sum to 1, such as 0.8,0.1,0.1, "
            f"got '{text}'"
        )
        raise SettingsError(message)
    return shares


def assign_splits(
    ids: Sequence[str], gold: Collection[str], shares: Sequence[float] | None
) -> tuple[pa.Array, str]:
    """The split of each example, and how they were assigned in words.

    Parameters
    ----------
    ids
        ``[n]`` example ids.
    gold
        Ids of the examples with a gold label.
    shares
        Of train, valid and test.  Default: the examples with gold are divided between valid and test, all
        others are in train.
    """
    if shares is None:
        splits = [TRAIN if name not in gold else VALID if unit_hash(name) < 0.5 else TEST for name in ids]
        said = "examples with gold are divided between valid and test, all others are in train"
        return pa.array(splits, pa.string()), said
    train, valid, _ = shares
    splits = [_split_at(unit_hash(name), train, valid) for name in ids]
    said = f"shares {', '.join(f'{share:g}' for share in shares)} by a hash of the ids"
    return pa.array(splits, pa.string()), said


def _split_at(place: float, train: float, valid: float) -> str:
    """The split in whose part of 0 to 1 a place is."""
    return TRAIN if place < train else VALID if place < train + valid else TEST


def unit_hash(name: str) -> float:
    """A number from 0 to below 1 that depends on the text alone, on every machine."""
    return int.from_bytes(blake2b(name.encode(), digest_size=6).digest(), "big") / 2**48

"""Augmentation policies: which transformation functions to apply to a data point, in which order.

A policy that draws has a generator of its own: the same seed gives the same sequences, and numpy's global
random state is neither read nor changed.

Legend: t transformation functions (TFs), numbered 0..t-1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ws_pipeline.array_types import Floats
from ws_pipeline.errors import InvalidInputError

Seed = int | np.random.Generator


class Policy:
    """Gives each data point some sequences of TFs.

    Subclasses implement ``generate``, or ``generate_for_example`` itself.

    Parameters
    ----------
    n_tfs
        Number of TFs t.
    n_per_original
        Number of changed copies of each data point.
    keep_original
        Keep the data point itself, too.

    Attributes
    ----------
    n
        Number of TFs t.
    n_per_original, keep_original
        See above.

    Raises
    ------
    InvalidInputError
        A number is below 0, or there is no TF.
    """

    def __init__(self, n_tfs: int, n_per_original: int = 1, keep_original: bool = True) -> None:
        if n_tfs < 1 or n_per_original < 0:
            message = (
                f"a policy needs at least 1 TF and no negative number of copies, got n_tfs={n_tfs} and "
                f"n_per_original={n_per_original}"
            )
            raise InvalidInputError(message)
        self.n = n_tfs
        self.n_per_original = n_per_original
        self.keep_original = keep_original

    def generate_for_example(self) -> list[list[int]]:
        """List the sequences of one data point: an empty one for the original, and those of the copies."""
        original: list[list[int]] = [[]] if self.keep_original else []
        return original + [self.generate() for _ in range(self.n_per_original)]

    def generate(self) -> list[int]:
        """Give the TFs of one copy, in the order they are applied."""
        raise NotImplementedError


class ApplyAllPolicy(Policy):
    """All TFs, in order.

    Parameters
    ----------
    n_tfs, n_per_original, keep_original
        As for :class:`Policy`.

    Examples
    --------
    >>> ApplyAllPolicy(3, n_per_original=2).generate_for_example()
    [[], [0, 1, 2], [0, 1, 2]]
    """

    def generate(self) -> list[int]:
        """Give all TFs."""
        return list(range(self.n))


class ApplyOnePolicy(ApplyAllPolicy):
    """The only TF.

    Parameters
    ----------
    n_per_original, keep_original
        As for :class:`Policy`.
    """

    def __init__(self, n_per_original: int = 1, keep_original: bool = True) -> None:
        super().__init__(1, n_per_original, keep_original)


class ApplyEachPolicy(Policy):
    """A copy for each TF.

    Parameters
    ----------
    n_tfs, keep_original
        As for :class:`Policy`.

    Examples
    --------
    >>> ApplyEachPolicy(3, keep_original=False).generate_for_example()
    [[0], [1], [2]]
    """

    def __init__(self, n_tfs: int, keep_original: bool = True) -> None:
        super().__init__(n_tfs, n_per_original=n_tfs, keep_original=keep_original)

    def generate_for_example(self) -> list[list[int]]:
        """List the sequences of one data point."""
        original: list[list[int]] = [[]] if self.keep_original else []
        return original + [[tf] for tf in range(self.n)]

    def generate(self) -> list[int]:
        """Refuse: which TF is next depends on the copies made before."""
        message = "ApplyEachPolicy makes the sequences of a data point together: call generate_for_example"
        raise InvalidInputError(message)


class MeanFieldPolicy(Policy):
    """TFs drawn one by one from a distribution, with replacement.

    Parameters
    ----------
    n_tfs
        Number of TFs t.
    sequence_length
        Number of TFs per copy.
    p
        ``[t]`` probabilities of the TFs, sum to 1.  Default: all the same.
    n_per_original, keep_original
        As for :class:`Policy`.
    seed
        Of a generator of its own, or a generator to draw from.  Later calls draw further numbers.

    Attributes
    ----------
    sequence_length
        See above.

    Raises
    ------
    InvalidInputError
        As for :class:`Policy`, the sequence length is below 0, or ``p`` is no distribution over the TFs.
    """

    def __init__(
        self,
        n_tfs: int,
        sequence_length: int = 1,
        p: Sequence[float] | None = None,
        n_per_original: int = 1,
        keep_original: bool = True,
        *,
        seed: Seed = 0,
    ) -> None:
        super().__init__(n_tfs, n_per_original, keep_original)
        if sequence_length < 0:
            message = f"sequence_length must be at least 0, got {sequence_length}"
            raise InvalidInputError(message)
        self.sequence_length = sequence_length
        self._p = None if p is None else _check_distribution(p, n_tfs)
        self._rng = np.random.default_rng(seed)

    def generate(self) -> list[int]:
        """Draw the TFs of one copy."""
        drawn: list[int] = self._rng.choice(self.n, size=self.sequence_length, p=self._p).tolist()
        return drawn


class RandomPolicy(MeanFieldPolicy):
    """TFs drawn one by one, all equally likely, with replacement.

    Parameters
    ----------
    n_tfs, sequence_length, n_per_original, keep_original, seed
        As for :class:`MeanFieldPolicy`.
    """

    def __init__(
        self,
        n_tfs: int,
        sequence_length: int = 1,
        n_per_original: int = 1,
        keep_original: bool = True,
        *,
        seed: Seed = 0,
    ) -> None:
        super().__init__(n_tfs, sequence_length, None, n_per_original, keep_original, seed=seed)


def _check_distribution(p: Sequence[float], n_tfs: int) -> Floats:
    shares: Floats = np.asarray(p, dtype=np.float64)
    if shares.shape != (n_tfs,) or not (shares >= 0).all() or not np.isclose(shares.sum(), 1):
        message = f"p must have {n_tfs} probabilities that sum to 1, one per TF, got {shares.tolist()}"
        raise InvalidInputError(message)
    return np.asarray(shares / shares.sum())

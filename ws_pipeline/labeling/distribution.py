"""Class balances given by callers, checked; a class may have no share here."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.errors import ClassBalanceError


def check_distribution(balance: Any, cardinality: int) -> npt.NDArray[np.float64]:
    """Return a class balance as an array ``[k]``.

    Raises
    ------
    ClassBalanceError
        Not k entries, a negative or non-finite one, or a sum that is not 1 (to 1e-6).
    """
    shares = np.array(balance, dtype=np.float64)
    if shares.shape != (cardinality,):
        message = (
            f"class_balance has {shares.size} entries. Does not match cardinality {cardinality}: "
            f"expected shape [{cardinality}], got {list(shares.shape)}"
        )
        raise ClassBalanceError(message)
    if not (np.isfinite(shares).all() and shares.min() >= 0 and abs(shares.sum() - 1) <= 1e-6):
        message = (
            f"class_balance must be shares of at least 0 that sum to 1, got {shares.tolist()}; "
            "divide it by its sum if these are counts"
        )
        raise ClassBalanceError(message)
    return shares

"""Names of the arrays that nearly everything is made of; their shapes are in the docstrings."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.int64]
"""Classes 0..k-1, or -1 where there is none."""
Mask: TypeAlias = npt.NDArray[np.bool_]

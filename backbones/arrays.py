"""Names for the array types of the contracts."""

from collections.abc import Sequence
from typing import SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float32]
IntArray: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = IntArray | Sequence[SupportsIndex]
"""Indices as a caller may give them."""

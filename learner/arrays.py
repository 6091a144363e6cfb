"""The array types the learner speaks: fp32 features and scores, fp64 statistics, integer labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]
Tensors = dict[str, NDArray[Any]]

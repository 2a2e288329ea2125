# Only what the router uses of soxr 1.1, which tells no types.
import numpy as np
from numpy.typing import NDArray

def resample(x: NDArray[np.float32], in_rate: float, out_rate: float) -> NDArray[np.float32]: ...

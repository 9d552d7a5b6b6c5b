"""What a sensor model looks at instead of samples. One function a name; `FEATURES` maps the config's names to them.

log-bands: per axis the mean removed, a Hann window, |rfft|², the mean of each of 64 bands of equal width from bin 2 to the last, plus 1e-6,
natural logarithm. The first two bins hold what drifts (and what the window spreads of the mean). Everything in float64, the result float32.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BANDS = 64
_FIRST_BIN = 2
# rfft of n samples has n // 2 + 1 bins; each band needs one.
LOG_BANDS_LEAST_SAMPLES = 2 * (BANDS + _FIRST_BIN - 1)


def log_bands(samples: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """samples: (n, axes) in the stream's unit, n ≥ 130 → (axes, 64) float32. ValueError when there are too few samples."""
    import numpy as np

    count = len(samples)
    if count < LOG_BANDS_LEAST_SAMPLES:
        raise ValueError(f"log-bands needs {LOG_BANDS_LEAST_SAMPLES} samples, there are {count}")
    signal = np.asarray(samples, np.float64)
    signal = (signal - signal.mean(axis=0)) * np.hanning(count)[:, None]
    power = np.abs(np.fft.rfft(signal, axis=0)) ** 2
    edges = _FIRST_BIN + np.arange(BANDS + 1) * (len(power) - _FIRST_BIN) // BANDS
    sums = np.add.reduceat(power, edges[:-1], axis=0)
    means = sums / np.diff(edges)[:, None]
    return np.ascontiguousarray(np.log(means + 1e-6).T.astype(np.float32))


Features = Callable[["NDArray[np.float32]"], "NDArray[np.float32]"]

FEATURES: dict[str, Features] = {"log-bands": log_bands}
LEAST_SAMPLES = {"log-bands": LOG_BANDS_LEAST_SAMPLES}

"""log-bands against its definition written out slowly, and against signals whose bands are known."""

import math

import numpy as np
import pytest

from agent.windows.features import log_bands


def slow_log_bands(samples: np.ndarray) -> np.ndarray:
    """The definition, band by band, with a plain Fourier sum."""
    count, axes = samples.shape
    window = [0.5 - 0.5 * math.cos(2 * math.pi * i / (count - 1)) for i in range(count)]
    bins = count // 2 + 1
    edges = [2 + band * (bins - 2) // 64 for band in range(65)]
    result = np.zeros((axes, 64))
    place = np.arange(count)
    for axis in range(axes):
        signal = (samples[:, axis] - samples[:, axis].mean()) * window
        power = [abs(np.sum(signal * np.exp(-2j * np.pi * k * place / count))) ** 2 for k in range(bins)]
        for band in range(64):
            inside = power[edges[band] : edges[band + 1]]
            result[axis, band] = math.log(sum(inside) / len(inside) + 1e-6)
    return result


@pytest.mark.parametrize("count", [130, 131, 256])
def test_follows_its_definition(count: int) -> None:
    samples = np.random.default_rng(count).normal(size=(count, 2)).astype(np.float32)
    assert log_bands(samples) == pytest.approx(slow_log_bands(samples), abs=1e-4)


def test_a_tone_stands_in_its_band_and_no_offset_moves_it() -> None:
    time_s = np.arange(1024) / 1000
    tone = np.sin(2 * np.pi * 250 * time_s)
    bands = log_bands(np.stack([tone, tone + 9.8, 10 * tone], axis=1).astype(np.float32))
    assert bands.shape == (3, 64)
    assert bands.dtype == np.float32
    expected = (250 * 1.024 - 2) / (511 / 64)  # band of the bin
    assert bands.argmax(axis=1).tolist() == [int(expected)] * 3
    assert bands[1].max() == pytest.approx(bands[0].max(), abs=1e-3)
    assert bands[2].max() - bands[0].max() == pytest.approx(math.log(100), abs=1e-3)


def test_silence_is_the_floor() -> None:
    assert log_bands(np.full((130, 1), 5, np.float32)) == pytest.approx(math.log(1e-6))


def test_too_few_samples() -> None:
    with pytest.raises(ValueError, match="needs 130 samples, there are 129"):
        log_bands(np.zeros((129, 1), np.float32))

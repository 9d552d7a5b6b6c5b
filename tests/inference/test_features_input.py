"""Windows of a sensor → a model's input, of every type and shape."""

import numpy as np
import pytest

from agent.inference import Tensor
from agent.inference.features_input import FeaturesInput, dequantise
from agent.inference.metadata import Normalisation
from agent.problems import Exit, Problem

RNG = np.random.default_rng(3)


def tensor(shape: tuple[int, ...], dtype: str = "float32", scale: float = 0.0, zero_point: int = 0) -> Tensor:
    return Tensor(name="window", shape=shape, dtype=dtype, scale=scale, zero_point=zero_point)


@pytest.mark.parametrize("shape", [(1, 12), (1, 4, 3), (4, 3), (1, 4, 3, 1), (1, 1, 4, 3)])
@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"),
    [
        ("float32", 0.0, 0),
        ("float16", 0.0, 0),
        ("int8", 0.05, -7),
        ("uint8", 0.05, 130),
        ("int16", 5 / 32767, 0),
        ("int32", 0.0, 0),
    ],
)
def test_numbers_go_in_as_they_are_meant(shape: tuple[int, ...], dtype: str, scale: float, zero_point: int) -> None:
    window = RNG.normal(size=(4, 3)).astype(np.float32)
    into = tensor(shape, dtype, scale, zero_point)
    array = np.zeros(shape, dtype)
    features = FeaturesInput(into, array, where="m")
    rows = features.rows(window)
    assert rows.shape == (1, 12)
    features.fill(rows[0])
    step = scale or {"float32": 1e-7, "float16": 2e-3, "int32": 1.0}[dtype]
    np.testing.assert_allclose(dequantise(array, into).ravel(), window.ravel(), atol=0.51 * step)


def test_what_does_not_fit_the_range_is_clipped() -> None:
    array = np.zeros((1, 3), np.int8)
    FeaturesInput(tensor((1, 3), "int8", 0.5, 0), array, where="m").fill(np.array([-1e9, 0.2, 1e9], np.float32))
    assert array.tolist() == [[-128, 0, 127]]


def test_an_input_of_one_axis_is_run_once_an_axis_and_normalised_by_band() -> None:
    features = FeaturesInput(
        tensor((1, 4)),
        np.zeros((1, 4), np.float32),
        normalisation=Normalisation(mean=(1, 2, 3, 4), std=(2,)),
        where="m",
    )
    rows = features.rows(np.array([[1, 2, 3, 4], [3, 4, 5, 6]], np.float32))
    assert rows.tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("into", "said"),
    [
        (tensor((1, 96, 96, 3)), "1×96×96×3 float32, an image"),
        (tensor((1, 3, 96, 96)), "an image"),
        (tensor((1, 12), "int64"), "int64"),
    ],
)
def test_what_takes_no_window_is_a_problem(into: Tensor, said: str) -> None:
    with pytest.raises(Problem, match=said) as caught:
        FeaturesInput(into, np.zeros(into.shape, into.dtype), where="m")
    assert caught.value.code == Exit.MODEL


def test_a_window_of_another_size_names_both() -> None:
    features = FeaturesInput(tensor((1, 12)), np.zeros((1, 12), np.float32), where="m")
    with pytest.raises(Problem, match=r"\(12 numbers\), a window of this lane is 5×3 \(15 numbers\)"):
        features.rows(np.zeros((5, 3), np.float32))


def test_counts_of_mean_and_std_that_fit_nothing() -> None:
    with pytest.raises(Problem, match="2 values of std for an input of 12"):
        FeaturesInput(
            tensor((1, 12)),
            np.zeros((1, 12), np.float32),
            normalisation=Normalisation(mean=(0,), std=(1, 2)),
            where="m",
        )

"""Models that rescale their input inside want pixels as they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.graph_models import TensorSpec, graph_model
from peers.tiny_models import one_op

from agent.inference.metadata import Normalisation
from agent.inference.rescaling import input_normalisation

RAW = Normalisation(mean=(0.0,), std=(1.0,))
PICTURE = (1, 8, 8, 3)
Step = tuple[str, Any]


def chain(*steps: Step, dtype: str = "float32", half: bool = False) -> bytes:
    """A picture goes through one op after another, each with a constant, or None. half: constants are float16, made float32 by an op."""
    tensors = [TensorSpec("x", PICTURE, dtype)]
    nodes: list[tuple[str, list[int], list[int]]] = []
    at = 0
    for operator, constant in steps:
        given = [at]
        if constant is not None:
            values = np.atleast_1d(np.float32(constant))
            tensors.append(TensorSpec("constant", values.shape, "float16" if half else "float32", values))
            if half:
                tensors.append(TensorSpec("widened", values.shape))
                nodes.append(("DEQUANTIZE", [len(tensors) - 2], [len(tensors) - 1]))
            given.append(len(tensors) - 1)
        tensors.append(TensorSpec("y", PICTURE))
        at = len(tensors) - 1
        nodes.append((operator, given, [at]))
    return graph_model(tensors, nodes, inputs=[0], outputs=[at])


def convolved(
    largest: float, *, dtype: str = "float32", scales: tuple[float, ...] = (), first: str = "PAD", dead: int = 0
) -> bytes:
    """first, then a convolution whose weights are up to `largest`, but in `dead` of its four channels."""
    weights = np.random.default_rng(7).uniform(-1, 1, (4, 3, 3, 3)) * largest
    weights[:dead] *= 1e-8
    if scales:
        weights = np.rint(weights / np.reshape(scales, (-1, 1, 1, 1)))
    return graph_model(
        [
            TensorSpec("x", PICTURE),
            TensorSpec("padded", PICTURE),
            TensorSpec("w", (4, 3, 3, 3), dtype, weights, scales=scales),
            TensorSpec("y", PICTURE),
        ],
        [(first, [0], [1]), ("CONV_2D", [1, 2], [3])],
        inputs=[0],
        outputs=[3],
    )


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    "steps",
    [
        [("MUL", 1 / 127.5), ("ADD", -1.0)],
        [("MUL", 1 / 255)],
        [("DIV", 255.0)],
        [("SUB", 127.5), ("DIV", 127.5)],
        [("SUB", (103.9, 116.8, 123.7))],
        [("MUL", 1 / 255), ("SUB", (0.485, 0.456, 0.406)), ("MUL", (4.37, 4.46, 4.44))],
        [("CAST", None), ("TRANSPOSE", None), ("PAD", None), ("MUL", 1 / 255), ("CONV_2D", None)],
        [("SUB", (127.5,) * 3), ("MUL", 1 / 128), ("CONV_2D", None)],
    ],
)
def test_pixels_are_rescaled_inside(steps: list[Step], half: bool) -> None:
    model = chain(*steps, half=half)
    assert input_normalisation(model) == RAW


@pytest.mark.parametrize(
    "steps",
    [
        [("MUL", 2.0), ("SUB", 1.0)],
        [("SUB", (0.485, 0.456, 0.406)), ("DIV", (0.229, 0.224, 0.225))],
        [("RELU", None), ("MUL", 1 / 255)],
        [("MUL", (1 / 255, 1 / 255))],
        [("MUL", 0.0)],
        [("RELU", None)],
    ],
)
def test_other_beginnings_show_nothing(steps: list[Step]) -> None:
    assert input_normalisation(chain(*steps)) is None


def test_integers_say_it_by_their_quantisation() -> None:
    assert input_normalisation(chain(("MUL", 1 / 255), dtype="uint8")) is None


@pytest.mark.parametrize(
    ("scale", "zero_point", "wanted"),
    [
        (1.0, -128, RAW),
        (0.97, -128, RAW),
        (1 / 255, -128, Normalisation(mean=(0.0,), std=(255.0,))),
        (2 / 255, 0, Normalisation(mean=(127.5,), std=(127.5,))),
        (4.8 / 255, -14, None),
    ],
)
def test_a_float_input_that_is_quantised_first(scale: float, zero_point: int, wanted: Normalisation | None) -> None:
    model = graph_model(
        [TensorSpec("x", PICTURE), TensorSpec("q", PICTURE, "int8", scales=(scale,), zero_points=(zero_point,))],
        [("QUANTIZE", [0], [1])],
        inputs=[0],
        outputs=[1],
    )
    assert input_normalisation(model) == wanted


def test_folded_into_the_first_convolution() -> None:
    assert input_normalisation(convolved(0.5 / 255)) == RAW
    assert input_normalisation(convolved(5.0 / 255, dtype="float16")) == RAW
    assert input_normalisation(convolved(0.5 / 255, dtype="int8", scales=(1e-5, 2e-5, 3e-5, 4e-5))) == RAW
    for largest in (0.2, 1.0, 20.0):
        assert input_normalisation(convolved(largest)) is None
    assert input_normalisation(convolved(0.5 / 255, first="RELU")) is None
    assert input_normalisation(convolved(1.0, dead=3)) is None  # channels that died in training
    assert input_normalisation(convolved(0.5 / 255, dead=3)) == RAW


def test_no_picture() -> None:
    assert input_normalisation(one_op("RELU", (1, 3))) is None
    assert input_normalisation(chain(("MUL", 1 / 255)), index=1) is None
    assert input_normalisation(b"") is None


def test_the_input_is_found_by_its_name_in_the_signature_or_the_graph() -> None:
    model = graph_model(
        [
            TensorSpec("mask:0", PICTURE),
            TensorSpec("picture:0", PICTURE),
            TensorSpec("k", (1,), data=[1 / 255]),
            TensorSpec("y", PICTURE),
        ],
        [("MUL", [1, 2], [3])],
        inputs=[0, 1],
        outputs=[3],
        signatures=[("serve", {"mask": 0, "picture": 1}, {"y": 3})],
    )
    assert input_normalisation(model) is None
    assert input_normalisation(model, index=1) == RAW
    assert input_normalisation(model, name="picture:0") == RAW
    assert input_normalisation(model, name="picture", signature="serve") == RAW
    assert input_normalisation(model, index=1, name="mask") is None


def test_publishers_models_are_taken_as_they_are(testdata: Path) -> None:
    for path in sorted((testdata / "models").glob("*.tflite")):
        assert input_normalisation(path.read_bytes()) is None, path.name

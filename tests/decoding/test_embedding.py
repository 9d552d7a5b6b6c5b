"""Vectors that stand for a picture."""

import numpy as np
import pytest

from agent.decoding import Options, Shape, Sure, embedding
from agent.problems import Exit, Problem
from agent.records import Placement

IMAGE = (Shape(name="in", shape=(1, 32, 32, 3), dtype="uint8", scale=0.0, zero_point=0),)


def output(
    count: int, name: str = "out", dtype: str = "float32", scale: float = 0.0, zero_point: int = 0, said: str = ""
):
    return Shape(name=name, shape=(1, count), dtype=dtype, scale=scale, zero_point=zero_point, said=said)


def test_the_vector_as_the_model_gives_it() -> None:
    decoder = embedding.open_decoder(IMAGE, (output(4),), Options(), "m")
    values = np.array([[3, 0, -4, 0]], np.float32)
    found = decoder.decode([values], Placement())
    values[:] = 9
    assert (found.labels, found.scores.tolist(), decoder.gives) == (("embedding",), [1.0], "vector")
    assert found.vectors is not None
    assert found.vectors.dtype == np.float32
    assert found.vectors.tolist() == [[3, 0, -4, 0]]


def test_quantised_and_of_more_axes() -> None:
    shape = Shape(name="out", shape=(1, 1, 1, 3), dtype="int8", scale=0.5, zero_point=-2)
    decoder = embedding.open_decoder(IMAGE, (shape,), Options(), "m")
    found = decoder.decode([np.array([[[[-2, 0, 127]]]], np.int8)], Placement())
    assert found.vectors is not None
    assert found.vectors.tolist() == [[0, 1, 64.5]]


@pytest.mark.filterwarnings("error")
def test_no_vector_where_a_number_is_none() -> None:
    decoder = embedding.open_decoder(IMAGE, (output(3),), Options(), "m")
    found = decoder.decode([np.array([[1, np.nan, 2]], np.float32)], Placement())
    assert (len(found), found.vectors.shape) == (0, (0, 3))  # type: ignore[union-attr]


def test_of_several_outputs_the_one_named_as_features() -> None:
    outputs = (output(10, "logits"), output(4, "StatefulPartitionedCall:1", said="feature_vector"))
    decoder = embedding.open_decoder(IMAGE, outputs, Options(), "m")
    values = [np.zeros((1, 10), np.float32), np.ones((1, 4), np.float32)]
    assert decoder.decode(values, Placement()).vectors.tolist() == [[1, 1, 1, 1]]  # type: ignore[union-attr]
    with pytest.raises(Problem, match="do not say which one") as caught:
        embedding.open_decoder(IMAGE, (output(10), output(4)), Options(), "m")
    assert (caught.value.code, caught.value.where) == (Exit.MODEL, "m.decoder")


def test_it_is_never_sure() -> None:
    for shape in (output(192, "embeddings"), output(1280)):
        claim = embedding.claims(IMAGE, (shape,), Options())
        assert claim is not None
        assert claim.sure == Sure.POSSIBLE
    for shape in (output(1001), output(1280, "softmax"), output(1280, dtype="uint8", scale=1 / 256)):
        assert embedding.claims(IMAGE, (shape,), Options()) is None
    assert embedding.claims(IMAGE, (output(192, "embeddings"),), Options(labels=("a", "b"))) is None

"""Inputs that always get what the config says."""

import numpy as np
import pytest
from peers.tiny_models import graph, model, operator, tensor

from agent.inference.fixed import Fixed
from agent.inference.interpreter import open_session
from agent.problems import Exit, Problem


def adding(dtype: str = "float32", **quantised: float) -> bytes:
    """sum = given + offset, both (1, 3)."""
    names = ("given", "offset", "sum")
    tensors = [tensor(name, (1, 3), dtype, **quantised) for name in names]
    return model([graph(tensors, [operator("ADD", [0, 1], [2])], inputs=[0, 1], outputs=[2])])


def test_one_number_fills_it_and_it_is_hidden() -> None:
    with open_session(adding(), where="m") as inner:
        session = Fixed(inner, {"offset": 0.5}, "m")
        assert [one.name for one in session.inputs] == ["given"]
        for given in (1.0, 2.0):
            session.input_array(0)[...] = given
            np.testing.assert_allclose(session.run()[0], [[given + 0.5] * 3])
        inner.input_array(1)[...] = 9
        session.input_array(0)[...] = 1.0
        np.testing.assert_allclose(session.run()[0], [[1.5] * 3], err_msg="it is written before each run")


def test_a_number_for_each() -> None:
    with open_session(adding(), where="m") as inner:
        session = Fixed(inner, {"offset": (1, 2, 3)}, "m")
        session.input_array(0)[...] = 0
        np.testing.assert_allclose(session.run()[0], [[1, 2, 3]])


def test_real_numbers_are_quantised() -> None:
    with open_session(adding("int8", scale=0.5, zero_point=-3), where="m") as inner:
        session = Fixed(inner, {"offset": 2.0}, "m")
        session.input_array(0)[...] = -3 + 2  # 1.0
        np.testing.assert_array_equal(session.run()[0], [[3, 3, 3]])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"offest": 1.0}, "no input 'offest'; it has 'given' 1×3 float32, 'offset' 1×3 float32"),
        ({"offset": (1.0, 2.0)}, "3 numbers, not 2"),
    ],
)
def test_what_does_not_fit_is_said(given: dict, said: str) -> None:
    with open_session(adding(), where="m") as inner, pytest.raises(Problem) as found:
        Fixed(inner, given, "m")
    assert said in found.value.what
    assert (found.value.where, found.value.code) == ("m.inputs", Exit.MODEL)


def test_a_number_that_an_integer_cannot_hold() -> None:
    model_of_bytes = adding("int8", scale=0.5, zero_point=-3)
    with open_session(model_of_bytes, where="m") as inner, pytest.raises(Problem, match="cannot hold 1000"):
        Fixed(inner, {"offset": 1000.0}, "m")

"""Recurrent models: which output is fed back to which input, and that it is."""

import msgspec
import numpy as np
import pytest
from peers.tiny_models import graph, model, operator, recurrent, remembering, tensor

from agent.inference import Tensor
from agent.inference.interpreter import open_session
from agent.inference.state import Stateful, find_state
from agent.problems import Exit, Problem

IMAGE = (1, 8, 8, 3)


def listed(*tensors: tuple[str, tuple[int, ...]], dtype: str = "float32") -> tuple[Tensor, ...]:
    return tuple(Tensor(name=name, shape=shape, dtype=dtype, scale=0.0, zero_point=0) for name, shape in tensors)


@pytest.mark.parametrize(
    ("inputs", "outputs", "wanted"),
    [
        # One of its shape: no name is needed.
        ([("a", IMAGE), ("b", (1, 5))], [("c", (1, 9)), ("d", (1, 5))], ((1, 1),)),
        # An LSTM detector: two states of one shape.
        (
            [("normalized_image", IMAGE), ("raw_inputs/init_lstm_c", (1, 2, 2, 8)), ("raw_inputs/init_lstm_h", (1, 2, 2, 8))],
            [("boxes", (1, 9, 4)), ("raw_outputs/lstm_h", (1, 2, 2, 8)), ("raw_outputs/lstm_c", (1, 2, 2, 8))],
            ((2, 1), (1, 2)),
        ),
        # The result has the states' shape too.
        (
            [("image", IMAGE), ("input_1", (1, 5)), ("input_2", (1, 5))],
            [("scores", (1, 5)), ("output_2", (1, 5)), ("output_1", (1, 5))],
            ((2, 1), (1, 2)),
        ),
        ([("x", (1, 512)), ("state", (2, 1, 64)), ("rate", ())], [("y", (1, 1)), ("stateN", (2, 1, 64))], ((1, 1),)),
        # A denoiser gives what it takes.
        ([("magnitude", (1, 257)), ("state_in", (1, 4))], [("mask", (1, 257)), ("state_out", (1, 4))], ((1, 1),)),
        # A state that looks like planes of grey.
        ([("image", IMAGE), ("memory", (1, 1, 8, 320))], [("y", (1, 9)), ("z", (1, 1, 8, 320))], ((1, 1),)),
        # A threshold is not fed with a count.
        ([("image", IMAGE), ("threshold", (1,))], [("num_detections", (1,)), ("boxes", (1, 9, 4))], ()),
        ([("image", IMAGE), ("lastMaskIn", (1, 16, 16, 1))], [("nextMask", (1, 16, 16, 1))], ((0, 1),)),
        ([("image", IMAGE)], [("rebuilt", IMAGE)], ()),
    ],
)  # fmt: skip
def test_states_are_found(inputs: list, outputs: list, wanted: tuple) -> None:
    assert find_state(listed(*inputs), listed(*outputs), {}, "m") == wanted


def test_the_signature_s_names_come_first() -> None:
    """TensorFlow's own names number the outputs and say nothing."""
    inputs = listed(
        ("serving_default_image:0", IMAGE), ("serving_default_c:0", (1, 5)), ("serving_default_h:0", (1, 5))
    )
    outputs = listed(*((f"StatefulPartitionedCall:{n}", (1, 5)) for n in range(3)))
    with pytest.raises(Problem):
        find_state(inputs, outputs, {}, "m")
    named = [
        tuple(msgspec.structs.replace(one, signed=signed) for one, signed in zip(tensors, names, strict=True))
        for tensors, names in ((inputs, ("image", "c", "h")), (outputs, ("next_h", "scores", "next_c")))
    ]
    assert find_state(named[0], named[1], {}, "m") == ((2, 1), (0, 2))
    assert find_state(named[0], named[1], {"next_h": "serving_default_c:0"}, "m") == ((0, 1),)


def test_an_answer_of_the_same_type_only() -> None:
    inputs = listed(("image", IMAGE), ("state", (1, 5)))
    assert find_state(inputs, listed(("state", (1, 5)), dtype="int8"), {}, "m") == ()


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([("image", IMAGE), ("a", (1, 5)), ("b", (1, 5))], [("y", (1, 5)), ("z", (1, 5))]),
        (
            [("image", IMAGE), ("state_1", (1, 5)), ("state_2", (1, 5))],
            [("StatefulPartitionedCall:1", (1, 5)), ("StatefulPartitionedCall:2", (1, 5))],
        ),
        ([("image", IMAGE), ("state", (1, 5))], [("Identity", (1, 5)), ("Identity_1", (1, 5))]),
        ([("p", (1, 5)), ("q", (1, 6))], [("r", (1, 5)), ("s", (1, 6))]),
        ([("image", IMAGE), *[(f"a{n}", (1, 5)) for n in range(9)]], [(f"b{n + 3}", (1, 5)) for n in range(9)]),
    ],
)
def test_what_is_ambiguous_is_listed(inputs: list, outputs: list) -> None:
    with pytest.raises(Problem) as caught:
        find_state(listed(*inputs), listed(*outputs), {}, "lane.a.model.b")
    assert caught.value.where == "lane.a.model.b.state"
    assert caught.value.code == Exit.MODEL
    for name, _ in (*inputs, *outputs):
        assert repr(name) in caught.value.what
    assert "state = {" in caught.value.remedy


def test_many_states_of_one_shape_are_paired_by_equal_words() -> None:
    names = [f"layer{n}_{letter}" for n in range(4) for letter in "ch"]
    inputs = listed(("image", IMAGE), *((f"in_{name}", (1, 5)) for name in names))
    outputs = listed(*((f"out_{name}", (1, 5)) for name in reversed(names)), ("y", (1, 5)))
    assert find_state(inputs, outputs, {}, "m") == tuple((7 - n, n + 1) for n in range(8))


def test_the_config_says_which() -> None:
    inputs = listed(("image", IMAGE), ("a", (1, 5)), ("b", (1, 5)))
    outputs = listed(("y", (1, 5)), ("z", (1, 5)), ("scores", (1, 9)))
    assert find_state(inputs, outputs, {"z": "a", "y": "b"}, "m") == ((1, 1), (0, 2))
    assert find_state(inputs, outputs, {"z": "a"}, "m") == ((1, 1),)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"zz": "a"}, "no output 'zz'"),
        ({"z": "aa"}, "no input 'aa'"),
        ({"scores": "a"}, "'scores' is 1×9 float32"),
        ({"z": "a", "y": "a"}, "two outputs"),
    ],
)
def test_what_the_config_says_must_be_there(given: dict[str, str], said: str) -> None:
    inputs = listed(("image", IMAGE), ("a", (1, 5)), ("b", (1, 5)))
    outputs = listed(("y", (1, 5)), ("z", (1, 5)), ("scores", (1, 9)))
    with pytest.raises(Problem, match=said):
        find_state(inputs, outputs, given, "m")


def test_states_are_fed_back_and_reset() -> None:
    """c' = c + mean, h' = 2 h + mean, answer = mean + c + h; by hand for three pictures."""
    with open_session(recurrent(), where="m") as session:
        stateful = Stateful(session, find_state(session.inputs, session.outputs, {}, "m"))
        assert [one.name for one in (*stateful.inputs, *stateful.outputs)] == ["image", "answer"]
        assert (stateful.runtime, stateful.delegate, stateful.degraded) == (session.runtime, "xnnpack", None)
        for _ in range(2):
            c = h = 0.0
            for mean in (2.0, 5.0, 11.0):
                stateful.input_array(0)[...] = mean
                outputs = stateful.run()
                assert len(outputs) == 1
                assert outputs[0].tolist() == [[mean + c + h] * 3]
                c, h = c + mean, 2 * h + mean
            stateful.reset()


def test_reset_reaches_what_the_model_remembers_by_itself() -> None:
    with open_session(remembering(), where="m") as session:
        stateful = Stateful(session, ())
        stateful.input_array(0)[...] = [[1, 2]]
        stateful.run()
        assert stateful.run()[0].tolist() == [[2, 4]]
        stateful.reset()
        assert stateful.run()[0].tolist() == [[1, 2]]


def test_a_state_of_another_scale_is_converted() -> None:
    """state' = relu(state + step): the output counts in steps of 0.5 from -128, the input in steps of 0.25 from -100."""
    counting = graph(
        [
            tensor("step", (1, 2), "int8", 0.5, 0),
            tensor("state_in", (1, 4), "int8", 0.25, -100),
            tensor("answer", (1, 2), "int8", 0.5, 0),
            tensor("one", (1, 4), "int8", 1.0, 0, data=1),
            tensor("state_out", (1, 4), "int8", 0.5, -128),
        ],
        [operator("RELU", [0], [2], version=2), operator("ADD", [1, 3], [4], version=2)],
        inputs=[0, 1],
        outputs=[2, 4],
    )
    with open_session(model([counting], data=[bytes([1, 2, 3, 4])]), where="m") as session:
        stateful = Stateful(session, find_state(session.inputs, session.outputs, {}, "m"))
        assert (session.input_array(1) == -100).all()
        for run in range(1, 4):
            stateful.run()
            real = (session.input_array(1).astype(float) + 100) * 0.25
            np.testing.assert_allclose(real, [[run * n for n in (1, 2, 3, 4)]], atol=0.5)
        for _ in range(30):
            stateful.run()
        assert session.input_array(1).tolist()[0][3] == 127  # the most that the input can hold

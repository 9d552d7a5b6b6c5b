"""Files with named signatures, and inputs whose size the file leaves open."""

import logging

import numpy as np
import pytest
from peers.tiny_models import graph, model, one_op, operator, signature, tensor, two_signatures

from agent.inference.interpreter import open_session
from agent.problems import Exit, Problem


def one_signature() -> bytes:
    first = graph(
        [tensor("given:0", (1, 4)), tensor("result:0", (1, 4))], [operator("RELU", [0], [1])], inputs=[0], outputs=[1]
    )
    return model([first], signatures=[signature("serve", 0, {"x": 0}, {"y": 1})])


def names(session: object) -> list[str]:
    return [found.name for found in (*session.inputs, *session.outputs)]  # type: ignore[attr-defined]


def test_the_only_signature_needs_no_choice_and_a_chosen_one_names_the_tensors() -> None:
    with open_session(one_signature(), where="m") as session:
        assert names(session) == ["given:0", "result:0"]
        assert (session.inputs[0].signed, session.outputs[0].signed) == ("x", "y")
    with open_session(one_signature(), signature="serve", where="m") as session:
        assert names(session) == ["x", "y"]
        session.input_array(0)[...] = [[-1, 2, -3, 4]]
        assert session.run()[0].tolist() == [[0, 2, 0, 4]]


@pytest.mark.parametrize("same_graph", [False, True])
@pytest.mark.parametrize(("name", "given"), [("double", [[1.0, -2.0]]), ("rectify", [[1.0, -2.0, 3.0, -4.0]])])
def test_the_chosen_signature_is_run(name: str, given: list[list[float]], same_graph: bool) -> None:
    if same_graph:
        given = [[1.0, -2.0]]
    with open_session(two_signatures(same_graph=same_graph), signature=name, where="m") as session:
        assert names(session) == ["x", "y"]
        array = session.input_array(0)
        for factor in (1, 3):
            array[...] = np.array(given) * factor
            found = session.run()[0].tolist()
            doubled = name == "double" or same_graph
            assert found == [[2 * x * factor if doubled else max(0.0, x * factor) for x in given[0]]]
        assert session.input_array(0) is array
        assert session.outputs[0].shape == np.shape(given)


def test_several_signatures_and_none_chosen_or_a_wrong_one_are_listed() -> None:
    for wanted in (None, "doubble"):
        with pytest.raises(Problem) as caught, open_session(two_signatures(), signature=wanted, where="lane.a.model.b"):
            pass
        assert caught.value.where == "lane.a.model.b.signature"
        assert "'double', 'rectify'" in caught.value.what
        assert caught.value.code == Exit.MODEL
    with pytest.raises(Problem, match="it has none"), open_session(one_op("RELU", (1, 4)), signature="a", where="m"):
        pass


IMAGE = one_op("RELU", (1, 1, 1, 3), open_shape=(-1, -1, -1, 3))


def test_an_open_picture_takes_the_size_of_the_config() -> None:
    with open_session(IMAGE, input_px=(64, 48), where="m") as session:
        assert (session.inputs[0].shape, session.inputs[0].open) == ((1, 48, 64, 3), (0, 1, 2))
        assert session.outputs[0].shape == (1, 48, 64, 3)
        session.input_array(0)[...] = 5
        assert (session.run()[0] == 5).all()


def test_an_open_picture_without_a_word_says_what_it_takes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), open_session(IMAGE, where="lane.a.model.b") as session:
        assert session.inputs[0].shape == (1, 320, 320, 3)
    assert len([record for record in caplog.records if "input_px" in record.getMessage()]) == 1


@pytest.mark.parametrize("chosen", [None, "serve"])
def test_an_open_picture_in_a_signature(chosen: str | None) -> None:
    shape, open_shape = (1, 1, 1, 3), (-1, -1, -1, 3)
    first = graph(
        [tensor("given", shape, open_shape=open_shape), tensor("result", shape, open_shape=open_shape)],
        [operator("RELU", [0], [1])],
        inputs=[0],
        outputs=[1],
    )
    for place in (0, 1):
        graphs = (
            [first]
            if place == 0
            else [
                graph([tensor("a", (1,)), tensor("b", (1,))], [operator("RELU", [0], [1])], inputs=[0], outputs=[1]),
                first,
            ]
        )
        made = model(graphs, signatures=[signature("serve", place, {"x": 0}, {"y": 1})])
        with open_session(made, signature=chosen, input_px=(64, 48), where="m") as session:
            assert (session.inputs[0].shape, session.outputs[0].shape) == ((1, 48, 64, 3), (1, 48, 64, 3))
            session.input_array(0)[...] = 7
            assert (session.run()[0] == 7).all()


def test_planes_and_pictures_without_a_batch_are_open_too() -> None:
    for shape, open_shape, wanted in (
        ((1, 3, 1, 1), (1, 3, -1, -1), (1, 3, 48, 64)),
        ((1, 1, 3), (-1, -1, 3), (48, 64, 3)),
    ):
        with open_session(one_op("RELU", shape, open_shape=open_shape), input_px=(64, 48), where="m") as session:
            assert session.inputs[0].shape == wanted


def test_an_open_batch_is_one_and_a_size_that_is_there_is_kept() -> None:
    with open_session(one_op("RELU", (1, 8), open_shape=(-1, 8)), where="m") as session:
        assert (session.inputs[0].shape, session.inputs[0].open) == ((1, 8), (0,))
    with open_session(one_op("RELU", (1, 40, 60, 3), open_shape=(-1, -1, -1, 3)), where="m") as session:
        assert session.inputs[0].shape == (1, 40, 60, 3)
    with open_session(one_op("RELU", (1, 16000), open_shape=(-1, -1)), where="m") as session:
        assert session.inputs[0].shape == (1, 16000)


def test_another_open_size_cannot_be_guessed() -> None:
    with (
        pytest.raises(Problem, match=r"'given' open: 1×\?×8") as caught,
        open_session(one_op("RELU", (1, 1, 8), open_shape=(1, -1, 8)), where="m"),
    ):
        pass
    assert caught.value.code == Exit.MODEL


def test_a_fixed_size_stays_whatever_the_config_says() -> None:
    with open_session(one_op("RELU", (1, 40, 60, 3)), input_px=(64, 48), where="m") as session:
        assert (session.inputs[0].shape, session.inputs[0].open) == ((1, 40, 60, 3), ())


def test_a_graph_that_does_not_take_the_size_is_a_problem() -> None:
    fixed = graph(
        [
            tensor("given", (1, 1, 1, 3), open_shape=(1, -1, -1, 3)),
            tensor("other", (1, 5, 7, 3), data=1),
            tensor("result", (1, 5, 7, 3)),
        ],
        [operator("ADD", [0, 1], [2])],
        inputs=[0],
        outputs=[2],
    )
    made = model([fixed], data=[bytes(4 * 5 * 7 * 3)])
    with open_session(made, input_px=(7, 5), where="m") as session:
        assert session.run()[0].shape == (1, 5, 7, 3)
    with pytest.raises(Problem) as caught, open_session(made, input_px=(64, 48), where="m"):
        pass
    assert "1×48×64×3" in caught.value.what
    assert "input_px" in caught.value.remedy
    assert "\n" not in str(caught.value)

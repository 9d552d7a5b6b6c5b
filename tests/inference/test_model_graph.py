"""What is in a file, read without a runtime."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.graph_models import TensorSpec, graph_model
from peers.tiny_models import one_op

from agent.inference import _operators, model_graph, rescaling
from agent.problems import Exit, Problem


def sample() -> bytes:
    """An int8 picture, weights with a scale a channel, a memory, two signatures, a Flex op, post-processing."""
    return graph_model(
        [
            TensorSpec("x", (1, 4, 4, 3), "int8", scales=(0.5,), zero_points=(-3,), open=(0, 2)),
            TensorSpec("w", (2, 1, 1, 3), "int8", np.zeros(6), scales=(0.25, 0.125), axis=0),
            TensorSpec("b", (2,), "int32", np.zeros(2)),
            TensorSpec("y", (1, 4, 4, 2), "int8", scales=(1.0,)),
            TensorSpec("memory", (1, 8), variable=True),
            TensorSpec("z", (1, 10)),
        ],
        [
            ("CONV_2D", [0, 1, 2], [3]),
            ("CONV_2D", [0, 1, -1], [3]),
            ("FlexErf", [3], [3]),
            ("TFLite_Detection_PostProcess", [3], [5]),
        ],
        inputs=[0],
        outputs=[5],
        signatures=[("serve", {"picture": 0}, {"boxes": 5}), ("train", {"picture": 0}, {"loss": 5})],
        description="made by a test",
    )


def test_sees_what_was_written() -> None:
    graph = model_graph.read_graph(sample(), where="m")
    assert (graph.version, graph.description, graph.damaged) == (3, "made by a test", ())
    (given,) = graph.inputs
    assert (given.name, given.shape, given.open, given.dtype) == ("x", (1, 4, 4, 3), (0, 2), "int8")
    assert (given.scales, given.zero_points) == ((0.5,), (-3,))
    weights = graph.subgraphs[0].tensors[1]
    assert (weights.scales, weights.zero_points, weights.axis) == ((0.25, 0.125), (0, 0), 0)
    assert [output.name for output in graph.outputs] == ["z"]
    assert graph.operators == {"CONV_2D": 2, "FlexErf": 1, "TFLite_Detection_PostProcess": 1}
    assert graph.custom == ("FlexErf", "TFLite_Detection_PostProcess")
    assert graph.flex == ("FlexErf",)
    assert graph.post_processed
    assert not graph.for_edge_tpu
    assert graph.variables == 1
    assert graph.constants_bytes == 6 + 8
    assert [(s.name, s.inputs, s.outputs) for s in graph.signatures] == [
        ("serve", {"picture": 0}, {"boxes": 5}),
        ("train", {"picture": 0}, {"loss": 5}),
    ]
    assert graph.subgraphs[0].nodes[1].inputs == (0, 1, -1)


def test_compiled_for_the_edge_tpu() -> None:
    model = graph_model(
        [TensorSpec("x", (1, 2)), TensorSpec("y", (1, 2))], [("edgetpu-custom-op", [0], [1])], inputs=[0], outputs=[1]
    )
    assert model_graph.read_graph(model, where="m").for_edge_tpu


@pytest.mark.parametrize(
    ("name", "first", "operators"),
    [
        ("mobilenet_v2_1.0_224_quant.tflite", ("input", (1, 224, 224, 3), "uint8"), ("CONV_2D", 36)),
        ("yolov8n_int8.tflite", ("images", (1, 640, 640, 3), "float32"), ("CONV_2D", 64)),
        (
            "movenet_single_pose_lightning_ptq.tflite",
            ("serving_default_input:0", (1, 192, 192, 3), "uint8"),
            ("CONV_2D", 50),
        ),
    ],
)
def test_agrees_with_the_runtime(
    testdata: Path, name: str, first: tuple[object, ...], operators: tuple[str, int]
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = (testdata / "models" / name).read_bytes()
    graph = model_graph.read_graph(model, where="m")
    assert (graph.inputs[0].name, graph.inputs[0].shape, graph.inputs[0].dtype) == first
    assert next(iter(graph.operators.items())) == operators
    interpreter = Interpreter(model_content=model)
    for facts, details in (
        (graph.inputs, interpreter.get_input_details()),
        (graph.outputs, interpreter.get_output_details()),
    ):
        for fact, detail in zip(facts, details, strict=True):
            assert fact.name == detail["name"]
            assert fact.shape == tuple(detail["shape"])
            assert fact.dtype == np.dtype(detail["dtype"]).name
            assert list(fact.scales) == list(detail["quantization_parameters"]["scales"])
    signatures = interpreter.get_signature_list()
    assert {s.name: sorted(s.inputs) for s in graph.signatures} == {
        n: sorted(s["inputs"]) for n, s in signatures.items()
    }
    assert 0.5 * len(model) < graph.constants_bytes < len(model)


def test_names_of_operators_are_those_of_the_schema() -> None:
    from ai_edge_litert import schema_py_generated as schema

    for names, known in ((_operators.BUILTIN, schema.BuiltinOperator), (_operators.TYPES, schema.TensorType)):
        written = {number: name for name, number in vars(known).items() if isinstance(number, int)}
        for number, name in enumerate(names):
            assert written.get(number, name).lower() == name.lower()
    assert _operators.operator_name(9999) == "operator 9999"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"PK\x03\x04" + b"\0" * 50, "zip archive"),
        (b"\x7fELF" + b"\0" * 50, "Edge Impulse"),
        (b"<!DOCTYPE html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"hello, this is no model", '"TFL3"'),
        (b"\x1c\0\0\0TFL3", "damaged"),
        (b"\xff\xff\xff\x7fTFL3" + b"\0" * 50, "damaged"),
    ],
)
def test_another_kind_of_file_is_one_problem(data: bytes, said: str) -> None:
    with pytest.raises(Problem, match=said) as caught:
        model_graph.read_graph(data, where="m")
    assert caught.value.code == Exit.MODEL
    assert "\n" not in str(caught.value)


def test_what_is_not_damaged_is_still_seen() -> None:
    whole = sample()
    graph = model_graph.graph_of(whole.replace(b"FlexErf", b"Flex\xff\xff\xff"))
    assert graph.damaged == ("the list of operators", "operators")
    assert graph.inputs[0].name == "x"
    assert len(graph.signatures) == 2


SAMPLE = sample()


@given(
    st.integers(0, len(SAMPLE)), st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), max_size=6)
)
@settings(max_examples=400)
def test_damage_never_raises(cut: int, flips: list[tuple[int, int]]) -> None:
    data = bytearray(SAMPLE)
    for place, value in flips:
        data[place] = value
    for damaged in (bytes(data), bytes(data[:cut])):
        graph = model_graph.graph_of(damaged)
        assert isinstance(graph.inputs, tuple)
        assert graph.variables >= 0
        rescaling.input_normalisation(damaged)


def test_one_op_models() -> None:
    graph = model_graph.read_graph(one_op("RELU", (1, 4), custom="Nobody"), where="m")
    assert graph.custom == ("Nobody",)
    assert graph.operators == {"Nobody": 1}

"""Sessions over LiteRT: real and damaged models, the model's own memory."""

import gc
import random
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from peers.tiny_models import copying, one_op, remembering, where_true

from agent.inference.interpreter import open_session
from agent.problems import Exit, Problem

RELU = one_op("RELU", (1, 4))


@pytest.fixture(scope="module")
def mobilenet(testdata: Path) -> bytes:
    return (testdata / "models" / "mobilenet_v1_0.25_128_quant.tflite").read_bytes()


def test_tells_what_it_is(mobilenet: bytes) -> None:
    with open_session(mobilenet, where="m") as session:
        assert (session.inputs[0].shape, session.inputs[0].dtype) == ((1, 128, 128, 3), "uint8")
        assert (session.inputs[0].scale, session.inputs[0].zero_point) == (0.0078125, 128)
        assert session.outputs[0].shape == (1, 1001)
        assert session.runtime.startswith("litert 2.")
        assert session.delegate == "xnnpack"


@pytest.mark.parametrize(
    ("delegate", "resolver"),
    [("cpu", OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES), ("xnnpack", OpResolverType.AUTO)],
)
def test_outputs_are_those_of_the_plain_interpreter(mobilenet: bytes, delegate: str, resolver: OpResolverType) -> None:
    plain = Interpreter(model_content=mobilenet, experimental_op_resolver_type=resolver)
    plain.allocate_tensors()
    rng = np.random.default_rng(5)
    with open_session(mobilenet, delegates=(delegate,), where="m") as session:
        assert session.delegate == delegate
        for _ in range(3):
            picture = rng.integers(0, 256, (1, 128, 128, 3), np.uint8)
            plain.set_tensor(plain.get_input_details()[0]["index"], picture)
            plain.invoke()
            session.input_array(0)[...] = picture
            found = session.run()[0]
            np.testing.assert_array_equal(found, plain.get_tensor(plain.get_output_details()[0]["index"]))


def test_the_input_keeps_what_was_written(mobilenet: bytes) -> None:
    """A letterbox's border is written once: a run must not use the input's memory for itself."""
    with open_session(mobilenet, where="m") as session:
        session.input_array(0)[...] = 77
        session.run()
        assert (session.input_array(0) == 77).all()


def test_arrays_may_outlive_the_session(mobilenet: bytes) -> None:
    with open_session(mobilenet, where="m") as session:
        given, found = session.input_array(0), session.run()[0]
    del session
    gc.collect()
    given[...] = 3
    assert found.shape == (1, 1001)
    assert int(found.astype(int).sum()) >= 0


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "float16", "float32", "bool"])
def test_every_type_goes_in_and_comes_out(dtype: str) -> None:
    given = np.array([[0, 1], [2, 3]]).astype(dtype)
    with open_session(copying(dtype, (2, 2)), where="m") as session:
        assert (session.inputs[0].dtype, session.outputs[0].dtype) == (dtype, dtype)
        assert (session.inputs[0].scale, session.inputs[0].zero_point) == (0.0, 0)
        session.input_array(0)[...] = given
        found = session.run()[0]
        assert found.dtype == given.dtype
        np.testing.assert_array_equal(found, given)


def test_an_output_may_have_another_size_at_every_run() -> None:
    with open_session(where_true(5), where="m") as session:
        for wanted in ([0, 3], [], [1], [0, 1, 2, 3, 4]):
            session.input_array(0)[...] = [place in wanted for place in range(5)]
            found = session.run()[0]
            assert found.shape == (len(wanted), 1)
            assert found.ravel().tolist() == wanted


def test_what_a_model_remembers_is_forgotten_by_reset() -> None:
    with open_session(remembering(), where="m") as session:
        session.input_array(0)[...] = [[1, 2]]
        assert [session.run()[0].tolist() for _ in range(2)] == [[[1, 2]], [[2, 4]]]
        session.reset()  # type: ignore[attr-defined]
        assert session.run()[0].tolist() == [[1, 2]]


def test_another_hardware_is_never_claimed() -> None:
    with pytest.raises(Problem, match="gpu cannot") as caught, open_session(RELU, delegates=("gpu",), where="m"):
        pass
    assert caught.value.code == Exit.MODEL
    with open_session(RELU, delegates=("gpu", "cpu"), where="m") as session:
        assert session.delegate == "cpu"


@pytest.mark.parametrize(
    "model", [b"x", b"\0" * 64, b"this is no model at all, but a long enough text", b"PK\x03\x04" * 40]
)
def test_what_is_no_model_is_a_problem(model: bytes) -> None:
    with pytest.raises(Problem) as caught, open_session(model, where="lane.a.model.b"):
        pass
    assert caught.value.code == Exit.MODEL
    assert caught.value.where == "lane.a.model.b"
    assert "\n" not in str(caught.value)


def test_damaged_models_are_problems_or_run(mobilenet: bytes) -> None:
    """Truncated anywhere, bits flipped anywhere in the file's structure: never anything but a Problem or a run."""
    rng = random.Random(11)
    damaged = [mobilenet[: rng.randrange(1, len(mobilenet))] for _ in range(10)]
    for count in (1, 8, 64) * 8:
        copy = bytearray(mobilenet)
        for _ in range(count):
            copy[rng.randrange(len(copy))] ^= 1 << rng.randrange(8)
        damaged.append(bytes(copy))
    codes = []
    for model in damaged:
        try:
            with open_session(model, where="m") as session:
                session.run()
        except Problem as problem:
            codes.append(problem.code)
    assert len(codes) >= 10
    assert set(codes) == {Exit.MODEL}


@pytest.mark.parametrize(
    ("model", "said", "remedy"),
    [
        (one_op("", (1, 4), custom="FrobnicateImage"), "the custom op FrobnicateImage", "lacks the op"),
        (one_op("", (1, 4), custom="edgetpu-custom-op"), "compiled for the Edge TPU", 'delegates = ["edgetpu"]'),
        (one_op("", (1, 4), custom="FlexErf"), "TensorFlow's own op Erf", "without SELECT_TF_OPS"),
        (one_op("RELU", (1, 4), version=99), "the op RELU in version 99", "newer runtime"),
        (one_op("SOFTMAX", (), dtype="float32"), "op SOFTMAX", "damaged"),
    ],
)
def test_an_op_that_is_missing_or_wrong_is_named(model: bytes, said: str, remedy: str) -> None:
    with pytest.raises(Problem) as caught, open_session(model, delegates=("cpu",), where="lane.a.model.b"):
        pass
    assert said in caught.value.what
    assert remedy in caught.value.remedy
    assert "\n" not in str(caught.value)


def test_a_runtime_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(Problem, match="pip install ai-edge-litert"), open_session(b"x", runtime="litert", where="m"):
        pass

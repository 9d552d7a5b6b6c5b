"""Sessions over LiteRT: real and damaged models, the model's own memory."""

import gc
import random
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from peers.tiny_models import one_op

from agent.inference.interpreter import open_session
from agent.problems import Exit, Problem


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


def test_a_resized_input_gets_new_arrays() -> None:
    with open_session(one_op("RELU", (1, 4)), where="m") as session:
        with pytest.raises(Problem) as caught:  # a fixed graph says so
            session.resize_input(0, (2, 4))  # type: ignore[attr-defined]
        assert caught.value.code == Exit.MODEL


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


def test_an_op_that_is_missing_is_named() -> None:
    with (
        pytest.raises(Problem, match="FrobnicateImage") as caught,
        open_session(one_op("", (1, 4), custom="FrobnicateImage"), where="m"),
    ):
        pass
    assert "lacks the op" in caught.value.remedy


def test_a_runtime_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(Problem, match="pip install ai-edge-litert"), open_session(b"x", runtime="litert", where="m"):
        pass

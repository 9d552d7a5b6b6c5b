"""LiteRT's CompiledModel on a real, if slow, Vulkan driver: SwiftShader."""

from pathlib import Path

import numpy as np
import pytest
from peers.tiny_models import copying, one_op, remembering

from agent.inference import interpreter, measure
from agent.inference._child_messages import Load
from agent.inference.child import Child
from agent.inference.child_session import ChildSession, Sealed
from agent.problems import Problem

MODELS = Path(__file__).parents[2] / "models"
GPU = Load(delegate="gpu")


def opened(content: bytes) -> ChildSession:
    return ChildSession(Child("gpu", where="m"), Sealed(content), GPU, load_limit_s=60, limit_s=30)


def refused(content: bytes) -> str:
    with pytest.raises(Problem) as caught:
        opened(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("name", ["view-int8", "vibration-int8"])
def test_answers_as_the_cpu_does(name: str) -> None:
    """Their batch is open in the file."""
    content = (MODELS / f"{name}.tflite").read_bytes()
    session = opened(content)
    with interpreter.open_session(content, where="m") as cpu:
        assert (session.inputs, session.outputs, session.runtime) == (cpu.inputs, cpu.outputs, cpu.runtime)
        assert measure.compared(session, measure.reference(cpu)) is None
    session.close()


@pytest.mark.usefixtures("gpu")
def test_outputs_are_those_of_this_run(testdata: Path) -> None:
    """The GPU is still at work when `run_by_index` returns."""
    session = opened((testdata / "models" / "mobilenet_v1_0.25_128_quant.tflite").read_bytes())
    found = []
    for level in (0, 255, 0):
        session.input_array(0)[...] = level
        found.append(session.run()[0].copy())
    assert np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])
    session.close()


def test_what_it_would_die_of_is_refused_before(testdata: Path) -> None:
    assert "the GPU does not run this model: it remembers earlier runs (variable tensors)" in refused(remembering())
    assert "the tensor given is int64" in refused(copying("int64", (1, 4)))
    assert "FancyOp" in refused(one_op("RELU", (1, 4), custom="FancyOp"))
    deeplab = (testdata / "models" / "deeplabv3_mnv2_dm05_pascal_quant.tflite").read_bytes()
    assert "the tensor ArgMax is int64. Such a model runs on the CPU" in refused(deeplab)


def test_a_damaged_file_is_refused_by_the_interpreter() -> None:
    content = (MODELS / "view-int8.tflite").read_bytes()
    assert "The file is damaged or no TFLite model" in refused(content[: len(content) // 2])

"""Which input the lane fills, and how images lie in inputs."""

import pytest

from agent.inference import Tensor
from agent.inference.inputs import image, primary
from agent.problems import Exit, Problem


def tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    return Tensor(name=name, shape=shape, dtype="float32", scale=0.0, zero_point=0)


@pytest.mark.parametrize(
    ("shape", "layout", "wanted"),
    [
        ((1, 224, 200, 3), None, (1, 2, 3, True)),
        ((1, 28, 28, 1), None, (1, 2, 3, True)),
        ((1, 256, 256, 4), None, (1, 2, 3, True)),
        ((-1, -1, -1, 3), None, (1, 2, 3, True)),
        ((1, 3, 224, 200), None, (2, 3, 1, True)),
        ((1, 1, 28, 28), None, (2, 3, 1, True)),
        ((1, 3, -1, -1), None, (2, 3, 1, True)),
        ((1, 3, 30, 4), None, (1, 2, 3, True)),
        ((1, 3, 30, 4), "nchw", (2, 3, 1, True)),
        ((224, 200, 3), None, (0, 1, 2, False)),
        ((3, 224, 200), None, (1, 2, 0, False)),
        ((1, 28, 28), None, (1, 2, None, True)),
        ((28, 30), None, (0, 1, None, False)),
        ((1, 64), None, None),
        ((1, 128, 3), None, None),  # samples of three axes
        ((1, 1, 1, 3), None, None),
        ((1, 8, 8, 7), None, None),
        ((1, 224, 200, 3), "nchw", None),
        ((1, 3, 224, 200), "nhwc", None),
        ((), None, None),
        ((4,), None, None),
        ((1, 2, 3, 4, 5), None, None),
    ],
)
def test_images_are_seen_from_the_shape(shape: tuple[int, ...], layout: str | None, wanted: tuple | None) -> None:
    found = image(shape, layout)
    assert (found and (found.rows, found.columns, found.channels, found.batch)) == wanted


def test_the_only_input_is_filled() -> None:
    assert primary([tensor("x", (1, 64))], "window", "m") == 0
    assert primary([tensor("x", (1, 8, 8, 3))], "frame", "m") == 0


@pytest.mark.parametrize("kind", ["frame", "window"])
def test_inputs_that_nobody_fills_are_listed(kind: str) -> None:
    inputs = [tensor("image", (1, 8, 8, 3)), tensor("threshold", (1,))]
    with pytest.raises(Problem) as caught:
        primary(inputs, kind, "lane.a.model.b")  # type: ignore[arg-type]
    assert "'image' 1×8×8×3 float32, 'threshold' 1 float32" in caught.value.what
    assert "lane.a.model.b.state" in caught.value.remedy
    assert caught.value.code == Exit.MODEL

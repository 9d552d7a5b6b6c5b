"""Float models whose tensors bear the names of a known backbone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.graph_models import TensorSpec, graph_model

from agent.inference.backbone import trained_on
from agent.inference.metadata import Normalisation

SIGNED = Normalisation(mean=(127.5,), std=(127.5,))


def named(*names: str) -> bytes:
    """A chain of RELU whose tensors have these names."""
    tensors = [TensorSpec(name, (1, 8, 8, 3)) for name in ("serving_default_input:0", *names)]
    nodes = [("RELU", [place], [place + 1]) for place in range(len(names))]
    return graph_model(tensors, nodes, inputs=[0], outputs=[len(names)])


@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv2_1.00_224/Conv1_relu/Relu6",
        "MobilenetV2/Conv/Relu6",
        "MobilenetV1/MobilenetV1/Conv2d_0/Relu6",
        "sequential_1/model1/block_1_expand_relu/Relu6",
        "mobilenet_1.00_224/conv_dw_3_relu/Relu6",
        "InceptionV3/InceptionV3/Conv2d_1a_3x3/Relu",
        "xception/block2_sepconv1_act/Relu",
        "resnet50v2/conv1_conv/BiasAdd",
    ],
)
def test_backbones_that_were_trained_on_minus_one_to_one(name: str) -> None:
    assert trained_on(named("first", name)) == SIGNED


@pytest.mark.parametrize(
    "name",
    [
        "MobileNetV3Small/Conv/Relu",
        "efficientnetb0/stem_conv/Conv2D",
        "model/conv2d/Relu",
        "resnet50/conv1",
        "block_one",
    ],
)
def test_others_tell_nothing(name: str) -> None:
    assert trained_on(named("first", name)) is None


@given(st.binary(max_size=64))
def test_what_is_no_model_tells_nothing(content: bytes) -> None:
    assert trained_on(content) is None

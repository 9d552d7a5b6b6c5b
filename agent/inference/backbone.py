"""What a float model was trained on, where its layers still bear the names of a known backbone and its graph shows nothing else.

The applications of Keras and the models of TensorFlow's slim library were trained on pixels of -1..1 where they are MobileNet (V1 and V2),
Inception, Xception, NASNet or ResNet V2 (tf.keras.applications.imagenet_utils.preprocess_input, mode "tf"). Teachable Machine and most transfer
learning on MobileNetV2 keep both the names and the range. MobileNetV3 and EfficientNet rescale inside: agent/inference/rescaling.py.
"""

import re
import struct

from agent.inference.metadata import Normalisation
from agent.inference.model_graph import graph_of

_SIGNED = Normalisation(mean=(127.5,), std=(127.5,))
# `block_1_expand_relu`, `Conv1_relu`: MobileNetV2 in Keras; `conv_dw_1_relu`: MobileNetV1; `block1_conv1_act`: Xception.
_NAMES = re.compile(
    r"mobilenet_?v[12]\b|mobilenet_?v[12]_|mobilenet_[01]\.\d|inception|xception|nasnet|resnet\d+v2|resnet_v2"
    r"|\bblock_\d+_(expand|depthwise|project)|\bconv_dw_\d+|block\d+_sepconv\d",
    re.IGNORECASE,
)
_MOST_TENSORS = 2000


def trained_on(model: bytes) -> Normalisation | None:
    """(pixel - mean) / std of the backbone that the tensors' names tell; None: they tell none. Never raises."""
    try:
        main = graph_of(model).subgraphs[0]
        return _SIGNED if any(_NAMES.search(tensor.name) for tensor in main.tensors[:_MOST_TENSORS]) else None
    except (struct.error, IndexError):
        return None

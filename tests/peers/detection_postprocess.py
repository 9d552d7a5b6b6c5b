"""A TFLite model that is the op TFLite_Detection_PostProcess alone: LiteRT's own kernel decodes and suppresses raw heads.

model_bytes = detection_postprocess(anchors, columns=5)      # inputs (1, n, 4) and (1, n, 5); the four outputs, of shape () until a run
outputs, arrays = run(model_bytes, numbers, probabilities)
"""

from collections.abc import Sequence

import numpy as np
from flatbuffers import flexbuffers

from agent.decoding import Shape
from tests.peers.tiny_models import graph, model, operator, tensor

OP = "TFLite_Detection_PostProcess"
NAMES = (OP, f"{OP}:1", f"{OP}:2", f"{OP}:3")


def detection_postprocess(
    anchors: Sequence[tuple[float, float, float, float]],
    columns: int,
    *,
    most: int = 10,
    iou: float = 0.6,
    scales: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0),
) -> bytes:
    """columns: class scores an anchor, the first the background's. Suppression by class ("regular"). Rows below 0.05 are left out."""
    options = {
        "max_detections": most,
        "max_classes_per_detection": 1,
        "detections_per_class": most,
        "use_regular_nms": True,
        "nms_score_threshold": 0.05,
        "nms_iou_threshold": iou,
        "num_classes": columns - 1,
        **dict(zip(("y_scale", "x_scale", "h_scale", "w_scale"), scales, strict=True)),
    }
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in options.items():
            builder.Key(key)
            {bool: builder.Bool, int: builder.Int, float: builder.Float}[type(value)](value)
    one, code = operator("CUSTOM", [0, 1, 2], [3, 4, 5, 6], custom=OP)
    one.customOptions = list(builder.Finish())
    count = len(anchors)
    tensors = [
        tensor("boxes", (1, count, 4)),
        tensor("scores", (1, count, columns)),
        tensor("anchors", (count, 4), data=1),
        *(tensor(name, ()) for name in NAMES),
    ]
    only = graph(tensors, [(one, code)], inputs=[0, 1], outputs=[3, 4, 5, 6])
    return model([only], data=[np.array(anchors, np.float32).tobytes()])


def run(content: bytes, boxes: np.ndarray, scores: np.ndarray) -> tuple[tuple[Shape, ...], list[np.ndarray]]:
    """What the outputs look like before the run, and what is in them after."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    described = tuple(
        Shape(
            name=one["name"],
            shape=tuple(int(size) for size in one["shape"]),
            dtype=one["dtype"].__name__,
            scale=float(one["quantization"][0]),
            zero_point=int(one["quantization"][1]),
        )
        for one in interpreter.get_output_details()
    )
    for place, array in zip(interpreter.get_input_details(), (boxes, scores), strict=True):
        interpreter.set_tensor(place["index"], array)
    interpreter.invoke()
    return described, [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]

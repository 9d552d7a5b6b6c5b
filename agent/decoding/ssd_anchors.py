"""SSDs without their post-processing: MobileNet SSD v1, v2, v3 and SSD FPN of TensorFlow's Object Detection API, exported raw.

boxes (1, n, 4) or (1, n, 1, 4): ty, tx, th, tw from the anchors, times 10, 10, 5, 5; class scores (1, n, c): probabilities or logits (a
sigmoid each; `softmax` true: over the classes), column 0 the background. n follows from the input's size: 300 × 300: 1917; 320 × 320: 2034,
with FPN 12804; 640 × 640 with FPN: 51150.
"""

import math
from collections.abc import Sequence

import msgspec

from agent.decoding import Claim, Decoder, Options, Shape, Sure, Wants
from agent.decoding._anchor_boxes import AnchorBoxes
from agent.decoding._anchors import image_px, multiscale, pyramid_cells, single_shot, single_shot_count
from agent.decoding._boxes import written
from agent.decoding._class_labels import things
from agent.problems import Exit, Problem

WANTS = Wants(mean=(127.5,), std=(127.5,))
_SCALES = (10.0, 10.0, 5.0, 5.0)
_RAW = "raw_outputs/"


class Heads(msgspec.Struct, frozen=True):
    """Indexes of the outputs; anchors, and scores an anchor."""

    boxes: int
    classes: int
    anchors: int
    columns: int


def find_heads(outputs: Sequence[Shape]) -> Heads | None:
    """Two outputs of as many anchors: 4 numbers each, and scores. By name where both hold 4, else the first are the boxes."""
    if len(outputs) != 2:
        return None
    order = (1, 0) if "class" in outputs[0].name or "box" in outputs[1].name else (0, 1)
    for boxes, classes in (order, order[::-1]):
        sizes, scores = outputs[boxes].shape, outputs[classes].shape
        flat = len(sizes) == 3 or (len(sizes) == 4 and sizes[2] == 1)
        if flat and sizes[0] == 1 and sizes[-1] == 4 and len(scores) == 3 and scores[:2] == sizes[:2]:
            return Heads(boxes, classes, sizes[1], scores[2])
    return None


def counts(height: int, width: int) -> tuple[int, int]:
    """Anchors that the two rules give for an input: without and with FPN."""
    return single_shot_count(height, width), 6 * sum(math.prod(cells) for cells in pyramid_cells(height, width))


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like a raw SSD."""
    heads, size_px = find_heads(outputs), image_px(inputs, options)
    if heads is None or heads.columns < 1 or size_px is None:
        return None
    if all(output.name.startswith(_RAW) for output in outputs):
        return Claim(Sure.SAID, "its outputs are the Object Detection API's raw ones")
    if heads.anchors in counts(*size_px):
        return Claim(
            Sure.SHAPES, f"4 box numbers and {heads.columns} scores for each of an SSD's {heads.anchors} anchors"
        )
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): other outputs; anchors that no rule gives; a wrong count of labels."""
    heads, size_px = find_heads(outputs), image_px(inputs, options)
    if heads is None or size_px is None:
        raise Problem(
            where=f"{where}.decoder",
            what="ssd_anchors reads the boxes (1×n×4) and class scores (1×n×c) of a model for pictures, this one gives "
            + written([output.shape for output in outputs]),
            remedy="Take the decoder that belongs to the model, or leave `decoder` out",
            code=Exit.MODEL,
        )
    plain, pyramid = counts(*size_px)
    if heads.anchors not in (plain, pyramid):
        raise Problem(
            where=f"{where}.decoder",
            what=f"an SSD for {size_px[1]}×{size_px[0]} pixels has {plain} anchors, or {pyramid} with FPN; this model has {heads.anchors}",
            remedy="Export the model with its post-processing (TFLite_Detection_PostProcess), then its anchors are in the file",
            code=Exit.MODEL,
        )
    first, labels = things(options, heads.columns, background=True, where=where)
    return AnchorBoxes(
        outputs,
        boxes=(heads.boxes,),
        classes=(heads.classes,),
        first=first,
        labels=labels,
        anchors=single_shot(*size_px) if heads.anchors == plain else multiscale(*size_px),
        scales=_SCALES,
        options=options,
    )

"""What range a float image input wants, where the graph itself shows it.

1. Before anything else it rescales: Keras writes such layers into its applications (`Rescaling(1 / 127.5, -1)` in MobileNetV3,
   `Rescaling(1 / 255)` and `Normalization` in EfficientNet), MoveNet likewise. Given 0..1 they see black.
2. It quantises a range: 0..255, 0..1 or -1..1.
3. A converter has folded the rescaling into the first convolution (seen with `Rescaling(1 / 255)` always, with an offset where nothing is
   padded). Then its weights are too small for anything but pixels: the median over its living channels of the largest weight is at least 0.18 in
   all models looked at (some thirty, untrained ones among them), and at most 0.002 where 1 / 255 or 1 / 127.5 was folded into an untrained one.
"""

import math
import struct
from statistics import median

from agent.inference.metadata import Normalisation
from agent.inference.model_graph import Graph, Node, Subgraph, TensorFact, graph_of

_RAW = Normalisation(mean=(0.0,), std=(1.0,))
_UNIT = Normalisation(mean=(0.0,), std=(255.0,))
_SIGNED = Normalisation(mean=(127.5,), std=(127.5,))

_MOST_STEPS = 12
# They move, cut or convert pixels and leave what a value means.
_KEEPS = {
    *("CAST", "TRANSPOSE", "PAD", "PADV2", "MIRROR_PAD", "RESHAPE", "EXPAND_DIMS", "SQUEEZE", "DEQUANTIZE"),
    *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "STRIDED_SLICE", "SLICE", "REVERSE_V2", "GATHER"),
}
_FORMS = {"float32": "f", "float16": "e", "int8": "b", "uint8": "B", "int16": "h", "int32": "i"}
# A mean or a deviation of more than this is one of pixels 0..255: for 0..1 they are near 0.5 and 0.25.
_LEAST_OF_PIXELS = 8.0
# Between 0.18 and the 0.03 that the greatest of the trained models seen would have with 1 / 255 folded in.
_LEAST_WEIGHT = 0.05
# Training lets channels die, more than half of them in a published MobileNet SSD: their weights say nothing of the range.
_LEAST_LIVING = 0.01
_MOST_WEIGHTS = 1 << 18
# (lowest, highest) that a calibrated range may have, and what it means. Pictures seldom reach both ends exactly.
_RANGES = (
    ((-1.0, 1.0), (200.0, 260.0), _RAW),
    ((-0.02, 0.02), (0.75, 1.02), _UNIT),
    ((-1.02, -0.75), (0.75, 1.02), _SIGNED),
)


def input_normalisation(
    model: bytes, *, index: int = 0, name: str = "", signature: str | None = None
) -> Normalisation | None:
    """What (pixel - mean) / std fills a float image input with, as the graph shows it; None: it does not show it. Never raises.

    The input is the one of that name, in the signature or in the graph, else that of the index.
    """
    return of_graph(model, graph_of(model), index=index, name=name, signature=signature)


def of_graph(
    model: bytes, graph: Graph, *, index: int = 0, name: str = "", signature: str | None = None
) -> Normalisation | None:
    """The same, where the graph is at hand."""
    try:
        subgraph, tensor = _find(graph, index, name, signature)
        given = subgraph.tensors[tensor]
        if given.dtype not in ("float32", "float16") or len(given.shape) not in (3, 4):
            return None
        return _follow(model, graph, subgraph, tensor)
    except (struct.error, IndexError, ZeroDivisionError, OverflowError):
        return None


def _find(graph: Graph, index: int, name: str, signature: str | None) -> tuple[Subgraph, int]:
    for one in graph.signatures:
        if signature in (None, one.name) and name in one.inputs:
            return graph.subgraphs[one.subgraph], one.inputs[name]
    main = graph.subgraphs[0]
    named = [tensor for tensor in main.inputs if name and main.tensors[tensor].name == name]
    return main, named[0] if named else main.inputs[index]


def _follow(model: bytes, graph: Graph, subgraph: Subgraph, tensor: int) -> Normalisation | None:
    """From the input on, as long as one op after another leaves or scales what a pixel means: value = factor · given + offset."""
    factors, offsets = [1.0], [0.0]
    for _ in range(_MOST_STEPS):
        readers = [node for node in subgraph.nodes if tensor in node.inputs]
        if len(readers) != 1 or not readers[0].outputs:
            break
        node, plain = readers[0], factors == [1.0] and offsets == [0.0]
        if node.operator == "CONV_2D" and plain:
            return _RAW if _has_tiny_weights(model, graph, subgraph, node) else None
        if node.operator == "QUANTIZE":
            shown = _quantised_range(subgraph, node.outputs[0]) if plain else None
            if shown is not None:
                return shown
        elif node.operator in ("ADD", "SUB", "MUL", "DIV") and len(node.inputs) == 2:
            constant = _constant(model, graph, subgraph, node.inputs[1 - node.inputs.index(tensor)], most=3)
            if len(constant) not in (1, 3):
                break
            width = max(len(constant), len(factors))
            factors, offsets, constant = (
                values * width if len(values) == 1 else values for values in (factors, offsets, constant)
            )
            if not _apply(node, tensor, constant, factors, offsets):
                break
        elif node.operator not in _KEEPS:
            break
        tensor = node.outputs[0]
    deviations = [1 / factor for factor in factors]
    means = [-offset / factor for factor, offset in zip(factors, offsets, strict=True)]
    return _RAW if max(map(abs, [*deviations, *means])) > _LEAST_OF_PIXELS else None


def _apply(node: Node, tensor: int, constant: list[float], factors: list[float], offsets: list[float]) -> bool:
    """The op on every channel, in place. False: it is none of these (a constant divided by a pixel)."""
    first = node.inputs[0] == tensor
    if node.operator == "DIV" and not first:
        return False
    for channel, number in enumerate(constant):
        if node.operator in ("MUL", "DIV"):
            scale = number if node.operator == "MUL" else 1 / number
            factors[channel], offsets[channel] = factors[channel] * scale, offsets[channel] * scale
        elif node.operator == "ADD":
            offsets[channel] += number
        elif first:
            offsets[channel] -= number
        else:
            factors[channel], offsets[channel] = -factors[channel], number - offsets[channel]
    return True


def _quantised_range(subgraph: Subgraph, tensor: int) -> Normalisation | None:
    fact = subgraph.tensors[tensor]
    limits = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}.get(fact.dtype)
    if limits is None or len(fact.scales) != 1:
        return None
    low, high = ((limit - fact.zero_points[0]) * fact.scales[0] for limit in limits)
    for lows, highs, meaning in _RANGES:
        if lows[0] <= low <= lows[1] and highs[0] <= high <= highs[1]:
            return meaning
    return None


def _has_tiny_weights(model: bytes, graph: Graph, subgraph: Subgraph, convolution: Node) -> bool:
    """Weights are (outputs, height, width, inputs)."""
    tensor = convolution.inputs[1]
    outputs = subgraph.tensors[tensor].shape[0]
    weights = [abs(weight) for weight in _constant(model, graph, subgraph, tensor, most=_MOST_WEIGHTS)]
    if not weights or outputs < 1 or len(weights) % outputs:
        return False
    size = len(weights) // outputs
    greatest = [max(weights[start : start + size]) for start in range(0, len(weights), size)]
    living = [weight for weight in greatest if weight > _LEAST_LIVING * max(greatest)]
    return bool(living) and median(living) < _LEAST_WEIGHT


def _constant(model: bytes, graph: Graph, subgraph: Subgraph, tensor: int, *, most: int) -> list[float]:
    """The real values of a constant, also of one that is stored as float16 and made float32 by an op; [] for none or more than `most`.

    Scales one a channel are of the first dimension.
    """
    for _ in range(3):
        fact = subgraph.tensors[tensor]
        place, size = graph.buffers[fact.buffer]
        if fact.buffer and size and fact.dtype in _FORMS:
            count = size // struct.calcsize(_FORMS[fact.dtype])
            if count > most:
                return []
            values = [float(value) for value in struct.unpack_from(f"<{count}{_FORMS[fact.dtype]}", model, place)]
            return _real(values, fact) if all(map(math.isfinite, values)) else []
        makers = [node for node in subgraph.nodes if tensor in node.outputs and node.operator in ("DEQUANTIZE", "CAST")]
        if len(makers) != 1 or not makers[0].inputs or makers[0].inputs[0] < 0:
            return []
        tensor = makers[0].inputs[0]
    return []


def _real(values: list[float], fact: TensorFact) -> list[float]:
    if not fact.scales:
        return values
    run = max(1, len(values) // len(fact.scales))
    return [(value - fact.zero_points[index // run]) * fact.scales[index // run] for index, value in enumerate(values)]

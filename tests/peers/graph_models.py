"""TFLite files of several operators, constants, signatures, custom ops: what a reader of graphs must see. Most are never run.

graph_model([TensorSpec("x", (1, 8, 8, 3)), TensorSpec("k", (1,), data=np.float32([1 / 255])), TensorSpec("y", (1, 8, 8, 3))],
            [("MUL", [0, 1], [2])], inputs=[0], outputs=[2])
"""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import msgspec
import numpy as np
from ai_edge_litert import schema_py_generated as schema


class TensorSpec(msgspec.Struct):
    """data: a constant's values. scales: one, or one a channel of `axis`. open: places of -1 in the shape's signature."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    data: Any = None
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    open: tuple[int, ...] = ()
    variable: bool = False


def graph_model(
    tensors: Sequence[TensorSpec],
    nodes: Sequence[tuple[str, list[int], list[int]]],
    *,
    inputs: list[int],
    outputs: list[int],
    signatures: Sequence[tuple[str, dict[str, int], dict[str, int]]] = (),
    description: str = "",
) -> bytes:
    """nodes: (operator, its inputs, its outputs); a name that is no builtin is a custom op."""
    model = schema.ModelT()
    model.version, model.description = 3, description
    names = list(dict.fromkeys(operator for operator, _, _ in nodes))
    model.operatorCodes = [_code(name) for name in names]
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors = [_tensor(spec, model.buffers) for spec in tensors]
    graph.inputs, graph.outputs = inputs, outputs
    graph.operators = []
    for operator, given, gotten in nodes:
        node = schema.OperatorT()
        node.opcodeIndex, node.inputs, node.outputs = names.index(operator), given, gotten
        _options(operator, node)
        graph.operators.append(node)
    model.subgraphs = [graph]
    model.signatureDefs = [_signature(*signature) for signature in signatures]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _code(name: str) -> "schema.OperatorCodeT":
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name, schema.BuiltinOperator.CUSTOM)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.customCode = name if code.builtinCode == schema.BuiltinOperator.CUSTOM else None
    code.version = 1
    return code


def _options(operator: str, node: "schema.OperatorT") -> None:
    """Those without which a runtime refuses the op."""
    kind = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}.get(operator)
    if kind is not None:
        node.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        node.builtinOptions = getattr(schema, f"{kind}T")()
    if operator == "CONV_2D":
        node.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
        node.builtinOptions = schema.Conv2DOptionsT()
        node.builtinOptions.strideH = node.builtinOptions.strideW = 1
    if operator == "Convolution2DTransposeBias":  # padding "same", strides of 2: what it has for options
        node.customOptions = list(np.array([1, 2, 2], "<i4").tobytes())


def _tensor(spec: TensorSpec, buffers: list[Any]) -> "schema.TensorT":
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.isVariable = spec.name, list(spec.shape), spec.variable
    tensor.type = getattr(schema.TensorType, spec.dtype.upper())
    if spec.open:
        tensor.shapeSignature = [-1 if place in spec.open else size for place, size in enumerate(spec.shape)]
    if spec.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.asarray(spec.data, spec.dtype).tobytes(), np.uint8)
        tensor.buffer = len(buffers)
        buffers.append(buffer)
    if spec.scales:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.array(spec.scales, np.float32)
        tensor.quantization.zeroPoint = np.array(spec.zero_points or (0,) * len(spec.scales), np.int64)
        tensor.quantization.quantizedDimension = spec.axis
    return tensor


def _signature(name: str, inputs: dict[str, int], outputs: dict[str, int]) -> "schema.SignatureDefT":
    signature = schema.SignatureDefT()
    signature.signatureKey = name
    signature.inputs, signature.outputs = ([_pair(*pair) for pair in pairs.items()] for pairs in (inputs, outputs))
    return signature


def _pair(name: str, index: int) -> "schema.TensorMapT":
    pair = schema.TensorMapT()
    pair.name, pair.tensorIndex = name, index
    return pair

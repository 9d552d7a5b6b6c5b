"""TFLite models of a few ops, built in memory: tests of shapes, types and quantisation need no file.

one_op("RELU", (1, 64), dtype="int8", scale=0.05, zero_point=0)     # output as the input
one_op("SOFTMAX", (1, 4))
graph([tensor("given", (1, 4)), tensor("result", (1, 4))], [operator("RELU", [0], [1])], inputs=[0], outputs=[1])
model([graph(…), graph(…)], signatures=[signature("encode", 0, {"x": 0}, {"y": 1}), …])
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "bool": schema.TensorType.BOOL,
}


def one_op(
    op: str,
    shape: tuple[int, ...],
    *,
    dtype: str = "float32",
    scale: float = 0.0,
    zero_point: int = 0,
    out_scale: float | None = None,
    out_zero_point: int | None = None,
    custom: str | None = None,
    version: int | None = None,
    open_shape: tuple[int, ...] | None = None,
) -> bytes:
    """One input, one op, one output of the same shape and type. custom: the name of an op that no runtime has. open_shape: with -1 where open."""
    given = tensor("given", shape, dtype, scale, zero_point, open_shape=open_shape)
    result = tensor(
        "result",
        shape,
        dtype,
        scale if out_scale is None else out_scale,
        zero_point if out_zero_point is None else out_zero_point,
        open_shape=open_shape,
    )
    only = operator(op, [0], [1], custom=custom, version=version or (1 if dtype == "float32" else 2))
    return model([graph([given, result], [only], inputs=[0], outputs=[1])])


def copying(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The output is the input, of any type (RESHAPE)."""
    first = graph(
        [
            tensor("given", shape, dtype),
            tensor("result", shape, dtype),
            tensor("shape", (len(shape),), "int32", data=1),
        ],
        [operator("RESHAPE", [0, 2], [1])],
        inputs=[0],
        outputs=[1],
    )
    return model([first], data=[np.array(shape, np.int32).tobytes()])


def two_signatures(*, same_graph: bool = False) -> bytes:
    """Signatures "double" (y = x + x, 1×2) and "rectify" (y = max(0, x), 1×4), each a graph of its own; or both over the first graph."""
    double = graph(
        [tensor("double_x:0", (1, 2)), tensor("double_y:0", (1, 2))],
        [operator("ADD", [0, 0], [1])],
        inputs=[0],
        outputs=[1],
    )
    rectify = graph(
        [tensor("rectify_x:0", (1, 4)), tensor("rectify_y:0", (1, 4))],
        [operator("RELU", [0], [1])],
        inputs=[0],
        outputs=[1],
    )
    signatures = [
        signature("double", 0, {"x": 0}, {"y": 1}),
        signature("rectify", 0 if same_graph else 1, {"x": 0}, {"y": 1}),
    ]
    return model([double] if same_graph else [double, rectify], signatures=signatures)


def recurrent(*, names: Sequence[str] = ("image", "c_in", "h_in", "answer", "c_out", "h_out")) -> bytes:
    """answer = mean of the image + c + h; c' = c + mean; h' = h + h + mean. image (1, 4, 4, 3), all others (1, 3); one image channel an element."""
    shapes = [(1, 4, 4, 3), (1, 3), (1, 3), (1, 3), (1, 3), (1, 3)]
    tensors = [tensor(name, shape) for name, shape in zip(names, shapes, strict=True)]
    tensors += [tensor("axes", (2,), "int32", data=1), *(tensor(name, (1, 3)) for name in ("mean", "sum", "twice"))]
    operators = [
        operator("MEAN", [0, 6], [7]),
        operator("ADD", [7, 1], [8]),
        operator("ADD", [8, 2], [3]),
        operator("ADD", [7, 1], [4]),
        operator("ADD", [2, 2], [9]),
        operator("ADD", [9, 7], [5]),
    ]
    first = graph(tensors, operators, inputs=[0, 1, 2], outputs=[3, 4, 5])
    return model([first], data=[np.array([1, 2], np.int32).tobytes()])


def remembering() -> bytes:
    """A variable tensor of the model itself (SVDF): result = given + what was given before it (1×2)."""
    variable = tensor("memory", (1, 4))
    variable.isVariable = True
    first = graph(
        [
            tensor("given", (1, 2)),
            tensor("feature", (2, 2), data=1),
            tensor("time", (2, 2), data=2),
            variable,
            tensor("result", (1, 2)),
        ],
        [operator("SVDF", [0, 1, 2, -1, 3], [4])],
        inputs=[0],
        outputs=[4],
    )
    return model([first], data=[np.eye(2, dtype=np.float32).tobytes(), np.ones((2, 2), np.float32).tobytes()])


def where_true(count: int) -> bytes:
    """Input (count,) bool; output the places that are true, (n, 1) int64: of a size known only after the run."""
    first = graph(
        [tensor("given", (count,), "bool"), tensor("places", (), "int64")],
        [operator("WHERE", [0], [1])],
        inputs=[0],
        outputs=[1],
    )
    return model([first])


def tensor(
    name: str,
    shape: tuple[int, ...],
    dtype: str = "float32",
    scale: float = 0.0,
    zero_point: int = 0,
    *,
    open_shape: tuple[int, ...] | None = None,
    data: int = 0,
) -> "schema.TensorT":
    """data: which of the model's buffers holds its constant, counted from 1; 0: none."""
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, list(shape), _TYPES[dtype], data
    if open_shape is not None:
        made.shapeSignature = list(open_shape)
    if scale:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = np.array([scale], np.float32)
        made.quantization.zeroPoint = np.array([zero_point], np.int64)
    return made


def operator(
    op: str, inputs: Sequence[int], outputs: Sequence[int], *, custom: str | None = None, version: int = 1
) -> "tuple[Any, Any]":
    """(operator, its code). inputs, outputs: places in the graph's list of tensors."""
    code = schema.OperatorCodeT()
    code.builtinCode = schema.BuiltinOperator.CUSTOM if custom else getattr(schema.BuiltinOperator, op)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.customCode = custom
    code.version = version
    made = schema.OperatorT()
    made.inputs, made.outputs = list(inputs), list(outputs)
    if op == "SOFTMAX":
        made.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
        made.builtinOptions = schema.SoftmaxOptionsT()
        made.builtinOptions.beta = 1.0
    elif op == "ADD":
        made.builtinOptionsType = schema.BuiltinOptions.AddOptions
        made.builtinOptions = schema.AddOptionsT()
    elif op == "MEAN":
        made.builtinOptionsType = schema.BuiltinOptions.ReducerOptions
        made.builtinOptions = schema.ReducerOptionsT()
    elif op == "SVDF":
        made.builtinOptionsType = schema.BuiltinOptions.SVDFOptions
        made.builtinOptions = schema.SVDFOptionsT()
        made.builtinOptions.rank = 1
    return made, code


def graph(
    tensors: "Sequence[Any]", operators: "Sequence[tuple[Any, Any]]", *, inputs: Sequence[int], outputs: Sequence[int]
) -> "tuple[Any, Sequence[tuple[Any, Any]]]":
    made = schema.SubGraphT()
    made.tensors, made.inputs, made.outputs = list(tensors), list(inputs), list(outputs)
    made.operators = [one for one, _ in operators]
    return made, operators


def signature(key: str, subgraph: int, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> "schema.SignatureDefT":
    """inputs, outputs: name → place in the graph's list of tensors."""
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = key, subgraph
    made.inputs, made.outputs = _named(inputs), _named(outputs)
    return made


def _named(places: Mapping[str, int]) -> "list[schema.TensorMapT]":
    listed = []
    for name, place in places.items():
        one = schema.TensorMapT()
        one.name, one.tensorIndex = name, place
        listed.append(one)
    return listed


def model(
    graphs: "Sequence[tuple[Any, Sequence[tuple[Any, Any]]]]",
    *,
    data: Sequence[bytes] = (),
    signatures: "Sequence[schema.SignatureDefT]" = (),
) -> bytes:
    """The file's bytes. data: what buffers 1, 2, … hold."""
    made = schema.ModelT()
    made.version = 3
    made.buffers = [schema.BufferT()]
    for content in data:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8)
        made.buffers.append(buffer)
    made.operatorCodes, made.subgraphs = [], []
    for subgraph, operators in graphs:
        for one, code in operators:
            one.opcodeIndex = len(made.operatorCodes)
            made.operatorCodes.append(code)
        made.subgraphs.append(subgraph)
    if signatures:
        made.signatureDefs = list(signatures)
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
